"""A run by blocks from the volume to the labels, step by step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from zoo.blocks.apart import alone, apart
from zoo.blocks.engine import Outcome, Work
from zoo.blocks.job import Job
from zoo.blocks.labels import IDS, OBJECTS, label_block, mark_block
from zoo.blocks.maps import map_window, measure_levels
from zoo.blocks.merge import (
    LABELS,
    WRITTEN,
    add_up,
    chunk_for,
    cut_objects,
    type_for,
    unread_in,
    write_block,
)
from zoo.blocks.nuclei import NUCLEI, join_block, paint_block
from zoo.blocks.slices import DETECTIONS, detect_block, measure_slices
from zoo.data.boxes import Box, Shape, size
from zoo.data.ngff import import_zarr, is_omezarr, read_attributes
from zoo.data.omezarr import add_labels, create, fill, pyramid
from zoo.data.write import atomic_folder
from zoo.errors import InputError
from zoo.evaluate.criteria import Nucleus
from zoo.familiar import left_out
from zoo.forecast import bytes_needed

LEVELS, MAPS = "levels", "maps"  # the first steps, each of all networks at once
REPLACED = "replaced"  # in the folder of the run: labels that were there before, for a moment

Engine = Callable[[Work, Iterable[int]], Iterator[Outcome]]


class Follow(Protocol):
    """Goes through outcomes, and shows how far they are."""

    def __call__(self, step: str, total: int, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Pass them on."""
        ...


@dataclass(slots=True)
class Report:
    """What came of a run.

    Attributes
    ----------
    nuclei
        Those that are in the labels.
    notes
        What to know of.
    unread
        What could not be read of the volume; it was taken to be dark.
    failed
        Blocks and windows that could not be done, and why.
    """

    nuclei: list[Nucleus] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Add what came of another frame."""
        self.nuclei += other.nuclei
        self.notes += other.notes
        self.unread += [line for line in other.unread if line not in self.unread]
        self.failed += other.failed


def segment_blocks(job: Job, engine: Engine, follow: Follow, share: tuple[int, int] = (1, 1)) -> Report:
    """Map, mark and label the blocks of a share; of an ensemble: detect, join over z and paint.

    Parameters
    ----------
    job
        What to do.
    engine
        Who does it.
    follow
        Shows how far it is.
    share
        ``(3, 16)`` for the third of sixteen shares, each as many blocks that lie side by side.

    Returns
    -------
    Report
        Without nuclei. Where the levels of a network could not be measured, nothing else was done.
    """
    report, blocks = Report(), job.blocks
    own = share_of(len(blocks), share)
    looked = sorted({k for number in own for k in blocks.touching(job.around(blocks[number]))})
    seen = [job.around(blocks[number]) for number in looked]

    def do(step: str, work: Work, numbers: Sequence[int]) -> None:
        if job.apart:
            # after the levels of a network comes another process: windows would find the memory in pieces
            most = {LEVELS: 0, MAPS: job.apart}.get(step)
            work = partial(alone, work) if most is None else partial(apart, work, most=most)
        for outcome in follow(step, len(numbers), engine(work, numbers)):
            report.unread += [line for line in outcome.unread if line not in report.unread]
            if outcome.fault:
                report.failed.append(f"{_frame(job)}{step} {outcome.number}: {outcome.fault}")

    names = list(job.entry.needs.values())
    by_slices = "ensemble" in job.entry.needs
    do(
        LEVELS,
        partial(_levels_of_slices, job) if by_slices else partial(_levels, job, names),
        range(len(names)),
    )
    if report.failed:  # all else needs them
        return report
    if by_slices:
        do(DETECTIONS, partial(detect_block, job), sorted({k for box in seen for k in blocks.touching(box)}))
        do(NUCLEI, partial(join_block, job), looked)
        do("labels", partial(paint_block, job), own)
        return report
    do(MAPS, partial(_map, job, names), _windows(job, names, seen))
    do("markers", partial(mark_block, job), looked)
    do("labels", partial(label_block, job), own)
    return report


def _windows(job: Job, names: Sequence[str], seen: Sequence[Box]) -> list[int]:
    """Return the numbers of the windows that boxes need, the largest first.

    TensorFlow keeps what it allocates: smaller windows find room in what larger ones left, not the other way.
    """
    needed, before = {}, 0
    for name in names:
        view, windows, recipe = job.view(name), job.all_windows(name), job.recipe(name)
        for k in sorted({k for box in seen for k in windows.touching(view.needed(box))}):
            needed[before + k] = bytes_needed(recipe, size(view.window(windows[k])))
        before += len(windows)
    return sorted(needed, key=needed.__getitem__, reverse=True)


def _frame(job: Job) -> str:
    return "" if job.time is None else f"frame {job.time}, "


def _levels(job: Job, names: Sequence[str], number: int) -> list[str]:
    return measure_levels(job, names[number])


def _levels_of_slices(job: Job, number: int) -> list[str]:
    return measure_slices(job)


def _map(job: Job, names: Sequence[str], number: int) -> list[str]:
    """Map a window by its number through the windows of all networks."""
    for name in names:
        if number < (count := len(job.all_windows(name))):
            break
        number -= count
    return map_window(job, name, number)


def merge_blocks(
    jobs: Sequence[Job], out: Path, min_volume: float, engine: Engine, follow: Follow, report: Report
) -> None:
    """Give all objects their numbers, write the labels, put them into place.

    Blocks without labels stay empty; the report gets the nuclei.

    Parameters
    ----------
    jobs
        One, or one a frame; their stores lie beside each other in the folder of the run.
    out
        Where the labels go, replacing what is there.
    min_volume
        Least volume that stays, um^3.
    engine, follow, report
        As for `segment_blocks`, and what that returned.
    """
    place = jobs[0].store.path.parent / LABELS
    if not any(_done(job) for job in jobs):
        raise InputError(report.failed[0] if report.failed else f"no block in {place.parent} has labels")
    for job in jobs:
        if done := _done(job):
            nuclei, smaller = add_up(job, done, min_volume)
            report.nuclei += nuclei
            if smaller and (note := left_out(min_volume)) not in report.notes:
                report.notes.append(note)
            report.notes += cut_objects(job, done)
            report.unread += [line for line in unread_in(job, done) if line not in report.unread]
        if not report.failed and (left := missing(job)):  # no hole without a word
            report.failed.append(f"{_frame(job)}{len(left)} blocks have no labels, the first is {left[0]}")
    kind = type_for(max((nucleus.label for nucleus in report.nuclei), default=0))
    if not place.exists() or jobs[0].store.array(f"../{LABELS}/0").dtype != kind:
        for job in jobs:
            job.store.forget(WRITTEN)
        _make_labels(place, out, jobs, kind)
    for job in jobs:
        done = _done(job)
        for outcome in follow("writing", len(done), engine(partial(write_block, job), done)):
            if outcome.fault:
                report.failed.append(f"{_frame(job)}writing {outcome.number}: {outcome.fault}")
    for level, count in pyramid(place).items():
        for outcome in follow(
            f"pyramid, level {level}", count, engine(partial(_fill, place, level), range(count))
        ):
            if outcome.fault:
                report.failed.append(f"pyramid, level {level}: {outcome.fault}")
    _publish(place, out)
    for job in jobs:
        job.store.forget(WRITTEN)


def _fill(place: Path, level: str, number: int) -> list[str]:
    fill(place, level, number)
    return []


def _make_labels(place: Path, out: Path, jobs: Sequence[Job], kind: np.dtype) -> None:
    """Make the labels, empty; those that belong to an image are of its version."""
    first, image = jobs[0], image_of(out)
    found = None if image is None else read_attributes(image)
    shape = first.volume.shape if first.time is None else (len(jobs), *first.volume.shape)
    with atomic_folder(place) as part:
        create(
            part,
            shape,
            kind,
            first.spacing,
            version="0.5" if found is None else found[0],
            chunks=chunk_for(first.block),
            labels=True,
            name=out.name.split(".")[0],
        )


def image_of(out: Path) -> Path | None:
    """Return the OME-Zarr image that labels belong to by their place, ``IMAGE/labels/NAME``."""
    image = out.parent.parent
    return image if out.parent.name == "labels" and is_omezarr(image) else None


def _done(job: Job) -> list[int]:
    return [number for number in range(len(job.blocks)) if job.store.marked(OBJECTS, number)]


def share_of(count: int, share: tuple[int, int]) -> list[int]:
    """Return the numbers that belong to the i-th of n shares of a count, side by side."""
    i, n = share
    return list(range((i - 1) * count // n, i * count // n))


def missing(job: Job) -> list[int]:
    """Return the blocks that have no labels yet."""
    return [number for number in range(len(job.blocks)) if not job.store.marked(OBJECTS, number)]


def make_arrays(block: Shape, shape: Shape, maps: Mapping[str, tuple[Shape, Shape]], folder: Path) -> None:
    """Make the arrays of a run: maps of each network, and identifiers.

    Parameters
    ----------
    block, shape
        Of the labels and of the volume, (z, y, x) voxels.
    maps
        Name to padded shape and edges of the windows.
    folder
        Where to.
    """
    zarr = import_zarr()
    for name, (padded, edges) in maps.items():
        chunks = [min(edge, n) for edge, n in zip(edges, padded, strict=True)]
        zarr.create_array(
            str(folder / f"maps-{name}"), shape=padded, chunks=chunks, dtype="uint16", fill_value=0
        )
    zarr.create_array(str(folder / IDS), shape=shape, chunks=chunk_for(block), dtype="int64", fill_value=0)


def _publish(place: Path, out: Path) -> None:
    """Put what is whole where it belongs, and name it there; an older one is gone only then."""
    out.parent.mkdir(parents=True, exist_ok=True)
    old = place.with_name(REPLACED)
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(place, out)
    if (image := image_of(out)) is not None:
        add_labels(image, out.name)
    shutil.rmtree(old, ignore_errors=True)
