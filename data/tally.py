"""Percentiles of a volume that is seen piece by piece."""

from __future__ import annotations

import numpy as np

BITS = 21  # of 32, sign and exponent and 12 of the mantissa: steps of a 4,096th of a value
_SHIFT = 32 - BITS


class Tally:
    """Counts of values, in steps of a 4,096th of each value, and their extremes.

    The counts of several pieces add up to those of the whole, in whatever order they come.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2**BITS, np.int64)
        self.low, self.high = np.inf, -np.inf

    def add(self, values: np.ndarray) -> None:
        """Count the values of an array of floats of any shape."""
        keys = _keys(np.asarray(values, np.float32).ravel())
        first = int(keys.min())
        found = np.bincount(keys - first)
        self.counts[first : first + len(found)] += found
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def percentiles(self, *percents: float) -> tuple[float, ...]:
        """Return percentiles, with the definition of ``numpy.percentile`` but for the steps of the counts."""
        below = np.cumsum(self.counts)
        ranks = np.array(percents) / 100 * (below[-1] - 1)
        bins = np.searchsorted(below, ranks, side="right")
        bottoms, tops = _values(bins), _values(bins + 1)
        # the values of a step are taken to be spread evenly over it
        share = (ranks - below[bins] + self.counts[bins] + 0.5) / self.counts[bins]
        found = bottoms + np.clip(share, 0, 1) * (tops - bottoms)
        return tuple(float(value) for value in np.clip(found, self.low, self.high))


def _keys(values: np.ndarray) -> np.ndarray:
    """Map floats to numbers in their order: bits of negative ones turned round, others above them."""
    bits = values.view(np.uint32)
    bits = bits ^ np.where(bits >> 31, np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    return (bits >> _SHIFT).astype(np.int64)


def _values(keys: np.ndarray) -> np.ndarray:
    """Return the least value of each number."""
    bits = (keys.astype(np.uint64) << _SHIFT).clip(0, 2**32 - 1).astype(np.uint32)
    bits = bits ^ np.where(bits >> 31, np.uint32(0x80000000), np.uint32(0xFFFFFFFF))
    return bits.view(np.float32).astype(float)
