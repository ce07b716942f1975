"""Where the cell is in a movie of one: the box that its frames are cut to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from zoo.data.movies import Fit

Box = tuple[slice, slice, slice]

# all ours
MARGIN_UM = 0.2  # of the cell's edge, which the threshold may miss
SIGMA = 1.0  # voxels; the noise that is left of the mean of a few frames
FLOOR = 1e-3  # of the brightest; what is darker counts as this, as 0 and less have no logarithm
FLAT = 1e-6  # a range of the logarithm that is no more than the rounding of the filter


def find_cell(frames: np.ndarray, spacing: Sequence[float]) -> Box:
    """Find the box of the cell in a movie.

    The cell is the largest connected part in which the logarithm of the mean over time, smoothed, is above
    its Otsu threshold. By the logarithm a bright patch does not hide the rest of its cell.

    Parameters
    ----------
    frames : (T, Z, Y, X)
        Any real type, finite.
    spacing
        Voxel size (z, y, x) in um.

    Returns
    -------
    tuple of three slices
        Of z, y and x: the cell and 0.2 um on each side, as far as the volume goes. The whole volume where
        nothing stands out: it is constant, nowhere above 0, or the box has fewer than 2 voxels on an axis.
    """
    from skimage.filters import threshold_otsu  # slow to import

    shape = frames.shape[1:]
    smooth = ndimage.gaussian_filter(frames.mean(axis=0, dtype=np.float64), SIGMA)
    top = smooth.max()
    if top <= 0:
        return _whole(shape)
    bright = np.log(np.maximum(smooth, FLOOR * top))
    if np.ptp(bright) < FLAT:
        return _whole(shape)
    parts, _ = ndimage.label(bright > threshold_otsu(bright))
    largest = np.bincount(parts.ravel())[1:].argmax()
    widened = []
    for found, n, um in zip(ndimage.find_objects(parts)[largest], shape, spacing, strict=True):
        start, stop = round(found.start - MARGIN_UM / um), round(found.stop + MARGIN_UM / um)
        widened.append(slice(max(0, start), min(n, stop)))
    if any(part.stop - part.start < 2 for part in widened):
        return _whole(shape)
    z, y, x = widened
    return z, y, x


def box_to_fit(frames: np.ndarray, spacing: Sequence[float], fit: Fit) -> Box:
    """Return the part of each frame that is brought to a network's size.

    Parameters
    ----------
    frames, spacing
        As for `find_cell`.
    fit
        ``cell``: the cell's box. Else the whole frames.
    """
    return find_cell(frames, spacing) if fit == "cell" else _whole(frames.shape[1:])


def _whole(shape: Sequence[int]) -> Box:
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x
