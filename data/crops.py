"""Masks cut out to a fixed size and put back, exact to a fraction of a pixel."""

from __future__ import annotations

import numpy as np


def sample(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sample an image linearly on a grid; beyond its outer pixels' centres it falls to 0 within a pixel.

    Parameters
    ----------
    mask : (Y, X)
    rows : (P,) float
        Positions along y, in pixels from the image's edge: pixel i has its centre at i + 0.5.
    columns : (Q,) float
        The same along x.

    Returns
    -------
    (P, Q) float32
    """
    left, right = _weights(rows, mask.shape[0]), _weights(columns, mask.shape[1])
    return left @ np.asarray(mask, np.float32) @ right.T


def paste(mask: np.ndarray, box: np.ndarray, shape: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """Put a detector's mask, spread evenly over its box, onto the pixels of an image.

    Parameters
    ----------
    mask : (P, Q) float
        Probabilities; the outer ones reach to the box's edges.
    box : (4,) float
        y0, x0, y1, x1 in pixels from the image's edge.
    shape
        Of the image, (y, x).

    Returns
    -------
    start
        First pixel (y, x) of the crop.
    crop : (h, w) float32
        Probabilities of the pixels whose centres lie in the box and in the image; may hold none.
    """
    first = [max(0, int(np.ceil(box[axis] - 0.5))) for axis in (0, 1)]
    behind = [min(shape[axis], int(np.ceil(box[axis + 2] - 0.5))) for axis in (0, 1)]
    positions = []
    for axis in (0, 1):
        centres = np.arange(first[axis], max(first[axis], behind[axis])) + 0.5
        inside = (centres - box[axis]) * mask.shape[axis] / (box[axis + 2] - box[axis])
        positions.append(np.clip(inside, 0.5, mask.shape[axis] - 0.5))
    return (first[0], first[1]), sample(mask, *positions)


def _weights(positions: np.ndarray, size: int) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(positions[:, None] - 0.5 - np.arange(size))).astype(np.float32)
