"""Are there seams? Windows across borders of blocks, done as one piece and compared with the labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from zoo.blocks.apart import apart, end
from zoo.blocks.job import Job
from zoo.blocks.maps import probability_of_piece
from zoo.blocks.nuclei import label_piece
from zoo.data.boxes import Box, inside
from zoo.data.volumes import open_volume
from zoo.evaluate.overlap import Overlap, count_overlap
from zoo.fusion.landscape import split_by_vote
from zoo.fusion.watershed import remove_small
from zoo.segment import as_bytes

EDGE_UM = 64.0  # of a window: several nuclei
IOU = 0.9


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the labels are to those of the same windows done as one piece.

    Attributes
    ----------
    windows, nuclei
        How many were compared; nuclei that a window's face cuts count too, with what of them is in it.
    f1
        Of objects that share nine tenths of their voxels, IoU; 1 where there are none.
    differing
        Share of the voxels that belong to different objects, or to one in one of the two only.
    """

    windows: int
    nuclei: int
    f1: float
    differing: float


def audit(job: Job, out: Path, count: int, min_volume: float, seed: int = 0) -> Agreement:
    """Do some windows that straddle borders of blocks as one piece.

    Parameters
    ----------
    job
        Of a run whose levels are still there.
    out
        The labels that it made.
    count
        Windows, drawn among the places where blocks meet.
    min_volume
        Least volume of an object that stayed, um^3.
    seed
        Of the draw.

    Returns
    -------
    Agreement
        Over all windows.
    """
    labels = open_volume(out, time=job.time or 0)
    tables = []
    windows = _windows(job, count, np.random.default_rng(seed))
    label = partial(_as_one, job, windows, min_volume)
    for number, window in enumerate(windows):
        found = apart(label, number, job.apart) if job.apart else label(number)
        tables.append(count_overlap(found, labels.read(window)))
    end()
    return agreement(tables)


def agreement(tables: Sequence[Overlap]) -> Agreement:
    """Sum up how alike pairs of label volumes are."""
    hits = sum(int((table.iou > IOU).sum()) for table in tables)
    truths, found = (sum(len(table.truth_ids) for table in tables), sum(len(t.pred_ids) for t in tables))
    same = sum(int(table.voxels[table.iou > 0.5].sum()) for table in tables)
    either = sum(table.truth_voxels + table.pred_voxels - table.shared_voxels for table in tables)
    every = sum(table.all_voxels for table in tables)
    f1 = 2 * hits / (truths + found) if truths + found else 1.0
    return Agreement(len(tables), truths, f1, (either - same) / every if every else 0.0)


def _windows(job: Job, count: int, rng: np.random.Generator) -> list[Box]:
    """Draw windows around corners and sides of blocks that others follow."""
    shape = job.volume.shape
    edge_um = EDGE_UM
    while math.prod(edge_um / um + 2 * h for um, h in zip(job.spacing, job.halo, strict=True)) > job.room:
        edge_um /= 2
        if edge_um < 1:
            break
    edges = [min(max(round(edge_um / um), 1), n) for um, n in zip(job.spacing, shape, strict=True)]
    meeting = [b for b in job.blocks if any(side.stop < n for side, n in zip(b, shape, strict=True))]
    drawn = rng.permutation(len(meeting))[:count]
    windows = []
    for number in drawn:
        sides = []
        for side, edge, n in zip(meeting[number], edges, shape, strict=True):
            middle = side.stop if side.stop < n else int(rng.integers(side.start, side.stop))
            start = min(max(middle - edge // 2, 0), n - edge)
            sides.append(slice(start, start + edge))
        windows.append((sides[0], sides[1], sides[2]))
    return windows


def _as_one(job: Job, windows: Sequence[Box], min_volume: float, number: int) -> np.ndarray:
    """Label a window and its halo as a volume of its own, but by the levels of the run."""
    window = windows[number]
    around, needs = job.around(window), job.entry.needs
    if "ensemble" in needs:
        labels = label_piece(job, around)
        return remove_small(labels, min_volume, job.spacing)[inside(window, around)]
    mask = probability_of_piece(job, needs["nsn"], around) >= job.threshold
    centres = as_bytes(probability_of_piece(job, needs["ndn"], around))
    labels = split_by_vote(mask, centres, job.spacing)
    return remove_small(labels, min_volume, job.spacing)[inside(window, around)]
