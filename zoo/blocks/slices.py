"""What an ensemble of detectors finds in the slices of a large volume, owned block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.blocks.job import Job
from zoo.blocks.maps import levels_of, scaled, tally_cubes
from zoo.blocks.masks import pack, unpack
from zoo.blocks.reader import Reader
from zoo.data.boxes import Box, Shape, size
from zoo.data.resample import resample_box, working_shape
from zoo.fusion.detections import Detections
from zoo.recipe_detector import DetectorRecipe

if TYPE_CHECKING:
    from zoo.models.detect import Detector

DETECTIONS = "detections"
SLAB = 32  # slices that are resampled at once

Found = list[list[Detections]]  # of each member, of each slice
_Mask = tuple[np.ndarray, np.ndarray, float]  # first pixel, mask, score


def members_of(job: Job) -> Sequence[tuple[str, Detector]]:
    """Return name and detector of each member that has weights."""
    members: Sequence[tuple[str, Detector]] = job.network(job.entry.needs["ensemble"]).model
    return members


def measure_slices(job: Job) -> list[str]:
    """Measure what becomes 0 and 1 in the slices that each member sees, and keep it.

    Percentiles are of all of the volume at the member's pixels, or of 4,096 cubes of it.

    Returns
    -------
    list of str
        What could not be read.
    """
    step = _levels_step(job)
    if job.store.table(step, 0) is not None:
        return []
    reader = Reader(job.volume)
    known: dict[tuple[float, str], tuple[float, float]] = {}
    for _, detector in members_of(job):
        recipe = detector.recipe
        key = recipe.pixel_um, recipe.scaling
        if key not in known:
            shape = _pixels(job, recipe)
            tally, _ = tally_cubes(partial(resample_box, reader, job.volume.shape, shape), shape, reader)
            known[key] = levels_of(job, tally, recipe.scaling)
    levels = [known[detector.recipe.pixel_um, detector.recipe.scaling] for _, detector in members_of(job)]
    job.store.put_table(step, 0, {"levels": np.array(levels)})
    return reader.faults


def detect_block(job: Job, number: int) -> list[str]:
    """Let the members look at the slices of a block, and keep the detections whose centroid lies in it.

    Returns
    -------
    list of str
        What could not be read.
    """
    if job.store.table(DETECTIONS, number) is not None:
        return []
    reader, block = Reader(job.volume), job.blocks[number]
    found = detect_in(job, block, reader)
    flat = [
        (member, z, detections, i)
        for member, slices in enumerate(found)
        for z, detections in enumerate(slices, start=block[0].start)
        for i in range(len(detections))
    ]
    table = pack(
        np.array([detections.starts[i] for _, _, detections, i in flat], np.int64).reshape(-1, 2),
        [detections.masks[i] for _, _, detections, i in flat],
    )
    table |= {
        "member": np.array([member for member, *_ in flat], np.int64),
        "z": np.array([z for _, z, *_ in flat], np.int64),
        "score": np.array([detections.scores[i] for _, _, detections, i in flat], np.float32),
    }
    job.store.put_table(DETECTIONS, number, table)
    return reader.faults


def detect_in(job: Job, box: Box, reader: Reader) -> Found:
    """Find what has its centroid in a box; the detectors see its halo too.

    Returns
    -------
    list of list of Detections
        Of each member, of each slice of the box; at the voxels of the volume.
    """
    table = job.store.table(_levels_step(job), 0)
    assert table is not None, "levels come first"
    found: Found = []
    for (_, detector), (low, high) in zip(members_of(job), table["levels"], strict=True):
        own: list[Detections] = []
        for first in range(box[0].start, box[0].stop, SLAB):
            slab = slice(first, min(first + SLAB, box[0].stop))
            own += _detect(job, detector, (slab, box[1], box[2]), (float(low), float(high)), reader)
        found.append([_owned(detections, box[1:]) for detections in own])
    return found


def gather(job: Job, window: Box) -> Found:
    """Gather the detections of a window from the blocks that own them; where nobody looked, look."""
    depth = size(window)[0]
    parts: list[list[list[_Mask]]] = [[[] for _ in range(depth)] for _ in members_of(job)]
    for number in job.blocks.touching(window):
        table = job.store.made(DETECTIONS, number, partial(detect_block, job, number))
        for i, mask in enumerate(unpack(table, bits=True)):
            z = int(table["z"][i]) - window[0].start
            if 0 <= z < depth:
                parts[int(table["member"][i])][z].append((table["starts"][i], mask, table["score"][i]))
    return [[_owned(_detections(found), window[1:]) for found in slices] for slices in parts]


def _detections(found: Sequence[_Mask]) -> Detections:
    return Detections(
        np.array([start for start, _, _ in found], np.int64).reshape(-1, 2),
        tuple(mask for _, mask, _ in found),
        np.array([score for _, _, score in found], np.float32),
    )


def _owned(detections: Detections, sides: Sequence[slice]) -> Detections:
    """Return the detections whose centroid lies in a box (y, x) of voxels."""
    at = detections.centroids((1.0, 1.0))
    inside = [(side.start <= p + 0.5) & (p + 0.5 < side.stop) for p, side in zip(at.T, sides, strict=True)]
    return detections.take(np.flatnonzero(np.all(inside, axis=0)))


def _detect(
    job: Job, detector: Any, box: Box, levels: tuple[float, float], reader: Reader
) -> list[Detections]:
    """Let a member look at the slices of a box with its halo, on the pixels that it has in the whole."""
    recipe, shape = detector.recipe, _pixels(job, detector.recipe)
    half = recipe.channels // 2 if recipe.context else 0
    _, rows, columns = job.around(box)
    z = slice(max(box[0].start - half, 0), min(box[0].stop + half, shape[0]))
    y, x = (
        _part(side, edge + 2 * halo, old, new, recipe.multiple)
        for side, edge, halo, old, new in zip(
            (rows, columns), job.block[1:], job.halo[1:], job.volume.shape[1:], shape[1:], strict=True
        )
    )
    image = scaled(resample_box(reader, job.volume.shape, shape, (z, y, x)), *levels)
    chosen = range(box[0].start - z.start, box[0].stop - z.start)
    return detector.detect_slices(
        image, chosen, job.volume.shape[1:], part=((y.start, x.start), (shape[1], shape[2]))
    )


def _part(side: slice, largest: int, old: int, new: int, multiple: int) -> slice:
    """Return the pixels of an axis that a window is seen with.

    All windows get as many, or a detector would be traced anew for each; they begin at whole ones of what the
    pyramid divides, so that anchors lie where they lie in the whole.
    """
    whole = math.ceil(new / multiple) * multiple
    most = max(min(largest, old), side.stop - side.start)
    edge = min((math.ceil(most * new / old / multiple) + 1) * multiple, whole)
    start = min(int(side.start * new / old) // multiple * multiple, whole - edge)
    return slice(start, min(start + edge, new))


def _pixels(job: Job, recipe: DetectorRecipe) -> Shape:
    """Return the shape of the volume at a member's pixels."""
    z, y, x = working_shape(job.volume.shape, (recipe.pixel_um, *job.spacing[1:]), recipe.pixel_um)
    return z, y, x


def _levels_step(job: Job) -> str:
    return f"levels-{job.entry.needs['ensemble']}"
