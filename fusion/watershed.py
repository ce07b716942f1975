"""Marker-controlled watershed: masks and centres in, labelled nuclei out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from scipy.spatial import cKDTree
from skimage.segmentation import watershed

from zoo.errors import InputError, unknown

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.integer[Any]]
Unmarked = Literal["keep", "drop"]


def split_touching(
    mask: Mask, centres_mask: Mask, spacing: Sequence[float] = (1, 1, 1), unmarked: Unmarked = "keep"
) -> Labels:
    """Split a foreground mask into one label a centre, along the valleys of its distance transform.

    This is QCANet's last step: the mask comes from the NSN, the centres from the NDN. The connected
    components of `centres_mask` are the markers, numbered in scan order; what of each lies inside `mask`
    is its seed, and a marker wholly outside is ignored. A marker that reaches into two separate
    foreground components gives both the same label.

    Parameters
    ----------
    mask
        (Z, Y, X) bool. Foreground.
    centres_mask
        (Z, Y, X) bool. A blob in each nucleus.
    spacing
        Voxel size (z, y, x) in um; distances are measured in um.
    unmarked
        What becomes of a foreground component that holds no seed: ``"keep"`` makes it a label of its own,
        numbered after the marked ones; ``"drop"`` makes it background.

    Returns
    -------
    (Z, Y, X) int32
        0 is background, nuclei are 1..n without gaps.

    Raises
    ------
    InputError
        If an array is not 3-D and boolean, the shapes differ, `spacing` is not three positive numbers or
        `unmarked` is unknown.

    Notes
    -----
    Markers, foreground components and flooding all use connectivity 1 (6 neighbours). Source: Tokuoka et
    al. 2020, npj Syst Biol Appl 6:32. The original resamples to cubic voxels before the distance transform;
    we measure distances on the grid as it is, in um. It drops unmarked foreground; we keep it.
    """
    _check_mask("mask", mask)
    _check_mask("centres_mask", centres_mask)
    if mask.shape != centres_mask.shape:
        raise InputError(
            f"centres_mask (shape {centres_mask.shape}) must have the shape of mask, {mask.shape}: "
            "give two masks of one volume"
        )
    if unmarked not in get_args(Unmarked):
        raise unknown("unmarked", str(unmarked), get_args(Unmarked))
    sampling = check_spacing(spacing)
    box = _padded_box(mask)
    if box is None:
        return np.zeros(mask.shape, np.int32)
    # Labelled on the whole volume: cutting a marker at the box could part what is one blob
    markers = components(centres_mask)
    inside = mask[box]
    seeds = _consecutive(np.where(inside, markers[box], 0))
    distance = _depth(inside, sampling)
    flooded = watershed(-distance, seeds, mask=inside)
    if unmarked == "keep":
        rest = components(inside & (flooded == 0))
        flooded = np.where(rest > 0, rest + seeds.max(), flooded)
    labels = np.zeros(mask.shape, np.int32)
    labels[box] = flooded
    return labels


def distance_markers(
    mask: Mask, spacing: Sequence[float] = (1, 1, 1), min_distance: float = 5.0, smoothing: float = 1.5
) -> Mask:
    """Mark the centres of blob-shaped objects by the peaks of the mask's distance transform.

    Peaks are taken from the highest down; each suppresses those closer than `min_distance`. A plateau of
    equal height is one peak, at its voxel nearest the plateau's mean. Every foreground component
    has at least one peak.

    Parameters
    ----------
    mask
        (Z, Y, X) bool. Foreground.
    spacing
        Voxel size (z, y, x) in um.
    min_distance
        Least distance between two peaks, um.
    smoothing
        Standard deviation of the Gaussian that smooths the distance transform before its peaks are sought,
        um; 0 for none. It removes peaks made by a ragged outline.

    Returns
    -------
    (Z, Y, X) bool
        One voxel a peak. No two are 6-neighbours while `min_distance` exceeds the voxel size.

    Raises
    ------
    InputError
        If `mask` is not 3-D and boolean, `spacing` is not three positive numbers, or a distance is negative.
    """
    _check_mask("mask", mask)
    sampling = check_spacing(spacing)
    if min_distance < 0 or smoothing < 0:
        raise InputError(f"min_distance {min_distance} and smoothing {smoothing} must be 0 um or more")
    marked = np.zeros(mask.shape, bool)
    box = _padded_box(mask)
    if box is None:
        return marked
    inside = mask[box]
    height = _depth(inside, sampling)
    if smoothing:
        height = ndi.gaussian_filter(height, smoothing / sampling)
    peaks = _peaks(height, inside)
    at = tuple(peaks.T)
    chosen = _spread(peaks * sampling, height[at], components(inside)[at], min_distance)
    marked[box][tuple(peaks[chosen].T)] = True
    return marked


def components(mask: Mask) -> Labels:
    """Label the connected components of a mask, 6 neighbours in 3-D (connectivity 1).

    Parameters
    ----------
    mask
        (Z, Y, X) bool. Foreground.

    Returns
    -------
    (Z, Y, X) int32
        Components 1..n in scan order, 0 is background.

    Raises
    ------
    InputError
        If `mask` is not 3-D and boolean.
    """
    _check_mask("mask", mask)
    labels: Labels = ndi.label(mask)[0]
    return labels


def remove_small(labels: Labels, min_volume: float, spacing: Sequence[float] = (1, 1, 1)) -> Labels:
    """Drop the labels smaller than a volume and number the others without gaps, in the order they had.

    Parameters
    ----------
    labels
        (Z, Y, X) int. 0 is background.
    min_volume
        Least volume that stays, um3.
    spacing
        Voxel size (z, y, x) in um.

    Returns
    -------
    (Z, Y, X) int32
        Labels 1..n.

    Raises
    ------
    InputError
        If `labels` is not a 3-D array of integers of 0 or more, or `spacing` is not three positive numbers.
    """
    if labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels ({labels.ndim}-D {labels.dtype}) must be a 3-D array of integers (z, y, x)")
    if labels.size and labels.min() < 0:
        raise InputError(f"labels (least value {labels.min()}) must be 0 or more, 0 being background")
    least = min_volume / float(np.prod(check_spacing(spacing)))
    return _consecutive(labels, least)


def check_spacing(spacing: Sequence[float]) -> npt.NDArray[np.floating[Any]]:
    """Check a voxel size and return it as an array.

    Parameters
    ----------
    spacing
        Voxel size (z, y, x) in um.

    Returns
    -------
    (3,) float

    Raises
    ------
    InputError
        If it is not three positive, finite numbers.
    """
    sampling = np.asarray(spacing, dtype=float)
    if sampling.shape != (3,) or not (np.isfinite(sampling) & (sampling > 0)).all():
        raise InputError(f"spacing {spacing!r} must be three positive numbers (z, y, x), in um")
    return sampling


def _consecutive(labels: Labels, least: float = 1) -> Labels:
    """Give the labels of at least `least` voxels the numbers 1..n in their order, the others 0."""
    sizes = np.bincount(labels.ravel())
    stays = sizes >= max(least, 1)
    stays[:1] = False
    numbers = np.where(stays, np.cumsum(stays), 0).astype(np.int32)
    renumbered: Labels = numbers[labels]
    return renumbered


def _peaks(height: npt.NDArray[np.floating[Any]], inside: Mask) -> npt.NDArray[np.intp]:
    """Find one voxel (z, y, x) on each local maximum of `height` among the 6 neighbours inside a mask."""
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


def _spread(
    points: npt.NDArray[np.floating[Any]],
    heights: npt.NDArray[np.floating[Any]],
    groups: Labels,
    min_distance: float,
) -> npt.NDArray[np.intp]:
    """Choose points from the highest down, leaving out what is closer than a distance to one of its group."""
    near = cKDTree(points).query_ball_point(points, min_distance)
    free = np.ones(len(points), bool)
    chosen = []
    for point in np.argsort(-heights, kind="stable"):
        if free[point]:
            chosen.append(point)
            rivals = np.asarray(near[point], dtype=np.intp)
            free[rivals[groups[rivals] == groups[point]]] = False
    return np.array(sorted(chosen), dtype=np.intp)


def _depth(inside: Mask, sampling: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Measure the distance of each foreground voxel to the nearest background voxel, um."""
    if not inside.all():
        depth: npt.NDArray[np.floating[Any]] = ndi.distance_transform_edt(inside, sampling=sampling)
        return depth
    # Without any background scipy's distances are those to voxel (-1, 0, 0); take what lies around the volume
    core = (slice(1, -1),) * 3
    return _depth(np.pad(inside, 1), sampling)[core]


def _padded_box(mask: Mask) -> tuple[slice, ...] | None:
    """Bound the foreground with one voxel around it, so that distances are those of the whole volume."""
    if not mask.any():
        return None
    box = ndi.find_objects(mask.astype(np.uint8))[0]
    return tuple(
        slice(max(side.start - 1, 0), min(side.stop + 1, length))
        for side, length in zip(box, mask.shape, strict=True)
    )


def _check_mask(name: str, mask: Mask) -> None:
    if mask.ndim != 3:
        raise InputError(f"{name} ({mask.ndim}-D) must be 3-D (z, y, x)")
    if mask.dtype != bool:
        raise InputError(f"{name} ({mask.dtype}) must be boolean: compare it first, as in probability >= 0.5")
