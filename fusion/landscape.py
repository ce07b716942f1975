"""Two kinds of markers vote: how deep in the mask a voxel lies, and how likely it is a nucleus' centre."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from skimage.segmentation import watershed

from zoo.data.boxes import Box, grown
from zoo.errors import InputError
from zoo.fusion.depth import depth
from zoo.fusion.peaks import find_peaks, keep_apart
from zoo.fusion.watershed import Labels, check_mask, check_spacing, components

CENTRE_UM = 4.0  # what a sure centre adds to the depth, um: about half of it in a late nucleus
MIN_DISTANCE = 5.0  # between two nuclei's centres, um
SMOOTHING = 1.0  # of the landscape, um: takes the ragged outlines' peaks


def split_by_vote(
    mask: npt.NDArray[np.bool_], centres: npt.NDArray[Any], spacing: Sequence[float] = (1, 1, 1)
) -> npt.NDArray[np.int32]:
    """Split a foreground mask into nuclei, where both its shape and a map of centres tell how.

    Each voxel of the mask has a height: its distance to the background, and `CENTRE_UM` times the probability
    that it is a centre. Peaks of that landscape are the markers, and it is flooded from them. So a nucleus
    whose centre was missed still has the peak of its own depth, and two that lie flat against each other have
    the centres found in them.

    Parameters
    ----------
    mask
        (Z, Y, X) bool. Foreground, of the NSN.
    centres
        (Z, Y, X) float in 0 to 1, or uint8 where 255 stands for 1. Probability of a centre, of the NDN.
    spacing
        Voxel size (z, y, x) in um.

    Returns
    -------
    (Z, Y, X) int32
        0 is background, nuclei are 1..n, numbered component by component.

    Raises
    ------
    InputError
        If an array is not 3-D, the mask not boolean, the shapes differ, or `spacing` is not three positive
        numbers.

    Notes
    -----
    Ours. Tokuoka et al. 2020 take the centres as markers and the distance alone as the landscape, which is
    :func:`zoo.fusion.watershed.split_touching`; what the vote gives is in `docs/models/qcanet.md`. Components
    (6 neighbours) are done one at a time in their own boxes, to save memory.
    """
    check_mask("mask", mask)
    if mask.shape != centres.shape:
        raise InputError(
            f"centres (shape {centres.shape}) must have that of mask, {mask.shape}: give maps of one volume"
        )
    check_spacing(spacing)
    labels = components(mask)
    found = 0
    for piece, box in _pieces(labels):
        inside = labels[box] == piece
        height = _landscape(inside, centres[box], spacing)
        peaks = _highest(height, inside, spacing)
        numbers = found + 1 + np.arange(len(peaks))
        # negative, so that no later piece takes them for its own
        labels[box][inside] = -_flood(height, inside, peaks, numbers)[inside]
        found += len(peaks)
    return np.negative(labels, out=labels)


def find_markers(
    mask: npt.NDArray[np.bool_], centres: npt.NDArray[Any], spacing: Sequence[float] = (1, 1, 1)
) -> tuple[npt.NDArray[np.intp], float]:
    """Find the markers that :func:`split_by_vote` floods from.

    Parameters
    ----------
    mask, centres, spacing
        As there.

    Returns
    -------
    markers : (N, 3) int
        Voxels z, y, x, in no order to rely on.
    highest
        Height of the highest voxel of all, um: where a larger volume is cut, what is nearer to the cut than
        that may be otherwise in it.
    """
    found, highest = [np.empty((0, 3), np.intp)], 0.0
    labels = components(mask)
    for piece, box in _pieces(labels):
        inside = labels[box] == piece
        height = _landscape(inside, centres[box], spacing)
        found.append(_highest(height, inside, spacing) + [side.start for side in box])
        highest = max(highest, float(height.max()))
    return np.concatenate(found), highest


def flood_from(
    mask: npt.NDArray[np.bool_],
    centres: npt.NDArray[Any],
    markers: npt.NDArray[np.intp],
    spacing: Sequence[float] = (1, 1, 1),
) -> npt.NDArray[np.int32]:
    """Flood the landscape of :func:`split_by_vote` from markers found before.

    Parameters
    ----------
    mask, centres
        As there.
    markers
        (N, 3) int. Voxels z, y, x; those outside the mask have no say.
    spacing
        As there.

    Returns
    -------
    (Z, Y, X) int32
        0 where there is background or no marker in a component; i where marker i - 1 was the nearest way up.
    """
    labels = components(mask)
    owners = labels[tuple(markers.T)]
    numbers = np.zeros(int(labels.max(initial=0)) + 1, np.int32)  # of pieces with one marker each
    several = np.zeros(len(numbers), bool)
    alone, first, count = np.unique(owners, return_index=True, return_counts=True)
    numbers[alone], several[alone] = -1 - first, count > 1
    for piece, box in _pieces(labels):
        if several[piece]:
            inside = labels[box] == piece
            height = _landscape(inside, centres[box], spacing)
            own = np.flatnonzero(owners == piece)
            at = markers[own] - [side.start for side in box]
            labels[box][inside] = -_flood(height, inside, at, own + 1)[inside]
    for plane in labels:
        plane[plane > 0] = numbers[plane[plane > 0]]
    return np.negative(labels, out=labels)


def _pieces(labels: Labels) -> Iterator[tuple[int, Box]]:
    """Yield each component and a box that has a voxel more than it on each side."""
    for piece, box in enumerate(ndi.find_objects(labels) if labels.any() else (), start=1):
        yield piece, grown(box, (1, 1, 1), labels.shape)


def _landscape(
    inside: npt.NDArray[np.bool_], centres: npt.NDArray[Any], spacing: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return the height of each voxel of a component, in its box."""
    scale = np.float32(CENTRE_UM / 255 if centres.dtype == np.uint8 else CENTRE_UM)
    height = depth(inside, spacing).astype(np.float32)
    height += scale * centres
    height *= inside
    sigma = SMOOTHING / np.asarray(spacing)
    # without light from beyond the box: what lies there is background
    smoothed: npt.NDArray[np.float32] = ndi.gaussian_filter(height, sigma, output=height, mode="constant")
    return smoothed


def _highest(
    height: npt.NDArray[np.float32], inside: npt.NDArray[np.bool_], spacing: Sequence[float]
) -> npt.NDArray[np.intp]:
    peaks = find_peaks(height, inside)
    heights = height[tuple(peaks.T)]
    return peaks[keep_apart(peaks * np.asarray(spacing), heights, np.zeros(len(peaks), int), MIN_DISTANCE)]


def _flood(
    height: npt.NDArray[np.float32],
    inside: npt.NDArray[np.bool_],
    markers: npt.NDArray[np.intp],
    numbers: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.int32]:
    seeds = np.zeros(inside.shape, np.int32)
    seeds[tuple(markers.T)] = numbers
    return watershed(np.negative(height, out=height), seeds, mask=inside)
