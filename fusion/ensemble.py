"""The vote of several detectors on one slice or volume: their detections in, one set of objects out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import average, ward
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from zoo.errors import InputError, unknown
from zoo.fusion.detections import Detections, count_shared, none_of
from zoo.fusion.silhouette import DEFINITIONS, cut, mean_silhouettes

LINKAGES = {"ward": ward, "average": average}
"""The paper names Ward's minimum variance; the code published with it uses the average."""

BOUNDS = ("votes", "paper")

Floats = NDArray[np.floating]
Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fused:
    """What the members agree on, ordered by centroid (first axis, then the next).

    Parameters
    ----------
    detections
        N fused objects, no voxel in two of them; the score is the mean one of the cluster.
    votes : (N,) int
        Detections in each object's cluster; the members in it, where one a member counts.
    probabilities
        N float32 crops at the places of `detections.masks`: the share of the scores that claim a voxel.
    clusters
        An integer array a member: for each of its detections the object that it is part of, -1 if dropped.
    """

    detections: Detections
    votes: Ints
    probabilities: tuple[Floats, ...]
    clusters: tuple[Ints, ...]


@dataclass(frozen=True, slots=True)
class _Pool:
    """The detections of all members in an order that depends on what they are, not on how they were given."""

    detections: Detections
    members: Ints
    """Rank of the member that found each."""
    sources: tuple[tuple[int, int], ...]
    """The member as given and the index in it, of each."""


@dataclass(slots=True)
class _Object:
    """One cluster's share of the scores in each voxel of a box."""

    box: tuple[slice, ...]
    probability: Floats
    mask: Mask
    score: float
    chosen: Ints

    def centroid(self) -> tuple[float, ...]:
        """Return the mean position of the mask in voxels."""
        corner = [side.start for side in self.box]
        return tuple((np.argwhere(self.mask).mean(axis=0) + corner).tolist())


def fuse(
    members: Sequence[Detections],
    spacing: Sequence[float],
    *,
    linkage: str = "ward",
    silhouette: str = "standard",
    bounds: str = "votes",
    one_per_member: bool = True,
    threshold: float = 0.5,
) -> Fused:
    """Cluster the detections of M members by their centroids and let each cluster of M/2 or more vote.

    The order of the members and of their detections changes nothing. One member has nobody to vote with:
    each of its detections is a cluster, and only voxels claimed twice are settled. Where no cluster has
    M/2 votes, or no voxel more than `threshold` of its cluster's scores, the result is empty.

    Parameters
    ----------
    members
        M detectors' detections in one image; each may be empty.
    spacing
        Voxel size (y, x) of a slice or (z, y, x) of a volume, in um.
    linkage
        ``"ward"`` or ``"average"``.
    silhouette
        ``"standard"`` or ``"others"``, see `zoo.fusion.silhouette.mean_silhouettes`.
    bounds
        How far the number of clusters is sought, ``"votes"`` or ``"paper"``: `cluster_range`. With
        ``"votes"`` a cluster is also divided into what hangs together by masks that share voxels.
    one_per_member
        Whether a cluster takes but one detection from a member, the one with the highest score; the others
        are dropped, they do not move on to another cluster. Otherwise each has a vote.
    threshold
        Voxels belong to the fused mask where sum(Pr Seg) / sum(Pr) is above it; 0 to below 1. Pr is the
        score of a detection of the cluster, Seg its mask.

    Returns
    -------
    Fused
        Boxes are tight. A voxel claimed twice goes to the higher probability, then to the higher score,
        then to the first; an object that keeps no voxel vanishes.

    Raises
    ------
    InputError
        If no member is given, axes do not match the spacing, a score or the threshold is out of its range,
        or a name is unknown.

    Notes
    -----
    Source: Wu et al. 2022, CVPRW (EMR-CNN), from its formulas. The number of clusters has the highest
    mean silhouette within its bounds; of equals the smallest is taken. The paper does not say when a single
    cluster is right, which has no silhouette: ours is one cluster if the range holds one and the centroid of
    each detection lies in the masks of all others, as with one nucleus, and not with two beside each other.
    A bound on the silhouettes cannot tell: those of a few jittered points are high by chance, and false
    detections lower all. Nor does the highest silhouette keep objects apart that few members found: it counts
    a cluster of one as 0, so that several of these share one, of which each member then has but one vote. So
    clusters are divided, which is ours.
    """
    _check(members, spacing, (linkage, silhouette, bounds), threshold)
    pool = _pool(members, len(spacing))
    counts = np.array([len(member) for member in members])
    tried = cluster_range(counts, bounds)
    labels = (
        _cluster(pool, spacing, linkage, silhouette, tried) if len(members) > 1 else np.arange(counts.sum())
    )
    if bounds == "votes":
        labels = _divide(labels, pool.detections)
    chosen = _best_of_members(labels, pool) if one_per_member else np.arange(len(labels))
    votes = np.bincount(labels[chosen])
    objects = [
        _vote(pool.detections, chosen[labels[chosen] == label], threshold)
        for label in np.flatnonzero(2 * votes >= len(members))
    ]
    return _assemble(_settle(objects), pool, [len(member) for member in members], len(spacing))


def cluster_range(counts: Ints, bounds: str = "votes") -> tuple[int, int]:
    """Bound the number of clusters by the detections of each member, widened by their standard deviation.

    These bounds are the paper's. Where members miss different objects, there are more objects than any
    member found, and one of them shares a cluster with a neighbour: of 100 nuclei that 8 members see, each
    missing a fifth at random, the paper's bounds lost 12, ours none. So the upper one is raised to twice the
    mean number of detections, beyond which not all clusters can have half of the votes.

    Parameters
    ----------
    counts : (M,) int
        Detections of each member.
    bounds
        ``"votes"``, as told above, or ``"paper"``.

    Returns
    -------
    tuple of int
        First and last number of clusters, 1 or more and no more than there are detections.

    Notes
    -----
    Source: Wu et al. 2022, CVPRW; rounded outwards, with the standard deviation of the members at hand
    (divided by M, not M - 1).
    """
    deviation = counts.std()
    low = math.floor(counts.min() - deviation)
    high = math.ceil(counts.max() + deviation)
    if bounds == "votes":
        high = max(high, math.ceil(2 * counts.mean()))
    return max(low, 1), min(high, int(counts.sum()))


def _check(
    members: Sequence[Detections], spacing: Sequence[float], names: tuple[str, str, str], threshold: float
) -> None:
    linkage, silhouette, bounds = names
    if linkage not in LINKAGES:
        raise unknown("linkage", str(linkage), LINKAGES)
    if silhouette not in DEFINITIONS:
        raise unknown("silhouette", str(silhouette), DEFINITIONS)
    if bounds not in BOUNDS:
        raise unknown("bounds", str(bounds), BOUNDS)
    if not 0 <= threshold < 1:
        raise InputError(f"threshold {threshold} must be 0 or more and below 1")
    sides = np.asarray(spacing, float)
    if sides.shape not in ((2,), (3,)) or not (np.isfinite(sides) & (sides > 0)).all():
        raise InputError(f"spacing {spacing!r} must be two or three positive numbers ((z,) y, x), in um")
    if not members:
        raise InputError("no members to fuse: give the detections of one or more")
    for index, member in enumerate(members):
        if member.starts.shape != (len(member), len(spacing)):
            raise InputError(
                f"member {index} has starts of shape {member.starts.shape}, but spacing {spacing!r} and its "
                f"{len(member)} masks want {(len(member), len(spacing))}: give one spacing an axis"
            )
        scores = np.asarray(member.scores, np.float32)
        if scores.shape != (len(member),) or not ((scores > 0) & (scores <= 1)).all():
            raise InputError(
                f"the scores of member {index} must be {len(member)} numbers above 0 and at most 1"
            )


def _pool(members: Sequence[Detections], axes: int) -> _Pool:
    """Put the detections of all members in the order of their position, score and mask.

    Equal ones follow the order of their members, which is that of what each of these holds.
    """
    keys = [
        [
            (tuple(start.tolist()), mask.shape, float(score), mask.tobytes())
            for start, mask, score in zip(member.starts, member.masks, member.scores, strict=True)
        ]
        for member in members
    ]
    ranked = sorted(range(len(members)), key=lambda member: sorted(keys[member]))
    rank = {member: place for place, member in enumerate(ranked)}
    sources = sorted(
        ((member, index) for member in ranked for index in range(len(keys[member]))),
        key=lambda source: (keys[source[0]][source[1]], rank[source[0]]),
    )
    if not sources:
        return _Pool(none_of(axes), np.zeros(0, np.intp), ())
    detections = Detections(
        np.array([members[member].starts[index] for member, index in sources]),
        tuple(members[member].masks[index] for member, index in sources),
        # sums of these are exact in float64: half of the votes is a half, in any order
        np.array([members[member].scores[index] for member, index in sources], np.float32),
    )
    return _Pool(detections, np.array([rank[member] for member, _ in sources]), tuple(sources))


def _cluster(
    pool: _Pool, spacing: Sequence[float], linkage: str, silhouette: str, tried: tuple[int, int]
) -> Ints:
    """Assign each detection of the pool to a cluster, numbered from 0."""
    n = len(pool.detections)
    if n < 2:
        return np.arange(n)
    k_min, k_max = tried
    points = pool.detections.centroids(spacing)
    if k_max == 1 or (k_min == 1 and _is_one_object(pool.detections)):
        return np.zeros(n, np.intp)
    # of distances: two points in a plane, or three in space, may look like a table of distances to scipy
    tree = LINKAGES[linkage](pdist(points))
    k_min = max(k_min, 2)
    scores = mean_silhouettes(points, tree, k_min, k_max, silhouette)
    return cut(tree, k_min + int(scores.argmax()))


def _divide(labels: Ints, detections: Detections) -> Ints:
    """Divide clusters into what hangs together by masks that share voxels; numbered from 0."""
    shapes = np.array([mask.shape for mask in detections.masks], np.intp)
    ends = detections.starts + shapes.reshape(detections.starts.shape)
    touching: list[tuple[int, int]] = []
    for group in np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1]):
        near = np.ones((len(group), len(group)), bool)  # whose boxes overlap
        for start, end in zip(detections.starts[group].T, ends[group].T, strict=True):
            near &= (start[:, np.newaxis] < end) & (start < end[:, np.newaxis])
        pairs = group[np.argwhere(np.triu(near, 1))].tolist()
        touching += [(i, j) for i, j in pairs if count_shared(detections, i, detections, j)]
    rows, columns = np.array(touching, np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(labels),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.intp)


def _is_one_object(detections: Detections) -> bool:
    """Tell whether the centroid of each detection lies in the masks of all others.

    One that lies between voxels lies in each of them; whole numbers tell it from one beside, at any place.
    """
    counts = np.array([[np.count_nonzero(mask)] for mask in detections.masks])
    sums = np.array([np.argwhere(mask).sum(axis=0) for mask in detections.masks])
    halves = (2 * sums + counts) // (2 * counts), -((counts - 2 * sums) // (2 * counts))
    sides = product((True, False), repeat=sums.shape[1])
    near = [np.where(side, *halves) + detections.starts for side in sides]
    for start, mask in zip(detections.starts, detections.masks, strict=True):
        if not np.any([_holds(mask, centres - start) for centres in near], axis=0).all():
            return False
    return True


def _holds(mask: Mask, places: Ints) -> Mask:
    """Tell which places, (N, D) voxels, are in a mask."""
    inside: Mask = np.all((places >= 0) & (places < mask.shape), axis=1)
    inside[inside] = mask[tuple(places[inside].T)]
    return inside


def _best_of_members(labels: Ints, pool: _Pool) -> Ints:
    """Choose the detection with the highest score of each member in each cluster; of equals the first."""
    order = np.lexsort((-pool.detections.scores, pool.members, labels))
    pairs = np.stack([labels[order], pool.members[order]], axis=1)
    first = np.ones(len(order), bool)
    first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return np.sort(order[first])


def _vote(detections: Detections, chosen: Ints, threshold: float) -> _Object:
    """Average the masks of a cluster, weighted by their scores, on the box around all."""
    parts = detections.take(chosen)
    shapes = np.array([mask.shape for mask in parts.masks])
    low = parts.starts.min(axis=0)
    total = np.zeros((parts.starts + shapes).max(axis=0) - low)
    for start, mask, score in zip(parts.starts - low, parts.masks, parts.scores.astype(float), strict=True):
        total[_box(start, mask.shape)][mask] += score
    probability = total / parts.scores.sum(dtype=float)
    return _Object(
        _box(low, total.shape),
        probability,
        probability > threshold,
        float(parts.scores.mean(dtype=float)),
        chosen,
    )


def _settle(objects: Sequence[_Object]) -> list[_Object]:
    """Give voxels claimed twice to one object, then crop all to what they keep and order them."""
    claims = [_cropped(item) for item in objects if item.mask.any()]
    if not claims:
        return []
    claims.sort(key=lambda item: (-item.score, item.centroid()))
    low = np.min([[side.start for side in item.box] for item in claims], axis=0)
    high = np.max([[side.stop for side in item.box] for item in claims], axis=0)
    highest = np.zeros(high - low, np.float32)
    owners = np.full(high - low, -1, np.int32)
    places = [
        tuple(slice(side.start - start, side.stop - start) for side, start in zip(item.box, low, strict=True))
        for item in claims
    ]
    for index, (item, place) in enumerate(zip(claims, places, strict=True)):
        wins = item.mask & (item.probability > highest[place])
        highest[place][wins] = item.probability[wins]
        owners[place][wins] = index
    for index, (item, place) in enumerate(zip(claims, places, strict=True)):
        item.mask = owners[place] == index
    left = [_cropped(item) for item in claims if item.mask.any()]
    return sorted(left, key=_Object.centroid)


def _cropped(item: _Object) -> _Object:
    """Crop an object to its mask."""
    at = np.argwhere(item.mask)
    low = at.min(axis=0)
    inner = _box(low, at.max(axis=0) - low + 1)
    box = _box(low + [side.start for side in item.box], item.mask[inner].shape)
    probability = item.probability[inner].astype(np.float32)
    return _Object(box, probability, item.mask[inner], item.score, item.chosen)


def _assemble(objects: Sequence[_Object], pool: _Pool, counts: Sequence[int], axes: int) -> Fused:
    """Write down the objects, and for each member which of them its detections went into."""
    clusters = tuple(np.full(count, -1, np.intp) for count in counts)
    for index, item in enumerate(objects):
        for chosen in item.chosen:
            member, detection = pool.sources[chosen]
            clusters[member][detection] = index
    detections = Detections(
        np.array([[side.start for side in item.box] for item in objects], int).reshape(-1, axes),
        tuple(item.mask for item in objects),
        np.array([item.score for item in objects], np.float32),
    )
    votes = np.array([len(item.chosen) for item in objects], np.intp)
    return Fused(detections, votes, tuple(item.probability for item in objects), clusters)


def _box(start: Ints, shape: Sequence[int] | Ints) -> tuple[slice, ...]:
    """Return the slices of a box."""
    return tuple(slice(int(low), int(low + edge)) for low, edge in zip(start, shape, strict=True))
