"""Which true object shares how many voxels with which predicted one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The sparse contingency table of a true and a predicted label volume.

    All voxel metrics follow from it, so that a volume is read once however many metrics are asked for.
    Background (label 0) is no object: it has no row, no column and no pair.

    Parameters
    ----------
    truth_ids, pred_ids
        (N,) and (M,). The labels that occur, ascending.
    truth_sizes, pred_sizes
        (N,) and (M,). Voxels of each of these objects.
    rows, cols
        (K,). Index into `truth_ids` and `pred_ids` of each pair that shares a voxel, ordered by row,
        then by column.
    voxels
        (K,). Voxels each pair shares, all above 0.
    all_voxels
        Voxels of the volume, background and all.
    """

    truth_ids: NDArray[np.integer]
    truth_sizes: IntArray
    pred_ids: NDArray[np.integer]
    pred_sizes: IntArray
    rows: IntArray
    cols: IntArray
    voxels: IntArray
    all_voxels: int

    @property
    def truth_voxels(self) -> int:
        """Voxels of all true objects."""
        return int(self.truth_sizes.sum())

    @property
    def pred_voxels(self) -> int:
        """Voxels of all predicted objects."""
        return int(self.pred_sizes.sum())

    @property
    def shared_voxels(self) -> int:
        """Voxels that are foreground in both."""
        return int(self.voxels.sum())

    @property
    def truth_coverage(self) -> NDArray[np.float64]:
        """(K,). Part of the pair's true object that its predicted object covers, in (0, 1]."""
        return self.voxels / self.truth_sizes[self.rows]

    @property
    def iou(self) -> NDArray[np.float64]:
        """(K,). Intersection over union of each pair, in (0, 1]."""
        return self.voxels / (self.truth_sizes[self.rows] + self.pred_sizes[self.cols] - self.voxels)


def check_labels(labels: NDArray[Any], name: str = "labels") -> None:
    """Refuse an array that cannot be a label volume.

    Parameters
    ----------
    labels
        Any shape. Allowed are integers from 0 (the background) up, and booleans.
    name
        What to call it in the error.

    Raises
    ------
    InputError
        If the values are not integers, or one is negative.
    """
    if labels.dtype.kind not in "bui":
        raise InputError(
            f"{name} are {labels.dtype}: labels must be integers, 0 for the background; "
            "save them as an integer image"
        )
    if labels.dtype.kind == "i" and labels.size and (lowest := int(labels.min())) < 0:
        raise InputError(f"{name} hold {lowest}: labels must be 0 (the background) or above; renumber them")


def run_starts(*volumes: NDArray[Any]) -> IntArray:
    """Find where a run of equal voxels begins along the last axis.

    Label volumes are mostly long runs, so what is counted run by run instead of voxel by voxel needs one
    pass of comparisons over the volume, in its own type, and little more. A volume of noise, with runs of
    one voxel, is counted as well, only slower.

    Parameters
    ----------
    *volumes
        (..., X), all of one shape. A run ends where any of them changes, and at the end of each row.

    Returns
    -------
    numpy.ndarray
        (R,). Indices into the flattened volumes (C order), ascending; none for an array without voxels.
    """
    size, row = volumes[0].size, volumes[0].shape[-1]
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    change = np.zeros(size, dtype=bool)
    change[::row] = True
    for volume in volumes:
        flat = volume.reshape(-1)
        change[1:] |= flat[1:] != flat[:-1]
    return np.flatnonzero(change)


def renumber(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the objects the numbers 1 to N, in the order of their labels.

    Parameters
    ----------
    labels
        (..., X). Integers, 0 is the background; numbers may be missing and as large as the type allows.

    Returns
    -------
    ids
        (N,). The labels that occur, ascending, without 0.
    dense
        Like `labels`: object ``ids[k]`` has become ``k + 1``. This is `labels` itself where nothing changes.
    """
    if labels.dtype.kind == "b":
        labels = labels.view(np.uint8)
    present = np.unique(labels.reshape(-1)[run_starts(labels)])
    ids = present[present > 0]
    if ids.size == 0 or int(ids[-1]) == ids.size:
        return ids, labels
    numbers = np.searchsorted(ids, labels, side="right")
    return ids, numbers.astype(np.int32)


def count_overlap(truth: NDArray[Any], pred: NDArray[Any]) -> Overlap:
    """Count the voxels that each true and each predicted object share.

    Parameters
    ----------
    truth, pred
        (Z, Y, X), the same shape. Integer labels, 0 is the background; any numbers, in any order.

    Returns
    -------
    Overlap
        The table.

    Raises
    ------
    InputError
        If the shapes differ, or either array is not a label volume.
    """
    if truth.shape != pred.shape:
        raise InputError(
            f"prediction (shape {pred.shape}) must have the shape of the truth, {truth.shape}; "
            "score labels on the grid of the truth"
        )
    check_labels(truth, "the true labels")
    check_labels(pred, "the predicted labels")
    starts = run_starts(truth, pred)
    lengths = np.diff(starts, append=truth.size)
    truth_runs, pred_runs = truth.reshape(-1)[starts], pred.reshape(-1)[starts]
    truth_ids, row_of, truth_sizes = _sizes(truth_runs, lengths)
    pred_ids, col_of, pred_sizes = _sizes(pred_runs, lengths)
    both = (truth_runs > 0) & (pred_runs > 0)
    width = max(pred_ids.size, 1)
    keys, pair_of = np.unique(row_of[both] * width + col_of[both], return_inverse=True)
    return Overlap(
        truth_ids=truth_ids,
        truth_sizes=truth_sizes,
        pred_ids=pred_ids,
        pred_sizes=pred_sizes,
        rows=keys // width,
        cols=keys % width,
        voxels=_add(pair_of, lengths[both], keys.size),
        all_voxels=truth.size,
    )


def centroids(labels: NDArray[Any], spacing: tuple[float, float, float]) -> NDArray[np.float64]:
    """Find the middle of each object.

    Parameters
    ----------
    labels
        (Z, Y, X). Integer labels, 0 is the background.
    spacing
        Voxel size (z, y, x) in um.

    Returns
    -------
    numpy.ndarray
        (N, 3) float. The mean position (z, y, x) in um of each object, by ascending label; the middle of
        the first voxel is at 0.
    """
    starts = run_starts(labels)
    lengths = np.diff(starts, append=labels.size)
    runs = labels.reshape(-1)[starts]
    inside = runs > 0
    starts, lengths = starts[inside], lengths[inside]
    ids, of, sizes = _sizes(runs[inside], lengths)
    z, y, x = np.unravel_index(starts, labels.shape)
    # a run lies in one row: its voxels share z and y, and x goes up by one
    sums = [_add(of, z * lengths, ids.size), _add(of, y * lengths, ids.size)]
    sums.append(_add(of, x * lengths + lengths * (lengths - 1) // 2, ids.size))
    return np.stack(sums, axis=1) / sizes[:, np.newaxis] * np.asarray(spacing)


def _sizes(runs: NDArray[Any], lengths: IntArray) -> tuple[NDArray[Any], IntArray, IntArray]:
    """Return the labels of the runs without 0, the index of each run's label among them, and their voxels.

    The index of a background run is -1.
    """
    ids, index = np.unique(runs, return_inverse=True)
    sizes = _add(index, lengths, ids.size)
    if ids.size and ids[0] == 0:
        return ids[1:], index - 1, sizes[1:]
    return ids, index, sizes


def _add(index: IntArray, amounts: IntArray, size: int) -> IntArray:
    """Sum the amounts of each index, in integers: float weights are exact only up to 2**53."""
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, index, amounts)
    return total
