"""Peaks of a height map inside a mask, and the choice of those that are not too close to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from scipy.spatial import cKDTree

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer[Any]]
Heights = npt.NDArray[np.floating[Any]]


def find_peaks(height: Heights, inside: Mask) -> npt.NDArray[np.intp]:
    """Find one voxel on each local maximum among the 6 neighbours inside a mask.

    Parameters
    ----------
    height
        (Z, Y, X), 0 or more inside the mask.
    inside
        (Z, Y, X) bool.

    Returns
    -------
    (N, 3) int
        Indices z, y, x. A plateau of equal height is one peak, at its voxel nearest the plateau's mean.
    """
    # Background left out and faces only, so that no component is hidden by what lies beside it
    level = np.where(inside, height, -1)
    faces = ndi.generate_binary_structure(3, 1)
    top = inside & (level >= ndi.maximum_filter(level, footprint=faces))
    plateaus, count = ndi.label(top)
    voxels = np.argwhere(top)
    owner = plateaus[tuple(voxels.T)] - 1
    sums = np.stack([np.bincount(owner, voxels[:, axis], count) for axis in range(3)], axis=1)
    means = sums / np.bincount(owner, minlength=count)[:, None]
    offset = ((voxels - means[owner]) ** 2).sum(axis=1)
    # Sorted by plateau, then by closeness to its mean: the first of each plateau is the answer
    order = np.lexsort((offset, owner))
    first = np.unique(owner[order], return_index=True)[1]
    return voxels[order[first]]


def keep_apart(
    points: Heights, heights: Heights, groups: Labels, min_distance: float
) -> npt.NDArray[np.intp]:
    """Choose points from the highest down, leaving out what is too close to a chosen one of its group.

    Parameters
    ----------
    points
        (N, 3) float. Places, um.
    heights, groups
        (N,) of each point.
    min_distance
        Least distance between two chosen points of a group, um.

    Returns
    -------
    (M,) int
        Indices of the chosen points, rising.
    """
    near = cKDTree(points).query_ball_point(points, min_distance)
    free = np.ones(len(points), bool)
    chosen = []
    for point in np.argsort(-heights, kind="stable"):
        if free[point]:
            chosen.append(point)
            rivals = np.asarray(near[point], dtype=np.intp)
            free[rivals[groups[rivals] == groups[point]]] = False
    return np.array(sorted(chosen), dtype=np.intp)
