"""Scores of a predicted label volume against a true one.

Every metric but `det_f1` is computed from the one `Overlap` table of the two volumes. All are better when
higher and lie in 0 to 1 (but for the IoU of the definition ``replication``). Where one side holds no object
the score is 0 (but for `miou` and `accuracy`, to which the background counts), where neither does it is 1; no
score is ever NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree

from zoo.errors import InputError, unknown
from zoo.evaluate.foreground import FOREGROUND, Counts, pooled, ratio
from zoo.evaluate.overlap import IntArray, Overlap, centroids, count_overlap
from zoo.evaluate.replication import REPLICATED, replicated

METRICS = (*FOREGROUND, "seg", "mucov", "f1@0.5", "ap50", "pq", "det_f1")
"""Names that `parse_metrics` knows; in place of ``f1@0.5`` any ``f1@T`` with 0 < T < 1."""

DEFINITIONS = ("standard", "original", "replication")
"""``original`` takes `seg` and `mucov` as the published code of QCANet counts them, ``replication`` these and
`iou` as a public reproduction of QCANet scored itself: a fault, kept to show what its figures say."""


def seg(table: Overlap, definition: str = "standard") -> float:
    """Find how well the true objects were found: the SEG measure of the Cell Tracking Challenge.

    Each true object scores its IoU with the one predicted object that covers more than half of it, and 0
    where there is none; the result is the mean over all true objects. At most one object can cover more
    than half, so there is nothing to choose.

    ``original`` is what the code published with QCANet does: the best IoU with any predicted object,
    counted if the coverage of the true object is above one half. The two differ only where the object that
    covers more than half is so large that another has the better IoU: the published code then takes the
    other's IoU if its label is the higher one, and 0 if not, as it keeps the largest coverage seen
    whenever the best IoU so far is reached. ``replication``: `zoo.evaluate.replication`.

    Parameters
    ----------
    table
        The table of the two volumes.
    definition
        One of `DEFINITIONS`.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    InputError
        If the definition is unknown.

    References
    ----------
    .. [1] Maska et al., A benchmark for comparison of cell tracking algorithms. Bioinformatics 30, 2014.
    .. [2] Tokuoka et al., 3D convolutional neural networks-based segmentation to acquire quantitative
       criteria of the nucleus during mouse embryogenesis. npj Syst Biol Appl 6:32, 2020.
    """
    check_definition(definition)
    if definition == "replication":
        return replicated(table)["seg"]
    n_true, n_pred = table.truth_ids.size, table.pred_ids.size
    if definition == "original":
        best = _best_by_published_code(table, table.rows, n_true)
    else:
        counted = table.truth_coverage > 0.5
        best = _best(table.rows[counted], table.iou[counted], n_true)
    return _mean_over(best, n_pred)


def mucov(table: Overlap, definition: str = "standard") -> float:
    """Find how well the predicted objects fit: MUCov, the mean unweighted coverage of the QCANet paper [1]_.

    Each predicted object scores its best IoU with a true object, 0 where it touches none; the result is the
    mean over all predicted objects. It falls with each object too many, as `seg` does with each too few.

    ``original`` is what the code published with the paper does: the best IoU counts only where more than
    half of the *true* object is covered (not half of the predicted one), with the dependence on the order
    of labels that `seg` describes. ``replication``: `zoo.evaluate.replication`.

    Parameters
    ----------
    table
        The table of the two volumes.
    definition
        One of `DEFINITIONS`.

    Returns
    -------
    float
        In 0 to 1.

    Raises
    ------
    InputError
        If the definition is unknown.

    References
    ----------
    .. [1] Tokuoka et al., npj Syst Biol Appl 6:32, 2020.
    """
    check_definition(definition)
    if definition == "replication":
        return replicated(table)["mucov"]
    n_true, n_pred = table.truth_ids.size, table.pred_ids.size
    if definition == "original":
        best = _best_by_published_code(table, table.cols, n_pred)
    else:
        best = _best(table.cols, table.iou, n_pred)
    return _mean_over(best, n_true)


def f1(table: Overlap, threshold: float = 0.5) -> float:
    """F1 of the objects: a pair counts as found where its IoU is above the threshold.

    From a threshold of one half up, an object can be in one such pair only. Below, the largest number of
    pairs that share no object is taken.

    Parameters
    ----------
    table
        The table of the two volumes.
    threshold
        IoU that a pair must exceed, between 0 and 1.

    Returns
    -------
    float
        2 TP / (true objects + predicted objects), in 0 to 1.
    """
    found = _count_matches(table, threshold)
    return ratio(2 * found, table.truth_ids.size + table.pred_ids.size)


def ap50(table: Overlap) -> float:
    """Find the average precision at IoU > 0.5 as the DSB 2018 contest and StarDist [1]_ use the name.

    It is TP / (TP + FP + FN), without the ranking by confidence that the name means for COCO. StarDist also
    takes a pair with an IoU of exactly one half; here, as in the contest, it must be above.

    Parameters
    ----------
    table
        The table of the two volumes.

    Returns
    -------
    float
        In 0 to 1.

    References
    ----------
    .. [1] Weigert et al., Star-convex polyhedra for 3D object detection and segmentation in microscopy.
       WACV 2020.
    """
    found = _count_matches(table, 0.5)
    return ratio(found, table.truth_ids.size + table.pred_ids.size - found)


def pq(table: Overlap) -> float:
    """Panoptic quality [1]_ of one class: the IoU of the pairs above 0.5, summed, over (TP + FP/2 + FN/2).

    Parameters
    ----------
    table
        The table of the two volumes.

    Returns
    -------
    float
        In 0 to 1.

    References
    ----------
    .. [1] Kirillov et al., Panoptic segmentation. CVPR 2019.
    """
    values = table.iou
    total = float(values[values > 0.5].sum())
    return ratio(2 * total, table.truth_ids.size + table.pred_ids.size)


def det_f1(
    truth_centres: NDArray[np.float64], pred_centres: NDArray[np.float64], radius_um: float = 5.0
) -> float:
    """F1 of the detections: the most pairs of centres, each used once, that lie within a radius.

    The number of pairs is the one a Hungarian assignment finds; only the pairs within the radius are ever
    listed, so that ten thousand nuclei need no table of all distances.

    Parameters
    ----------
    truth_centres, pred_centres
        (N, 3) and (M, 3). Positions (z, y, x) in um.
    radius_um
        Largest distance of a pair, itself allowed. The code published with QCANet takes less than 10 voxels.

    Returns
    -------
    float
        2 TP / (N + M), in 0 to 1.

    Raises
    ------
    InputError
        If the radius is not above 0.
    """
    if not radius_um > 0:
        raise InputError(f"the radius for det_f1 is {radius_um} um: it must be above 0")
    n_true, n_pred = len(truth_centres), len(pred_centres)
    if n_true == 0 or n_pred == 0:
        return float(n_true == n_pred)
    near = cKDTree(truth_centres).sparse_distance_matrix(
        cKDTree(pred_centres), radius_um, output_type="ndarray"
    )
    found = _count_disjoint(near["i"], near["j"], (n_true, n_pred))
    return ratio(2 * found, n_true + n_pred)


def parse_metrics(text: str) -> tuple[str, ...]:
    """Read a list of metrics as a user types it.

    Parameters
    ----------
    text
        Names separated by commas, such as ``"iou,seg,f1@0.75"``; upper and lower case are the same.

    Returns
    -------
    tuple of str
        The names in the order given, each once.

    Raises
    ------
    InputError
        If no name is given or one is unknown.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"no metric given: name one or more of {', '.join(METRICS)}, separated by commas")
    for name in names:
        _check_name(name)
    return tuple(dict.fromkeys(names))


def check_definition(definition: str, metrics: Sequence[str] = ()) -> None:
    """Refuse a definition that is none, and metrics that it does not have.

    Parameters
    ----------
    definition
        Should be one of `DEFINITIONS`.
    metrics
        Names that `parse_metrics` returned.

    Raises
    ------
    InputError
        If the definition is unknown, or is ``replication`` and a metric is none of `REPLICATED`.
    """
    if definition not in DEFINITIONS:
        raise unknown("definition", definition, DEFINITIONS)
    lacking = [name for name in metrics if name not in REPLICATED] if definition == "replication" else []
    if lacking:
        raise InputError(
            f"the definition replication has no {', '.join(lacking)}: it is of {', '.join(REPLICATED)} only; "
            "ask for these, or leave the definition out"
        )


def score(
    truth: NDArray[Any],
    pred: NDArray[Any],
    metrics: Sequence[str],
    *,
    spacing: tuple[float, float, float],
    definition: str = "standard",
    radius_um: float = 5.0,
) -> dict[str, float]:
    """Score a predicted label volume against a true one.

    Parameters
    ----------
    truth, pred
        (Z, Y, X), the same shape. Integer labels, 0 is the background.
    metrics
        Names as `parse_metrics` returns them.
    spacing
        Voxel size (z, y, x) in um; only `det_f1` looks at it.
    definition
        One of `DEFINITIONS`.
    radius_um
        Radius of `det_f1` in um.

    Returns
    -------
    dict
        The score of each metric, in the order asked for.

    Raises
    ------
    InputError
        If the shapes differ, an array holds no labels, a metric or the definition is unknown, or the
        definition lacks a metric.
    """
    for name in metrics:
        _check_name(name)
    check_definition(definition, metrics)  # before the volumes are read
    table = count_overlap(truth, pred)
    if definition == "replication":
        values = replicated(table)
        return {name: values[name] for name in metrics}

    def one(name: str) -> float:
        if name.startswith("f1@"):
            return f1(table, float(name[3:]))
        if name == "det_f1":
            return det_f1(centroids(truth, spacing), centroids(pred, spacing), radius_um)
        if name == "seg":
            return seg(table, definition)
        if name == "mucov":
            return mucov(table, definition)
        return {"ap50": ap50, "pq": pq}[name](table)

    voxelwise = pooled(Counts.of(table), metrics)
    return {name: voxelwise[name] if name in voxelwise else one(name) for name in metrics}


def _check_name(name: str) -> None:
    """Refuse a name that is no metric."""
    if name in METRICS:
        return
    if not name.startswith("f1@"):
        raise unknown("metric", name, METRICS)
    try:
        inside = 0 < float(name[3:]) < 1
    except ValueError:
        inside = False
    if not inside:
        raise InputError(f"metric {name!r}: the IoU after f1@ must lie between 0 and 1, as in f1@0.5")


def _mean_over(best: NDArray[np.float64], others: int) -> float:
    """Average the objects' scores; without objects, 1 if the other side has none either and 0 if it has."""
    return float(best.mean()) if best.size else float(others == 0)


def _best(of: IntArray, values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the highest value of each of `count` objects, 0 for one without any."""
    best = np.zeros(count)
    np.maximum.at(best, of, values)
    return best


def _best_by_published_code(table: Overlap, of: IntArray, count: int) -> NDArray[np.float64]:
    """Score each object, true (`of` is ``table.rows``) or predicted (``table.cols``), as QCANet's code does.

    It goes through an object's partners by ascending label. One that reaches the best IoU so far sets it,
    and the coverage kept is the largest among those that did. The IoU counts where that is above one half.
    """
    order = np.argsort(of, kind="stable")  # pairs come by row, then column: either way partners ascend
    of = of[order]
    rank = np.unique(table.iou, return_inverse=True)[1][order]
    # the highest rank so far within each object: objects ascend, and so outrank all before them
    key = of * (rank.size + 1) + rank
    reaches = key == np.maximum.accumulate(key) if key.size else key.astype(bool)
    coverage = _best(of[reaches], table.truth_coverage[order][reaches], count)
    best = _best(of, table.iou[order], count)
    return np.where(coverage > 0.5, best, 0.0)


def _count_matches(table: Overlap, threshold: float) -> int:
    """Count the pairs of objects, each used once, with an IoU above the threshold."""
    good = table.iou > threshold
    return _count_disjoint(table.rows[good], table.cols[good], (table.truth_ids.size, table.pred_ids.size))


def _count_disjoint(rows: IntArray, cols: IntArray, shape: tuple[int, int]) -> int:
    """Count the most pairs that can be taken so that no row and no column is taken twice."""
    if rows.size == 0:
        return 0
    graph = coo_array((np.ones(rows.size, dtype=np.int8), (rows, cols)), shape=shape).tocsr()
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
