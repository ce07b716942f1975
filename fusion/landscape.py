"""Two kinds of markers vote: how deep in the mask a voxel lies, and how likely it is a nucleus' centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from skimage.segmentation import watershed

from zoo.errors import InputError
from zoo.fusion.depth import depth, grown
from zoo.fusion.peaks import find_peaks, keep_apart
from zoo.fusion.watershed import check_mask, check_spacing, components

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
    sampling = check_spacing(spacing)
    scale = CENTRE_UM / 255 if centres.dtype == np.uint8 else CENTRE_UM
    labels = components(mask)
    found = 0
    for piece, box in enumerate(ndi.find_objects(labels) if mask.any() else (), start=1):
        around = grown(box, (1, 1, 1), labels.shape)
        # labels given before are negative, so that no piece takes them for its own
        inside = labels[around] == piece
        height = depth(inside, spacing).astype(np.float32)
        height += np.float32(scale) * centres[around]
        height *= inside
        height = ndi.gaussian_filter(height, SMOOTHING / sampling, output=height)
        peaks = find_peaks(height, inside)
        chosen = keep_apart(peaks * sampling, height[tuple(peaks.T)], np.zeros(len(peaks), int), MIN_DISTANCE)
        seeds = np.zeros(inside.shape, np.int32)
        seeds[tuple(peaks[chosen].T)] = found + 1 + np.arange(len(chosen))
        np.negative(height, out=height)
        labels[around][inside] = -watershed(height, seeds, mask=inside)[inside]
        found += len(chosen)
    return np.negative(labels, out=labels)
