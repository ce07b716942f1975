"""What detectors might find of a known truth: segments missed, moved and made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from zoo.errors import InputError
from zoo.fusion.detections import Detections, from_labels, none_of

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]

# Scores of what is there and of what is not: these lower on the whole, yet no threshold parts the two
TRUE_SCORES = (0.7, 1.0)
FALSE_SCORES = (0.5, 0.9)


def simulate_members(
    labels: npt.NDArray[np.integer[Any]],
    members: int,
    *,
    missing: float = 0.05,
    false: float = 0.05,
    extra: int = 0,
    jitter: float = 1.0,
    seed: int = 0,
) -> list[list[Detections]]:
    """Make the detections of several members in each slice of a labelled volume.

    Members err independently of one another: each misses true segments, finds the others moved and grown or
    shrunk, and finds discs, of the area of the median segment of the volume, where nothing is.

    Parameters
    ----------
    labels
        (Z, Y, X) int. The truth, 0 is background.
    members
        Number of detectors, 1 or more.
    missing
        Chance of a true segment to be missed, 0 to 1.
    false
        False detections in a slice, as a share of its true segments, 0 or more; a fraction is a chance.
    extra
        False detections in each slice besides, 0 or more.
    jitter
        Voxels, 0 or more. A segment is moved by up to this much on each axis, rounded, and its outline in or
        out by up to this much, everywhere the same; any value is as likely.
    seed
        Seed of all that is random.

    Returns
    -------
    list of list of Detections
        For each slice those of each member, in the order of the labels, false ones last. Masks of one member
        may overlap; true ones score 0.7 to 1, false ones 0.5 to 0.9.

    Raises
    ------
    InputError
        If `labels` is not a 3-D array of integers or a number is out of its range.
    """
    if labels.ndim != 3 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels ({labels.ndim}-D {labels.dtype}) must be a 3-D array of integers (z, y, x)")
    if members < 1 or not 0 <= missing <= 1 or min(false, extra, jitter) < 0:
        raise InputError(
            f"members {members}, missing {missing}, false {false}, extra {extra} and jitter {jitter} "
            "do not make detectors: give 1 member or more, missing in 0 to 1 and the others 0 or more"
        )
    rng = np.random.default_rng(seed)
    truth = [from_labels(image) for image in labels]
    areas = [mask.sum() for part in truth for mask in part.masks]
    disc = _disc(float(np.median(areas)) if areas else 0)
    found = []
    for part in truth:
        outlines = [_outline(mask, jitter) for mask in part.masks]
        made_up = false * len(part) + extra
        found.append(
            [
                _member(part, outlines, labels.shape[1:], disc, missing, made_up, jitter, rng)
                for _ in range(members)
            ]
        )
    return found


def _member(
    truth: Detections,
    outlines: list[Floats],
    shape: tuple[int, ...],
    disc: Mask,
    missing: float,
    made_up: float,
    jitter: float,
    rng: np.random.Generator,
) -> Detections:
    """Make what one member finds in one slice."""
    parts = []
    for start, outline in zip(truth.starts, outlines, strict=True):
        # Drawn for all, so that the share missed does not change what becomes of the others
        moved = np.rint(rng.uniform(-jitter, jitter, 2)).astype(int)
        limit = rng.uniform(-jitter, jitter)
        score = rng.uniform(*TRUE_SCORES)
        if rng.random() >= missing:
            # A segment is shrunk to its innermost voxels at most
            mask = outline >= min(limit, outline.max())
            parts.append(_place(mask, start + moved - _margin(jitter), score, shape))
    for _ in range(int(made_up + rng.random())):
        corner = rng.integers(0, shape) - np.array(disc.shape) // 2
        parts.append(_place(disc, corner, rng.uniform(*FALSE_SCORES), shape))
    kept = [part for part in parts if len(part)]
    if not kept:
        return none_of(2)
    return Detections(
        np.concatenate([part.starts for part in kept]),
        tuple(part.masks[0] for part in kept),
        np.concatenate([part.scores for part in kept]),
    )


def _outline(mask: Mask, jitter: float) -> Floats:
    """Measure how deep voxels lie within a mask, below 0 outside: 0.5 at the voxels along its edge."""
    padded = np.pad(mask, _margin(jitter) + 1)
    depth: Floats = ndi.distance_transform_edt(padded) - ndi.distance_transform_edt(~padded)
    return (depth - np.copysign(0.5, depth))[1:-1, 1:-1]


def _margin(jitter: float) -> int:
    """Count the voxels by which a mask may grow."""
    return int(np.ceil(jitter))


def _place(
    mask: Mask, corner: npt.NDArray[np.integer[Any]], score: float, shape: tuple[int, ...]
) -> Detections:
    """Put one mask into the image; what leaves the image is cut off, and no box is wider than its mask."""
    first = np.maximum(-corner, 0)
    last = np.asarray(shape) - corner
    inside = mask[first[0] : max(last[0], 0), first[1] : max(last[1], 0)]
    tight = from_labels(inside.astype(np.uint8), np.array([score])) if inside.any() else none_of(2)
    return Detections(tight.starts + (corner + first) * (len(tight) > 0), tight.masks, tight.scores)


def _disc(area: float) -> Mask:
    """Draw a disc of about an area, voxels; one voxel at least."""
    radius = np.sqrt(area / np.pi)
    reach = np.arange(-int(radius), int(radius) + 1)
    disc: Mask = np.hypot(*np.meshgrid(reach, reach)) <= radius
    return disc
