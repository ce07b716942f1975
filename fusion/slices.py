"""Segments of single slices in, whole nuclei out: the join over z."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from zoo.errors import InputError, unknown
from zoo.fusion.detections import Detections, none_of
from zoo.fusion.gaps import Floats, Ints, chains, fill, mutual, overlaps
from zoo.fusion.silhouette import cut, mean_silhouettes
from zoo.fusion.waists import part_at_waists
from zoo.fusion.watershed import check_spacing, remove_small

Method = Literal["cluster", "blob"]

# Missing slices in one place that a nucleus may have. Ours: on BBBC050's truth without a tenth of its
# segments, 1 loses nuclei with two missing slices and 3 joins nuclei that lie above one another
MOST_MISSING = 2
# Points whose distances are held all at once, 100 MB; among more only neighbours are compared
MOST_DENSE = 5000
# Distances of points to groups that are held at once, 0.8 GB; among more segments fewer groups are tried
MOST_TABLE = 10**8
# Least mean silhouette of a "strong structure" (Kaufman and Rousseeuw 1990, Finding Groups in Data)
STRONG = 0.70
# Least IoU, from one slice to the next, of segments that are one nucleus whatever their groups. Ours: where
# clustering parts segments of BBBC050's truth that overlap, 95 % of those of one nucleus exceed it
ALIKE = 0.5


def join(
    slices: Sequence[Detections],
    shape: Sequence[int],
    spacing: Sequence[float],
    *,
    method: str = "cluster",
    radius_um: float = 6.0,
    min_volume: float = 0.0,
) -> npt.NDArray[np.int32]:
    """Join the segments of all slices into nuclei.

    ``"blob"`` links a segment with the one in the next slice whose centroid is nearest, within a radius.
    ``"cluster"`` groups the centroids of all slices by Ward's clustering, then links a segment with one that
    overlaps it in the next slice, of its group or much alike (IoU of 0.5, over one or two missing slices 0.25
    or 0.125, and more): that of the least in-plane distance divided by the covered share of the smaller of
    the two. Nearest and least are mutual. So a nucleus has at most one segment a slice: a second one in the
    same group makes an object of its own.

    Ends of chains are then linked in the same way across one and two missing slices. Chains with a waist are
    parted there: `zoo.fusion.waists`. Missing slices are filled with
    the intersection of the segments below and above, where no other object is. Linked segments that do not
    overlap, directly or through what was filled, are parted again.

    Parameters
    ----------
    slices
        Detections of axes (y, x), one a slice, from z = 0 upwards; the masks of a slice do not overlap.
    shape
        Of the volume, voxels (z, y, x).
    spacing
        Voxel size (z, y, x), um.
    method
        ``"cluster"`` or ``"blob"``.
    radius_um
        Largest distance of linked centroids within the plane, um, for ``"blob"``; how far apart in z does
        not count. ``"cluster"`` uses it for more than 5,000 segments only: `ward_forest`.
    min_volume
        Least volume of a nucleus, um3.

    Returns
    -------
    (Z, Y, X) int32
        0 is background, nuclei are 1..n in the order of their first voxels, whatever the order of the
        detections. Of one slice, its segments.

    Raises
    ------
    InputError
        If the number of slices is not that of `shape`, a mask leaves the image or overlaps another of its
        slice, `spacing` is not three positive numbers, `method` is unknown, `radius_um` is not positive or
        `min_volume` is negative.

    Notes
    -----
    Source: Wu et al. 2022, CVPRW (EMR-CNN). We differ: nearest is mutual, so that order does not matter; gaps
    may be two slices long. By their silhouette alone, tall nuclei are best cut in halves, which lie further
    apart than neighbours do; hence the link of segments much alike across groups, which the paper has not.
    """
    sampling = check_spacing(spacing)
    _check(slices, shape, method, radius_um, min_volume)
    segments = _stack(slices)
    volume = np.zeros(tuple(shape), np.int32)
    for number, (box, mask) in enumerate(zip(segments.boxes(), segments.masks, strict=True), start=1):
        volume[box][mask] = number
    if method == "blob":
        links = _link_nearest(segments, sampling, radius_um)
    else:
        points = segments.centroids(tuple(sampling))
        axes = np.array([(MOST_MISSING + 1) * sampling[0], radius_um, radius_um])
        links = _link_overlapping(volume, segments, points, group(points, segments.starts[:, 0], axes))
    links = part_at_waists(links, np.array([mask.sum() for mask in segments.masks], int))
    nuclei = chains(len(segments), fill(volume, segments, links))
    labels = np.concatenate([[0], nuclei + 1]).astype(np.int32)[volume]
    return remove_small(labels, min_volume, spacing).astype(np.int32, copy=False)


def group(points: Floats, z: Ints, axes: Floats) -> Ints:
    """Group segments by Ward's clustering of their centroids, their number chosen by the mean silhouette.

    Parameters
    ----------
    points
        (n, 3) float. Centroids (z, y, x), um.
    z
        (n,) int. The slice of each.
    axes
        (3,) float. Semi-axes (z, y, x) of the neighbourhood of a point, um; used among more than 5,000.

    Returns
    -------
    (n,) int
        The group of each point, 0 to k - 1.

    Notes
    -----
    k is sought from the most segments in a slice, and the number of separate neighbourhoods, to n / 2, or to
    10^8 / n where that is less. One group is right only where no other number reaches a mean silhouette of
    0.70. Time and memory of the search go with n^2 / 2.
    """
    if len(points) < 2:
        return np.zeros(len(points), int)
    if len(points) <= MOST_DENSE:
        # of distances: three points may look like a table of distances to scipy
        tree, separate = linkage(pdist(points), "ward"), 1
    else:
        tree, separate = ward_forest(points, axes)
    k_min = max(int(np.bincount(z).max()), separate)
    k_max = max(min(len(points) // 2, MOST_TABLE // len(points)), k_min)
    if len(points) * k_max > MOST_TABLE:
        raise InputError(
            f"{len(points)} segments of {k_min} groups and more are too many to cluster, as a table of "
            f"{len(points) * k_min:,} distances would be needed: join them by 'blob'"
        )
    if k_min == k_max:
        return cut(tree, k_min)
    scores = mean_silhouettes(points, tree, max(k_min, 2), k_max)
    best = int(np.argmax(scores))
    return cut(tree, 1 if k_min == 1 and scores[best] < STRONG else best + max(k_min, 2))


def ward_forest(points: Floats, axes: Floats) -> tuple[npt.NDArray[np.float64], int]:
    """Cluster points by Ward's method where only neighbours may be merged.

    Each set of points that hang together by their neighbourhoods has a tree of its own; a set of more than
    5,000 points is merged along neighbours only. The merges of all trees follow one another by height.

    Parameters
    ----------
    points
        (n, 3) float. In um.
    axes
        (3,) float. Points are neighbours within an ellipsoid of these semi-axes, um.

    Returns
    -------
    tree : (n - 1, 4) float
        A linkage matrix as scipy's. Its last merges, of sets that do not hang together, are in no
        particular order.
    separate : int
        Number of sets; a cut into fewer clusters has no meaning.
    """
    n = len(points)
    pairs = cKDTree(points / axes).query_pairs(1, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
    separate, part = connected_components(graph, directed=False)
    merges, roots = [np.zeros((0, 2), int)], []
    heights: list[Floats] = [np.zeros(0)]
    made = n
    for members in np.split(np.argsort(part, kind="stable"), np.cumsum(np.bincount(part))[:-1]):
        roots.append(made + len(members) - 2 if len(members) > 1 else int(members[0]))
        if len(members) > 1:
            children, height = _ward(points[members], graph[members][:, members])
            nodes = np.concatenate([members, np.arange(made, made + len(members) - 1)])
            merges.append(nodes[children])
            heights.append(height)
            made += len(members) - 1
    order = np.argsort(np.concatenate(heights), kind="stable")
    renumbered = np.concatenate([np.arange(n), n + np.argsort(order)])
    ascending = np.concatenate(heights)[order]
    tops = renumbered[roots]
    below = np.append(tops[:1], np.arange(made, made + separate - 2))[: separate - 1]
    last = np.column_stack([below, tops[1:]])
    tree = np.zeros((n - 1, 4))
    tree[:, :2] = np.concatenate([renumbered[np.concatenate(merges)][order], last])
    tree[:, 2] = np.append(ascending, np.full(separate - 1, ascending.max(initial=0)))
    sizes = np.ones(2 * n - 1)
    for node, (a, b) in enumerate(tree[:, :2].astype(int), start=n):
        sizes[node] = sizes[a] + sizes[b]
    tree[:, 3] = sizes[n:]
    return tree, int(separate)


def _ward(points: Floats, graph: csr_array) -> tuple[Ints, Floats]:
    """Find the merges of points that hang together, and their heights, which never fall."""
    if len(points) <= MOST_DENSE:
        tree = linkage(pdist(points), "ward")
        return tree[:, :2].astype(int), tree[:, 2]
    from sklearn.cluster import ward_tree

    children, _, _, _, heights = ward_tree(points, connectivity=graph + graph.T, return_distance=True)
    # Where only neighbours merge, a merge can be lower than those it builds on
    return children, np.maximum.accumulate(heights)


def _link_overlapping(volume: Ints, segments: Detections, points: Floats, groups: Ints) -> Ints:
    """Link each segment with that above it at the least distance over share, of the smaller one, covered.

    The most shared pixels would lead from a nucleus not to its tip but to a larger neighbour that begins.
    """
    areas = np.array([mask.sum() for mask in segments.masks])
    links = np.zeros((0, 2), int)
    for step in range(1, MOST_MISSING + 2):
        lower = np.setdiff1d(np.arange(len(segments)), links[:, 0])
        pairs, shared = overlaps(volume, segments, lower, step)
        alike = shared >= ALIKE**step * (areas[pairs].sum(axis=1) - shared)
        same = groups[pairs[:, 0]] == groups[pairs[:, 1]]
        allowed = (same | alike) & ~np.isin(pairs[:, 1], links[:, 1])
        pairs, shared = pairs[allowed], shared[allowed]
        apart = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]])[:, 1:].T)
        covered = shared / areas[pairs].min(axis=1)
        links = np.concatenate([links, pairs[mutual(pairs, apart / covered)]])
    return links


def _link_nearest(segments: Detections, sampling: Floats, radius_um: float) -> Ints:
    """Link each segment with that above it whose centroid is nearest in the plane."""
    points = segments.centroids(tuple(sampling))
    z = segments.starts[:, 0]
    # Slices further apart than the radius, so that one search finds neighbours of one slice only
    lift = 2 * radius_um + 1
    links = np.zeros((0, 2), int)
    for step in range(1, MOST_MISSING + 2):
        lower = np.setdiff1d(np.arange(len(segments)), links[:, 0])
        upper = np.setdiff1d(np.arange(len(segments)), links[:, 1])
        raised = np.column_stack([(z[lower] + step) * lift, points[lower, 1:]])
        above = np.column_stack([z[upper] * lift, points[upper, 1:]])
        near = cKDTree(raised).sparse_distance_matrix(cKDTree(above), radius_um, output_type="ndarray")
        pairs = np.column_stack([lower[near["i"]], upper[near["j"]]])
        links = np.concatenate([links, pairs[mutual(pairs, near["v"])]])
    return links


def _stack(slices: Sequence[Detections]) -> Detections:
    """Gather the segments of all slices as masks one slice high, in the order of their first voxels."""
    parts = [none_of(3)] + [
        Detections(
            np.insert(part.starts, 0, z, axis=1), tuple(mask[None] for mask in part.masks), part.scores
        )
        for z, part in enumerate(slices)
    ]
    starts = np.concatenate([part.starts for part in parts])
    masks = tuple(mask for part in parts for mask in part.masks)
    firsts = starts + np.array([np.argwhere(mask)[0] for mask in masks], int).reshape(-1, 3)
    scores = np.concatenate([part.scores for part in parts])
    return Detections(starts, masks, scores).take(np.lexsort(firsts.T[::-1]))


def _check(
    slices: Sequence[Detections], shape: Sequence[int], method: str, radius_um: float, min_volume: float
) -> None:
    if method not in get_args(Method):
        raise unknown("method", str(method), get_args(Method))
    if not 0 < radius_um < np.inf:
        raise InputError(f"radius_um ({radius_um}) must be more than 0 um, and finite")
    if not min_volume >= 0:
        raise InputError(f"min_volume ({min_volume}) must be 0 um3 or more")
    if len(shape) != 3 or len(slices) != shape[0]:
        raise InputError(
            f"slices ({len(slices)}) must be as many as shape {tuple(shape)} has in z: give (z, y, x), and "
            "detections without any objects for a slice without any"
        )
    for z, part in enumerate(slices):
        taken = np.zeros(tuple(shape[1:]), bool)
        for box, mask in zip(part.boxes(), part.masks, strict=True):
            if len(box) != 2 or min(side.start for side in box) < 0 or taken[box].shape != mask.shape:
                lies = [(side.start, side.stop) for side in box]
                raise InputError(f"a mask of slice {z}, at {lies}, must lie within the image, {taken.shape}")
            if (taken[box] & mask).any():
                raise InputError(f"masks of slice {z} must not overlap: fuse them first")
            taken[box] |= mask
