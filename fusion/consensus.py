"""Label images of any origin in, one agreed label image out, with how far they agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, unknown
from zoo.fusion.detections import Detections, count_shared, from_labels, to_labels
from zoo.fusion.ensemble import fuse
from zoo.fusion.slices import join
from zoo.fusion.watershed import check_spacing

By = Literal["volume", "slices"]
Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the label images agree on one object of the consensus.

    Parameters
    ----------
    label
        Its label.
    votes
        Label images that have it; each counts the same, whatever its weight.
    share
        `votes` over the number of label images.
    mean_iou
        Mean intersection over union of the voters' own objects, over all pairs of voters; NaN of one voter.
    volume_um3
        Voxels times the volume of one, in um^3.
    z_um, y_um, x_um
        Mean position of its voxels in um; the middle of the first voxel is at 0.
    """

    label: int
    votes: int
    share: float
    mean_iou: float
    volume_um3: float
    z_um: float
    y_um: float
    x_um: float


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """What several label images agree on.

    Parameters
    ----------
    labels : (Z, Y, X) int32
        0 is background, objects are 1..n without gaps.
    objects
        One an object, by ascending label.
    uncertainty : (Z, Y, X) float32
        4 p (1 - p), where p is the weighted share of the label images in which the voxel belongs to any
        object: 0 where all say object or all say background, 1 where they are evenly split.
    """

    labels: npt.NDArray[np.int32]
    objects: tuple[Agreement, ...]
    uncertainty: npt.NDArray[np.float32]


def agree(
    images: Sequence[Labels],
    spacing: Sequence[float],
    *,
    weights: Sequence[float] | None = None,
    by: By = "volume",
    threshold: float = 0.5,
    radius_um: float = 6.0,
    slice_fusion: str = "cluster",
    min_volume: float = 0.0,
) -> Consensus:
    """Let label images vote, each of their objects being a detection.

    Centroids are clustered, clusters that fewer than half of the images share are dropped, and a voxel
    belongs to an object where more than `threshold` of its voters' weight says so (`zoo.fusion.ensemble`).
    Of two images, half is one: each object that either has stays, and of equal weights the mask of a
    shared one is the intersection.

    Parameters
    ----------
    images
        Two or more (Z, Y, X) arrays of one shape, integers or booleans. 0 is background, other identifiers
        need not be consecutive. With Z = 1 the vote is one in 2-D.
    spacing
        Voxel size (z, y, x) in um.
    weights : (K,) float
        How much each image's masks count, above 0; only their ratios matter. ``None``: all the same.
    by
        ``"volume"`` clusters whole objects in 3-D; ``"slices"`` votes slice by slice, as the paper does, and
        joins the results over z.
    threshold
        Share of the voters' weight above which a voxel belongs to an object.
    radius_um, slice_fusion
        How ``"slices"`` joins over z: see `zoo.fusion.slices.join`.
    min_volume
        Objects of less are left out, um^3.

    Returns
    -------
    Consensus
        Labels, agreement on each object, and the uncertainty map.

    Raises
    ------
    InputError
        If there are fewer than two images, one is no 3-D label image or of another shape, the weights are not
        one positive number an image, or a setting is not allowed.

    Notes
    -----
    Source of the vote: Wu et al. 2022, CVPRW (EMR-CNN), who fuse the 2-D detections of networks and weigh
    each by its own score. Here one weight holds for all objects of an image; the vote in 3-D, the agreement
    and the uncertainty are ours.

    An object of an image is a voter of the result that it has the best IoU with, if they share more than half
    of the smaller one's voxels; of several in one image the best. These are seen in the result, not in the
    clusters: those differ from slice to slice, and may hold an object that lies elsewhere.

    The uncertainty looks at foreground only: where all images see nuclei but divide them differently it is 0,
    and `Agreement.mean_iou` is low.
    """
    um: list[float] = check_spacing(spacing).tolist()
    _check_images(images)
    shares = _check_weights(weights, len(images))
    if by not in get_args(By):
        raise unknown("by", str(by), get_args(By))
    shape = images[0].shape
    members = [_detect(image, share) for image, share in zip(images, shares, strict=True)]
    if by == "volume":
        found = fuse(members, um, threshold=threshold).detections
        stays = np.flatnonzero(_voxels(found) * math.prod(um) >= min_volume)
        labels = to_labels(found.take(stays), shape)
    else:
        slices = [
            fuse(
                [_detect(image[z], share) for image, share in zip(images, shares, strict=True)],
                um[1:],
                threshold=threshold,
            ).detections
            for z in range(shape[0])
        ]
        labels = join(slices, shape, um, method=slice_fusion, radius_um=radius_um, min_volume=min_volume)
    return Consensus(labels, _agreements(labels, members, um), _uncertainty(images, shares))


def _check_images(images: Sequence[Labels]) -> None:
    if len(images) < 2:
        raise InputError(f"{len(images)} label image has nothing to agree with: give two or more")
    for number, image in enumerate(images, start=1):
        if image.ndim != 3 or image.size == 0 or image.dtype.kind not in "biu":
            raise InputError(
                f"label image {number} ({image.dtype}, shape {image.shape}) must be integers (z, y, x): "
                "convert it, and give a series frame by frame"
            )
        if image.shape != images[0].shape:
            raise InputError(
                f"label image {number} (shape {image.shape}) must have the shape of the first, "
                f"{images[0].shape}: bring all to one grid"
            )
        if image.dtype.kind == "i" and (lowest := image.min()) < 0:
            raise InputError(
                f"label image {number} has the label {lowest}: labels are 0 or more; renumber them"
            )


def _check_weights(weights: Sequence[float] | None, count: int) -> npt.NDArray[np.float32]:
    """Return the weights with the largest at 1, as a detection's score is at most 1."""
    given = np.ones(count) if weights is None else np.asarray(weights, float)
    if given.shape != (count,):
        raise InputError(
            f"{given.size} scores for {count} label images: give one score an image, in their order"
        )
    if not (np.isfinite(given) & (given > 0)).all():
        shown = ", ".join(f"{weight:g}" for weight in given)
        raise InputError(
            f"scores {shown} must be finite and above 0: leave out an image that is not to count"
        )
    return (given / given.max()).astype(np.float32)


def _detect(image: Labels, score: float) -> Detections:
    found = from_labels(image)
    return replace(found, scores=np.full(len(found), score, np.float32))


def _voxels(detections: Detections) -> npt.NDArray[np.integer[Any]]:
    """Count the voxels of each mask."""
    return np.array([np.count_nonzero(mask) for mask in detections.masks], int)


def _voters(member: Detections, labels: Labels) -> npt.NDArray[np.intp]:
    """Find which object of an image supports each result by its overlap: (N,), -1 for none."""
    sizes = np.bincount(labels.ravel())
    voters = np.full(len(sizes) - 1, -1)
    best = np.zeros(len(sizes) - 1)
    for i, (box, mask, size) in enumerate(zip(member.boxes(), member.masks, _voxels(member), strict=True)):
        hit, shared = np.unique(labels[box][mask], return_counts=True)
        fits = (hit > 0) & (2 * shared > np.minimum(size, sizes[hit]))
        if fits.any():
            iou = (shared / (size + sizes[hit] - shared))[fits]
            result = hit[fits][iou.argmax()] - 1
            if iou.max() > best[result]:
                voters[result], best[result] = i, iou.max()
    return voters


def _agreements(labels: Labels, members: Sequence[Detections], um: Sequence[float]) -> tuple[Agreement, ...]:
    """Describe each object of the result by the objects that vote for it."""
    found = from_labels(labels)
    voters = np.stack([_voters(member, labels) for member in members])
    rows = []
    for n, (voxels, place) in enumerate(zip(_voxels(found), found.centroids(um), strict=True)):
        own = [(member, int(i)) for member, i in zip(members, voters[:, n], strict=True) if i >= 0]
        overlaps = [_iou(*one, *other) for one, other in combinations(own, 2)]
        rows.append(
            Agreement(
                n + 1,
                len(own),
                len(own) / len(members),
                float(np.mean(overlaps)) if overlaps else np.nan,
                float(voxels * math.prod(um)),
                *place.tolist(),
            )
        )
    return tuple(rows)


def _iou(one: Detections, i: int, other: Detections, j: int) -> float:
    """Measure intersection over union of two cropped masks."""
    shared = count_shared(one, i, other, j)
    return shared / (np.count_nonzero(one.masks[i]) + np.count_nonzero(other.masks[j]) - shared)


def _uncertainty(images: Sequence[Labels], shares: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Measure how evenly the images are split on foreground, 0 to 1."""
    split = np.zeros(images[0].shape, np.float32)
    total = np.float32(0)
    for image, share in zip(images, shares, strict=True):
        split += (image > 0) * share
        total += share  # as the voxels are summed, so that all agreeing is 1 to the last bit
    split /= total
    split *= 4 * (1 - split)
    return split
