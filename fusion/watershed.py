"""Marker-controlled watershed: masks and centres in, labelled nuclei out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from skimage.segmentation import watershed

from zoo.data.boxes import Box, grown
from zoo.errors import InputError, unknown
from zoo.fusion.depth import Mask, depth
from zoo.fusion.peaks import find_peaks, keep_apart

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

    Only components with several markers are flooded, one at a time in their own boxes, to save memory. That
    changes no voxel, as the nearest voxel outside a component is background and two floods never meet; but
    where seed voxels of two markers are equally deep, which goes first is left to scikit-image's heap.
    """
    check_mask("mask", mask)
    check_mask("centres_mask", centres_mask)
    if mask.shape != centres_mask.shape:
        raise InputError(
            f"centres_mask (shape {centres_mask.shape}) must have the shape of mask, {mask.shape}: "
            "give two masks of one volume"
        )
    if unmarked not in get_args(Unmarked):
        raise unknown("unmarked", str(unmarked), get_args(Unmarked))
    sampling = check_spacing(spacing)
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    at = np.flatnonzero(mask & centres_mask)
    # Labelled as a whole: cutting a marker at the mask could part what is one blob
    found, seeds = np.unique(components(centres_mask).ravel()[at], return_inverse=True)
    seeds += 1
    labels = components(mask)
    del mask, centres_mask  # their memory, where the caller has no more use for them
    pieces = ndi.find_objects(labels)
    # numbers that are for good, after those of the pieces, so that the two are told apart
    labels = labels.astype(np.min_scalar_type(len(pieces) + len(found)), copy=False)
    owners = labels.ravel()[at]
    numbers = np.zeros(len(pieces) + 1, np.int32)
    numbers[owners] = seeds  # where there are several, any
    for piece in np.unique(owners[numbers[owners] != seeds]):
        box = grown(pieces[piece - 1], (1, 1, 1), labels.shape)
        here = owners == piece
        inside = labels[box] == piece
        flooded = watershed(  # given arrays that only it holds: it frees them when it has made its own
            -depth(inside, sampling), _seed_volume(box, at[here], seeds[here], labels.shape), mask=inside
        )
        labels[box][inside] = len(pieces) + flooded[inside]
    bare = np.flatnonzero(numbers[1:] == 0) + 1
    if unmarked == "keep":
        numbers[bare] = len(found) + 1 + np.arange(len(bare))
    return _look_up(labels, np.concatenate([numbers, np.arange(1, len(found) + 1, dtype=np.int32)]))


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
    check_mask("mask", mask)
    sampling = check_spacing(spacing)
    if min_distance < 0 or smoothing < 0:
        raise InputError(f"min_distance {min_distance} and smoothing {smoothing} must be 0 um or more")
    marked = np.zeros(mask.shape, bool)
    box = _padded_box(mask)
    if box is None:
        return marked
    inside = mask[box]
    height = depth(inside, sampling)
    if smoothing:
        height = ndi.gaussian_filter(height, smoothing / sampling)
    peaks = find_peaks(height, inside)
    at = tuple(peaks.T)
    chosen = keep_apart(peaks * sampling, height[at], components(inside)[at], min_distance)
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
    check_mask("mask", mask)
    labels: Labels = ndi.label(mask)[0]
    return labels


def remove_small(
    labels: Labels, min_volume: float, spacing: Sequence[float] = (1, 1, 1), out: Labels | None = None
) -> Labels:
    """Drop the labels smaller than a volume and number the others without gaps, in the order they had.

    Parameters
    ----------
    labels
        (Z, Y, X) int. 0 is background.
    min_volume
        Least volume that stays, um3.
    spacing
        Voxel size (z, y, x) in um.
    out
        (Z, Y, X). Where to write the result; `labels` itself saves the memory of another volume.

    Returns
    -------
    (Z, Y, X) int32, or `out`
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
    sizes = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    for plane in labels:
        sizes += np.bincount(plane.ravel(), minlength=len(sizes))
    stays = sizes >= max(least, 1)
    stays[0] = False
    return _look_up(labels, np.where(stays, np.cumsum(stays), 0).astype(np.int32), out)


def check_mask(name: str, mask: Mask) -> None:
    """Refuse a mask that is not (Z, Y, X) and boolean.

    Parameters
    ----------
    name
        What to call it in the error.
    mask
        Any array.

    Raises
    ------
    InputError
        If it is not 3-D and boolean.
    """
    if mask.ndim != 3:
        raise InputError(f"{name} ({mask.ndim}-D) must be 3-D (z, y, x)")
    if mask.dtype != bool:
        raise InputError(f"{name} ({mask.dtype}) must be boolean: compare it first, as in probability >= 0.5")


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


def _look_up(labels: Labels, table: Labels, out: Labels | None = None) -> Labels:
    """Give each voxel what a table has for its label; a new volume is int32."""
    numbers = np.empty(labels.shape, np.int32) if out is None else out
    for plane, new in zip(labels, numbers, strict=True):  # numpy looks up by 64-bit copies of the labels
        new[...] = table[plane]
    return numbers


def _seed_volume(
    box: Box, at: npt.NDArray[np.intp], seeds: npt.NDArray[np.intp], shape: tuple[int, ...]
) -> Labels:
    """Put seeds, at voxels that are counted through the volume, into a box cut out of it."""
    inside = np.zeros([side.stop - side.start for side in box], np.int32)
    voxels = zip(np.unravel_index(at, shape), box, strict=True)
    inside[tuple(index - side.start for index, side in voxels)] = seeds
    return inside


def _padded_box(mask: Mask) -> Box | None:
    """Bound the foreground with one voxel around it, so that distances are those of the whole volume."""
    if not mask.any():
        return None
    return grown(ndi.find_objects(mask.view(np.uint8))[0], (1, 1, 1), mask.shape)
