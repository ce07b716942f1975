"""From a microscope's voxels to a network's and back: isotropic resampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from zoo.data.boxes import Box

MOST_READ = 2**25  # voxels of the volume that are held at once, unless one plane has more

_Step = tuple[np.ndarray, np.ndarray, np.ndarray]


def working_shape(shape: Sequence[int], spacing: Sequence[float], voxel_um: float) -> tuple[int, ...]:
    """Return the shape of a volume resampled to cubes of ``voxel_um``; no axis falls below one voxel."""
    return tuple(max(1, round(n * um / voxel_um)) for n, um in zip(shape, spacing, strict=True))


def spacing_after(
    spacing: Sequence[float], old: Sequence[int], new: Sequence[int]
) -> tuple[float, float, float]:
    """Return the voxel size, (z, y, x) in um, of a volume that was resampled from one shape to another."""
    z, y, x = (um * before / after for um, before, after in zip(spacing, old, new, strict=True))
    return z, y, x


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Resample a volume linearly to another shape; both cover the same space edge to edge.

    Parameters
    ----------
    image : (Z, Y, X)
        Booleans count as 0 and 1.
    shape
        Wanted shape, (z, y, x) voxels.

    Returns
    -------
    float32 volume of that shape
    """
    shape = tuple(int(n) for n in shape)
    if image.shape == shape:
        return np.asarray(image, np.float32)
    if image.dtype.kind == "f" or image.dtype.itemsize > 2:  # others are read as they are, without a copy
        image = np.asarray(image, np.float32)
    factors = [new / old for new, old in zip(shape, image.shape, strict=True)]
    # grid_mode: voxels are little boxes, so that the volume's faces, not the outer voxels' centres, coincide
    return ndimage.zoom(image, factors, np.float32, order=1, mode="nearest", grid_mode=True)


def resample_box(
    read: Callable[[Box], np.ndarray], old: Sequence[int], new: Sequence[int], box: Box
) -> np.ndarray:
    """Return a box of what `resample` makes of a volume, of which only what is needed is read, part by part.

    Parameters
    ----------
    read
        Takes a box (z, y, x) of the volume and returns its voxels.
    old, new
        Shape of the volume, and that which it is resampled to, (z, y, x) voxels.
    box
        In the resampled volume.

    Returns
    -------
    float32 volume of the box' size
    """
    steps = [_between(*axis) for axis in zip(old, new, box, strict=True)]
    (z_low, z_high, z_share), y, x = steps
    plane = math.prod(int(high[-1] - low[0]) + 1 for low, high, _ in (y, x)) * (-(-old[0] // new[0]) + 1)
    at_once = max(1, MOST_READ // plane)
    found = np.empty([len(low) for low, _, _ in steps], np.float32)
    for first in range(0, len(found), at_once):
        some = slice(first, first + at_once)
        found[some] = _interpolated(read, [(z_low[some], z_high[some], z_share[some]), y, x])
    return found


def _interpolated(read: Callable[[Box], np.ndarray], steps: Sequence[_Step]) -> np.ndarray:
    z, y, x = (slice(int(low[0]), int(high[-1]) + 1) for low, high, _ in steps)
    part = read((z, y, x)).astype(np.float32)
    for axis, (low, high, share) in enumerate(steps):
        if not share.any() and np.array_equal(low - low[0], np.arange(part.shape[axis])):
            continue  # its voxels as they are
        above = part.take(high - low[0], axis)
        part = part.take(low - low[0], axis)
        above -= part
        above *= share.reshape([-1 if other == axis else 1 for other in range(3)])
        part += above
    return part


def _between(old: int, new: int, side: slice) -> _Step:
    """Return the old voxels below and above each new one, and the share of the latter."""
    at = np.clip((np.arange(side.start, side.stop) + 0.5) * old / new - 0.5, 0, old - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, old - 1), (at - low).astype(np.float32)


def nearest(labels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Resample a mask or labels to another shape, each voxel taking the old one that its centre lies in.

    Parameters
    ----------
    labels : (Z, Y, X) bool or int
    shape
        Wanted shape, (z, y, x) voxels; both cover the same space edge to edge.

    Returns
    -------
    volume of that shape and the same type
    """
    index = [
        ((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(labels.shape, shape, strict=True)
    ]
    return labels[np.ix_(*index)]
