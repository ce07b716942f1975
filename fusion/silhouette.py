"""How well clusters are set apart: the mean silhouettes of all cuts of one tree."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from zoo.errors import InputError, unknown

DEFINITIONS = ("standard", "others")
"""What a point is compared with: the nearest other cluster, or the average of all others."""

BLOCK = 2**21
"""Distances held at a time (16 MB), beside the table of n points by k clusters."""

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def mean_silhouettes(
    points: NDArray[np.floating], tree: Floats, k_min: int, k_max: int, definition: str = "standard"
) -> Floats:
    """Score the cuts of a tree into `k_min` to `k_max` clusters by their mean silhouettes.

    The silhouette of a point is s = (b - a) / max(a, b): a is its mean distance to the others of its
    cluster, b that to the points of the nearest other cluster. It is 0 for a point alone in its cluster and
    where a and b are both 0. With k = n all points are alone, and the mean is 0.

    The summed distances of each point to each of `k_max` clusters are computed once; a merge adds two
    columns. A merged cluster lies at an average of the distances of its two parts, never nearer than the
    nearer one, so the nearest cluster is sought again only by those points for which it was one of the two.
    For points whose clusters lie around them this takes O(n^2) distances and about O(n k_max) more for all
    k together; the table takes 8 n k_max bytes.

    Parameters
    ----------
    points
        (n, D), in any unit.
    tree
        (n - 1, 4), a linkage matrix of scipy. Only the merges and their order count, not the heights.
    k_min, k_max
        First and last number of clusters, 1 to n.
    definition
        ``"standard"`` as above, by Rousseeuw [1]_; ``"others"`` makes b the average over all other clusters
        of the mean distance to each, as a study that reproduces Wu et al. 2022 (CVPRW) writes it.

    Returns
    -------
    (k_max - k_min + 1,) float
        In -1 to 1, by ascending k; NaN for k = 1, which has no other cluster.

    Raises
    ------
    InputError
        If a shape, the numbers of clusters or the definition is not as above.

    References
    ----------
    .. [1] Rousseeuw, Silhouettes: a graphical aid to the interpretation and validation of cluster analysis.
       J Comput Appl Math 20 (1987).
    """
    if definition not in DEFINITIONS:
        raise unknown("silhouette", str(definition), DEFINITIONS)
    if points.ndim != 2 or len(points) != len(tree) + 1:
        raise InputError(
            f"points (shape {points.shape}) must be (n, D), with n = {len(tree) + 1} for a tree of "
            f"{len(tree)} merges: give the points that the tree was made of"
        )
    if not 1 <= k_min <= k_max <= len(points):
        raise InputError(
            f"k_min {k_min} and k_max {k_max} must ascend and lie in 1 to {len(points)}, the number of points"
        )
    means = np.full(k_max - k_min + 1, np.nan)
    if k_max == 1:
        return means
    nodes, own = np.unique(_roots(tree, k_max), return_inverse=True)
    clusters = (_Nearest if definition == "standard" else _Average)(np.asarray(points, float), own)
    merges = _column_merges(tree, nodes)
    for k in range(k_max, max(k_min, 2) - 1, -1):
        if k < k_max:
            clusters.merge(*next(merges))
        means[k - k_min] = clusters.mean_silhouette()
    return means


def cut(tree: Floats, k: int) -> Ints:
    """Cut a tree into exactly k clusters: its first n - k merges are made, whatever their heights.

    Parameters
    ----------
    tree
        (n - 1, 4), a linkage matrix of scipy.
    k
        Number of clusters, 1 to n.

    Returns
    -------
    (n,) int
        The cluster of each point, 0 to k - 1.

    Raises
    ------
    InputError
        If `k` is not in 1 to n.
    """
    if not 1 <= k <= len(tree) + 1:
        raise InputError(f"k ({k}) must lie in 1 to {len(tree) + 1}, the number of points in the tree")
    return np.unique(_roots(tree, k), return_inverse=True)[1]


def _roots(tree: Floats, k: int) -> Ints:
    """Find the node of the tree that holds each point when it is cut into k clusters."""
    n = len(tree) + 1
    made = n - k
    above = np.arange(n + made)
    above[tree[:made, :2].astype(np.intp)] = np.arange(n, n + made)[:, None]
    # each round doubles the steps taken towards the root
    while not np.array_equal(above, above[above]):
        above = above[above]
    return above[:n]


def _column_merges(tree: Floats, nodes: Ints) -> Iterator[tuple[int, int]]:
    """Go on from the clusters of some nodes: the columns a < b that merge next, the last one moving to b."""
    n = len(tree) + 1
    held = nodes.tolist()
    column = {node: index for index, node in enumerate(held)}
    for step in range(n - len(held), n - 1):
        a, b = sorted((column[int(tree[step, 0])], column[int(tree[step, 1])]))
        held[a] = n + step
        held[b] = held[-1]
        held.pop()
        column[n + step] = a
        if b < len(held):
            column[held[b]] = b
        yield a, b


class _Clusters(ABC):
    """The summed distances of n points to k clusters, k falling by one with each merge."""

    def __init__(self, points: Floats, own: Ints) -> None:
        self.own = own
        self.sizes = np.bincount(own)
        self.sums = _sum_distances(points, own, self.sizes)
        self.within = self.sums[np.arange(len(own)), own]

    def mean_silhouette(self) -> float:
        """Return the mean of (b - a) / max(a, b)."""
        sizes = self.sizes[self.own]
        a = self.within / np.maximum(sizes - 1, 1)
        b = self.between()
        scale = np.maximum(a, b)
        counts = (sizes > 1) & (scale > 0)
        return float(np.divide(b - a, scale, out=np.zeros_like(scale), where=counts).mean())

    @abstractmethod
    def between(self) -> Floats:
        """Return b of each point."""

    def merge(self, a: int, b: int) -> None:
        """Add column b to a and let the last column take the place of b."""
        last = len(self.sizes) - 1
        self.sums[:, a] += self.sums[:, b]
        self.sums[:, b] = self.sums[:, last]
        self.sums = self.sums[:, :last]
        self.sizes[a] += self.sizes[b]
        self.sizes[b] = self.sizes[last]
        self.sizes = self.sizes[:last]
        self.own[self.own == b] = a
        self.own[self.own == last] = b
        members = np.flatnonzero(self.own == a)
        self.within[members] = self.sums[members, a]


class _Nearest(_Clusters):
    """Compares a point with the cluster that is nearest by mean distance."""

    def __init__(self, points: Floats, own: Ints) -> None:
        super().__init__(points, own)
        self.nearest = np.empty(len(own), np.intp)
        self.distance = np.empty(len(own))
        self._seek(np.arange(len(own)))

    def between(self) -> Floats:
        return self.distance

    def merge(self, a: int, b: int) -> None:
        lost = np.flatnonzero((self.nearest == a) | (self.nearest == b))
        super().merge(a, b)
        self.nearest[self.nearest == len(self.sizes)] = b
        self._seek(lost)

    def _seek(self, points: Ints) -> None:
        """Find the nearest other cluster of some points."""
        for block in _blocks(len(points), len(self.sizes)):
            rows = points[block]
            means = self.sums[rows] / self.sizes
            lines = np.arange(len(rows))
            means[lines, self.own[rows]] = np.inf
            self.nearest[rows] = means.argmin(axis=1)
            self.distance[rows] = means[lines, self.nearest[rows]]


class _Average(_Clusters):
    """Compares a point with all other clusters, each counting the same whatever its size."""

    def __init__(self, points: Floats, own: Ints) -> None:
        super().__init__(points, own)
        self.total = self.sums @ (1 / self.sizes)

    def between(self) -> Floats:
        return (self.total - self.within / self.sizes[self.own]) / (len(self.sizes) - 1)

    def merge(self, a: int, b: int) -> None:
        self.total -= self.sums[:, a] / self.sizes[a] + self.sums[:, b] / self.sizes[b]
        super().merge(a, b)
        self.total += self.sums[:, a] / self.sizes[a]


def _sum_distances(points: Floats, own: Ints, sizes: Ints) -> Floats:
    """Sum the distances of each point to the points of each cluster: (n, k)."""
    by_cluster = points[np.argsort(own, kind="stable")]
    starts = np.cumsum(sizes) - sizes
    sums = np.empty((len(points), len(sizes)))
    for block in _blocks(len(points), len(points)):
        np.add.reduceat(cdist(points[block], by_cluster), starts, axis=1, out=sums[block])
    return sums


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Part rows so that a block of them holds about `BLOCK` values."""
    step = max(1, BLOCK // columns)
    for start in range(0, rows, step):
        yield slice(start, start + step)
