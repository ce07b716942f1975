"""Histograms as small SVG drawings for the page: they need no script and print as lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError

FEWEST = 5
"""Values a histogram needs: of fewer the table says more."""
_BARS = 12  # wanted; a round width gives from about half to as many

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 240, 92, 14, 18


def count_bins(
    values: Sequence[float] | NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count values in bins of a round width.

    Parameters
    ----------
    values
        (N,) at least one; those that are not finite do not count.

    Returns
    -------
    counts
        (B,) how many lie in each bin: at its lower edge or above it, and below its upper one; the last has
        its upper edge too.
    edges
        (B + 1,) of the bins, multiples of 1, 2 or 5 times a power of ten, 13 bins at most.

    Raises
    ------
    InputError
        If no value is finite.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        raise InputError("a histogram needs values that are finite: there are none")
    low, high = float(finite.min()), float(finite.max())
    wide = (high - low) / _BARS or max(abs(low), 1.0) / _BARS  # all alike: one bar among its like
    decade = 10.0 ** math.floor(math.log10(wide))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= wide * (1 - 1e-9))
    place = np.floor(finite / step + 1e-9).astype(np.int64)  # 0.3 / 0.1 is a little below 3
    first = int(place.min())
    last = max(first, math.ceil(high / step - 1e-9) - 1)
    counts = np.bincount(np.minimum(place, last) - first, minlength=last - first + 1)
    return counts.astype(np.int64), np.arange(first, last + 2, dtype=np.float64) * step


def draw(name: str, values: Sequence[float]) -> str:
    """Draw a histogram.

    Parameters
    ----------
    name
        What is counted, with its unit, as plain text.
    values
        (N,) those that are not finite do not count.

    Returns
    -------
    str
        A figure as HTML; nothing where there are fewer than `FEWEST` values.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size < FEWEST:
        return ""
    counts, edges = count_bins(finite)
    top, floor = int(counts.max()), _HEIGHT - _BOTTOM
    wide = (_WIDTH - 2) / len(counts)
    bars = []
    for bar, count in enumerate(counts.tolist()):
        if count:
            high = (floor - _TOP) * count / top
            bars.append(
                f'<rect x="{1 + bar * wide + 0.5:.1f}" y="{floor - high:.1f}" width="{wide - 1:.1f}" '
                f'height="{high:.1f}"><title>{_number(edges[bar])} to {_number(edges[bar + 1])}: {count}'
                "</title></rect>"
            )
    middle = float(np.median(finite))
    at = 1 + (middle - edges[0]) / (edges[-1] - edges[0]) * (_WIDTH - 2)
    anchor = "start" if at < 60 else "end" if at > _WIDTH - 60 else "middle"
    words = f"{name}: {int(counts.sum())} from {_number(edges[0])} to {_number(edges[-1])}"
    words += f", median {_number(middle)}, at most {top} in a bar of {_number(edges[1] - edges[0])}"
    return (
        f'<figure class="histogram"><figcaption><b>{escape(name)}</b></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}">'
        f'<g class="bars">{"".join(bars)}</g>'
        f'<path class="axis" d="M1 {floor}H{_WIDTH - 1}"/>'
        f'<path class="median" d="M{at:.1f} {_TOP - 2}V{floor}"/>'
        f'<text x="{at:.1f}" y="9" text-anchor="{anchor}">median {_number(middle)}</text>'
        f'<text x="1" y="{_HEIGHT - 4}">{_number(edges[0])}</text>'
        f'<text x="{_WIDTH - 1}" y="{_HEIGHT - 4}" text-anchor="end">{_number(edges[-1])}</text>'
        "</svg></figure>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
