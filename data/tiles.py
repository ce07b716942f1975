"""Padding to a network's sizes, and overlapping windows blended by Gaussian weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import product

import numpy as np

from zoo import progress
from zoo.errors import InputError

Predict = Callable[[np.ndarray], np.ndarray]
Results = Generator[np.ndarray, None, None]
Windows = list[tuple[slice, ...]]


def pad_to_multiple(image: np.ndarray, multiple: int) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Mirror a volume at its faces until each axis is divisible by ``multiple``.

    Parameters
    ----------
    image : (Z, Y, X)
    multiple
        In voxels; each axis gets the least it needs, half of it on either side.

    Returns
    -------
    padded : (Z', Y', X')
    inside : tuple of slices
        Where the original lies in it: ``padded[inside]`` equals ``image``.
    """
    return pad_to(image, tuple(-(-n // multiple) * multiple for n in image.shape))


def pad_to(image: np.ndarray, least: Sequence[int]) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Mirror a volume at its faces until each axis has at least ``least`` voxels; else as pad_to_multiple."""
    missing = [max(0, want - n) for n, want in zip(image.shape, least, strict=True)]
    before = [m // 2 for m in missing]
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=True))
    if not any(missing):
        return image, inside
    widths = [(b, m - b) for b, m in zip(before, missing, strict=True)]
    return np.pad(image, widths, mode="symmetric"), inside


def windows(shape: Sequence[int], window: Sequence[int], overlap: float = 0.5) -> Windows:
    """Cover a volume with windows of one size.

    Parameters
    ----------
    shape
        Of the volume, at least ``window`` along each axis.
    window
        Shape of each window in voxels.
    overlap
        Least share of a window that it has in common with its neighbour along an axis.

    Returns
    -------
    list of tuples of slices
        Every voxel lies in at least one; the last along an axis ends at the volume's face.

    Raises
    ------
    ValueError
        For a volume smaller than the window, or an overlap outside [0, 1).
    """
    if any(n < w for n, w in zip(shape, window, strict=True)):
        raise ValueError(f"volume {tuple(shape)} must be at least the window {tuple(window)}; pad it first")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap} must be at least 0 and below 1")
    starts = []
    for n, w in zip(shape, window, strict=True):
        step = max(1, int(w * (1 - overlap)))
        count = -(-(n - w) // step) + 1
        starts.append(np.linspace(0, n - w, count).round().astype(int))
    return [tuple(slice(a, a + w) for a, w in zip(at, window, strict=True)) for at in product(*starts)]


def gaussian_weight(window: Sequence[int]) -> np.ndarray:
    """Return weights that are 1 in a window's middle and small, never 0, at its rim.

    The standard deviation is an eighth of the edge, as in nnU-Net (Isensee et al. 2021).
    """
    weight = np.ones((), np.float32)
    for n in window:
        at = np.arange(n) - (n - 1) / 2
        weight = np.multiply.outer(weight, np.exp(-0.5 * (at / (n / 8)) ** 2).astype(np.float32))
    return np.maximum(weight, np.float32(1e-4))


def blend(
    image: np.ndarray,
    predict: Predict,
    window: Sequence[int],
    overlap: float = 0.5,
    in_flight: int = 1,
) -> np.ndarray:
    """Run a function over overlapping windows and join its results by Gaussian weights.

    Parameters
    ----------
    image : (Z, Y, X)
        At least ``window`` along each axis.
    predict
        Takes one window, (z, y, x), and returns one value a voxel. Called from several threads where more
        than one window is in flight.
    window, overlap
        As in :func:`windows`.
    in_flight
        Windows that are predicted at once, for a ``predict`` that waits for somebody else, such as a server.
        No more results than these are held, and the outcome is the same to the last bit.

    Returns
    -------
    (Z, Y, X) float32
        Equal to ``image`` where ``predict`` is the identity.

    Raises
    ------
    InputError
        What ``predict`` raised, with the tile's number. Any other error is passed on with the number as a
        note. No further window is begun.
    """
    total = np.zeros(image.shape, np.float32)
    weights = np.zeros(image.shape, np.float32)
    weight = gaussian_weight(window)
    tiles = windows(image.shape, window, overlap)
    results = _each(image, predict, tiles) if in_flight == 1 else _ahead(image, predict, tiles, in_flight)
    with closing(results):
        for number, at in enumerate(progress.parts(tiles), start=1):
            try:
                total[at] += next(results) * weight
            except InputError as fault:
                raise InputError(f"tile {number} of {len(tiles)}: {fault}") from fault
            except Exception as fault:
                fault.add_note(f"in tile {number} of {len(tiles)}")
                raise
            weights[at] += weight
    return np.divide(total, weights, out=total)


def _each(image: np.ndarray, predict: Predict, tiles: Windows) -> Results:
    for at in tiles:
        yield predict(image[at])


def _ahead(image: np.ndarray, predict: Predict, tiles: Windows, in_flight: int) -> Results:
    """Yield the results in the tiles' order; the next tile is begun when the oldest result is taken."""
    pool = ThreadPoolExecutor(in_flight)
    begun: deque[Future[np.ndarray]] = deque()
    try:
        for at in tiles:
            if len(begun) == in_flight:
                yield begun.popleft().result()
            begun.append(pool.submit(predict, image[at]))
        while begun:
            yield begun.popleft().result()
    finally:
        # not waiting: Ctrl-C, and an error, are told before the answers that nobody wants any more
        pool.shutdown(wait=False, cancel_futures=True)
