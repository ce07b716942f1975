"""Nuclei of a large volume from the detections in its slices: each owned by the block of its centroid."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy import ndimage as ndi

from zoo.blocks.job import Job
from zoo.blocks.labels import IDS, OBJECTS, measure_parts
from zoo.blocks.masks import pack, unpack
from zoo.blocks.reader import Reader
from zoo.blocks.slices import Found, detect_in, gather
from zoo.data.boxes import Box, inside, moved, size
from zoo.fusion.detections import Detections
from zoo.fusion.slices import join
from zoo.vote import agree

NUCLEI = "nuclei"
SHARES = 254  # of the scores that claim a voxel, in a byte beside what is no voxel of the nucleus


def join_block(job: Job, number: int) -> list[str]:
    """Let the members vote in a block with its halo, join the slices, keep the nuclei that the block owns.

    Returns
    -------
    list of str
        Nothing to tell.
    """
    if job.store.table(NUCLEI, number) is None:
        block = job.blocks[number]
        window = job.around(block)
        frame, labels, shares = _vote(job, window, gather(job, window))
        starts, crops = [], []
        for label, box in enumerate(ndi.find_objects(labels), start=1):
            if box is None:
                continue
            mask = labels[box] == label
            start = np.array([side.start + first.start for side, first in zip(box, frame, strict=True)])
            centre = np.argwhere(mask).mean(axis=0) + start + 0.5
            if all(side.start <= p < side.stop for p, side in zip(centre, block, strict=True)):
                starts.append(start)
                crops.append((1 + np.rint(SHARES * shares[box])).astype(np.uint8) * mask)
        job.store.put_table(NUCLEI, number, pack(np.array(starts, np.int64).reshape(-1, 3), crops))
    return []


def paint_block(job: Job, number: int) -> list[str]:
    """Give each voxel of a block the identifier of its nucleus, and measure what of each lies in the block.

    The identifier is where the nucleus' first voxel is, counted through the volume from 1. A voxel that two
    blocks' nuclei claim goes to the lower one.

    Returns
    -------
    list of str
        What could not be read.
    """
    block = job.blocks[number]
    if job.store.table(OBJECTS, number) is not None and job.store.has(IDS, block, IDS, number):
        return []
    job.store.unmark(OBJECTS, number)  # a torn table is none, should this fail
    labels, shares = np.zeros(size(block), np.int32), np.zeros(size(block), np.uint8)
    identifiers = [0]
    for identifier, start, crop in sorted(_nuclei_in(job, job.around(block)), key=lambda one: one[0]):
        if identifier == identifiers[-1]:  # found by two blocks
            continue
        both = _common(start, crop.shape, block)
        if both is None:
            continue
        at, part = inside(both, block), crop[moved(both, [-int(first) for first in start])]
        free = (labels[at] == 0) & (part > 0)
        if free.any():
            labels[at][free] = len(identifiers)
            shares[at][free] = np.rint((part[free] - 1.0) * (255 / SHARES))
            identifiers.append(identifier)
    reader = Reader(job.volume, dark=0)
    known = np.array(identifiers, np.int64)
    table = measure_parts(labels, known, block, reader(block), shares, np.zeros_like(labels, np.uint8))
    table["centre"] = np.full(len(table["id"]), np.nan)  # no network says where centres are
    job.store.put(IDS, block, known[labels], IDS, number)
    told = {"larger": np.array(False), "unread": np.array(reader.faults, np.str_)}
    job.store.put_table(OBJECTS, number, table | told)
    return reader.faults


def label_piece(job: Job, window: Box) -> np.ndarray:
    """Label a window as one piece, by the levels of the run; (Z, Y, X) int."""
    frame, labels, _ = _vote(job, window, detect_in(job, window, Reader(job.volume)))
    return labels[inside(window, frame)]


def _vote(job: Job, window: Box, found: Found) -> tuple[Box, np.ndarray, np.ndarray]:
    """Fuse detections and join them over z, in a frame that holds the window and all of their masks."""
    every = [box for slices in found for one in slices for box in one.boxes()]
    ends = [(box[0].start, box[0].stop, box[1].start, box[1].stop) for box in every]
    ends.append((window[1].start, window[1].stop, window[2].start, window[2].stop))
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    rows, columns = slice(int(low[0]), int(high[1])), slice(int(low[2]), int(high[3]))
    frame = window[0], rows, columns
    corner = np.array([rows.start, columns.start])
    placed = [[Detections(one.starts - corner, one.masks, one.scores) for one in slices] for slices in found]
    fused, shares = agree(placed, size(frame), job.spacing, job.threshold)
    return frame, join([one.detections for one in fused], size(frame), job.spacing), shares


def _nuclei_in(job: Job, window: Box) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield identifier, first voxel of the box and crop of the nuclei that blocks of a window own."""
    for number in job.blocks.touching(window):
        table = job.store.made(NUCLEI, number, partial(join_block, job, number))
        for start, crop in zip(table["starts"], unpack(table, bits=False), strict=True):
            first = start + np.unravel_index(np.flatnonzero(crop)[0], crop.shape)
            yield 1 + int(np.ravel_multi_index(tuple(first), job.volume.shape)), start, crop


def _common(start: np.ndarray, edges: tuple[int, ...], block: Box) -> Box | None:
    """Return what a crop and a block have in common, in the volume; ``None`` for nothing."""
    z, y, x = (
        slice(max(int(first), side.start), min(int(first) + edge, side.stop))
        for first, edge, side in zip(start, edges, block, strict=True)
    )
    return (z, y, x) if all(side.start < side.stop for side in (z, y, x)) else None
