"""What the pieces of a run by blocks look at and leave, counted by the project's own code, axis by axis.

A sum over the boxes of a grid is a product of sums over its axes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.blocks.grid import Grid
from zoo.blocks.maps import CUBE, MOST_CUBES, SAMPLE
from zoo.blocks.merge import chunk_for
from zoo.blocks.plan import Plan
from zoo.blocks.view import View
from zoo.data.boxes import Box, Shape, grown, size
from zoo.data.omezarr import CHUNKS
from zoo.data.resample import MOST_READ, resample_box
from zoo.recipe import Recipe

Views = Mapping[str, tuple[View, Recipe]]


def covered(side: slice, chunk: int, n: int) -> int:
    """Count the voxels of the chunks that a side reaches into."""
    return min(-(-side.stop // chunk) * chunk, n) - side.start // chunk * chunk


def along(view: View, axis: int) -> View:
    """Return a view of a volume that has only one axis, as its first."""
    n, m, p = ((grid[axis], 1, 1) for grid in (view.volume, view.shape, view.padded))
    return replace(view, volume=n, shape=m, padded=p, before=(view.before[axis], 0, 0))


@dataclass(frozen=True)
class Reads:
    """What boxes of a padded grid need of the volume, all of them together."""

    voxels: int
    chunks: int  # voxels of the chunks that hold them, each chunk once a box
    decoded: int  # the same, each chunk once for each part that a box is read in


def asked(view: View, side: slice, chunk: int, at_once: int) -> tuple[int, int]:
    """Count what is read along the first axis, so many planes of a box at once: voxels, those of chunks."""
    low, high = max(side.start - view.before[0], 0), min(side.stop - view.before[0], view.shape[0])
    parts: list[Box] = []

    def record(part: Box) -> np.ndarray:
        parts.append(part)
        return np.zeros(size(part), np.uint16)

    one, old, new = slice(0, 1), (view.volume[0], 1, 1), (view.shape[0], 1, 1)
    for first in range(low, high, at_once):
        resample_box(record, old, new, (slice(first, min(first + at_once, high)), one, one))
    return sum(size(part)[0] for part in parts), sum(covered(p[0], chunk, view.volume[0]) for p in parts)


def count_reads(view: View, sides: Sequence[Sequence[slice]]) -> Reads:
    """Count what is read for all boxes that sides along the axes make: `resample_box` cuts them along z."""
    lines = [along(view, axis) for axis in range(3)]
    z, y, x = (
        [asked(line, side, chunk, line.shape[0]) for side in row]
        for line, row, chunk in zip(lines, sides, CHUNKS, strict=True)
    )
    planes = -(-view.volume[0] // view.shape[0]) + 1  # of the volume for one of the box, as it reckons
    found: Counter[int] = (
        Counter()
    )  # voxels of chunks of a plane, by how many planes of a box are made at once
    for high, rows in y:
        for wide, columns in x:
            found[max(1, MOST_READ // (high * wide * planes))] += rows * columns
    decoded = sum(
        count * sum(asked(lines[0], side, CHUNKS[0], at_once)[1] for side in sides[0])
        for at_once, count in found.items()
    )
    voxels, chunks = (math.prod(sum(side[i] for side in row) for row in (z, y, x)) for i in (0, 1))
    return Reads(voxels, chunks, decoded)


def count_maps(view: View, edges: Shape) -> tuple[int, int, Reads]:
    """Count windows, working voxels that the network is shown, and what is read for them."""
    lines = [along(view, axis) for axis in range(3)]
    sides = [
        [line.window(core)[0] for core in line.windows((edge, 1, 1))]
        for line, edge in zip(lines, edges, strict=True)
    ]
    shown = math.prod(sum(side.stop - side.start for side in row) for row in sides)
    return len(view.windows(edges)), shown, count_reads(view, sides)


def count_levels(view: View) -> tuple[float, Reads]:
    """Return the share of a network's cubes that its levels are taken from, and what all would need."""
    cubes = Grid(view.shape, (CUBE, CUBE, CUBE))
    sides = [
        [slice(box[0].start + before, box[0].stop + before) for box in Grid((n, 1, 1), (CUBE, 1, 1))]
        for n, before in zip(view.shape, view.before, strict=True)
    ]
    return (min(len(cubes), MOST_CUBES) + SAMPLE) / len(cubes), count_reads(view, sides)


@dataclass(frozen=True)
class Looks:
    """What the blocks look at, all of them together and once."""

    blocks: int
    voxels: int
    maps: int  # decoded voxels of the maps
    tables: int  # of markers


def count_blocks(plan: Plan, shape: Shape, views: Views) -> Looks:
    """Count blocks and what they look at, halo and whole chunks included."""
    voxels, tables, decoded = 1, 1, dict.fromkeys(views, 1)
    for axis in range(3):
        line = Grid((shape[axis], 1, 1), (plan.block[axis], 1, 1))
        around = [grown(box, (plan.halo[axis], 0, 0), line.shape) for box in line]
        voxels *= sum(size(box)[0] for box in around)
        tables *= sum(len(line.touching(box)) for box in around)
        for name, (view, _) in views.items():
            seen, edge = along(view, axis), plan.windows[name][axis]
            decoded[name] *= sum(covered(seen.needed(box)[0], edge, seen.padded[0]) for box in around)
    return Looks(len(Grid(shape, plan.block)), voxels, sum(decoded.values()), tables)


def count_files(plan: Plan, shape: Shape, views: Views) -> int:
    """Count the files of a run's folder at its end: chunks of maps and identifiers, tables and marks."""
    blocks = len(Grid(shape, plan.block))
    windows = sum(len(view.windows(plan.windows[name])) for name, (view, _) in views.items())
    # a window is a chunk and a mark; a block three tables and their marks, and those of ids and of writing
    return len(Grid(shape, chunk_for(plan.block))) + 2 * windows + 8 * blocks
