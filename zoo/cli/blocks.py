"""``zoo predict`` of volumes larger than the memory."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from zoo.blocks.engine import here, stop_on_full_disk
from zoo.blocks.job import Job, load_networks, read_runs
from zoo.blocks.plan import Plan, describe, labelling_seconds, make_plan, network_seconds, plan_slices, within
from zoo.blocks.run import LEVELS, Engine, Follow, Report, make_arrays, merge_blocks, missing, segment_blocks
from zoo.blocks.store import PLAN, open_store, read_plan
from zoo.blocks.view import View
from zoo.cli.block_options import Blocks, check_options, workers
from zoo.cli.block_places import Places, begin_anew, check_places, locked, removed_if_empty
from zoo.cli.block_progress import Follower, expected_seconds
from zoo.cli.options import SPACING_FROM, make_console, tell_weights
from zoo.cli.record import begin, device_of
from zoo.data.io import Spacing, resolve_spacing
from zoo.data.sizes import across
from zoo.data.volumes import Volume, open_volume
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.evaluate.criteria import write_criteria
from zoo.familiar import magnification, other_sizes, other_voxels, rescaled
from zoo.forecast import SHARE, bytes_free
from zoo.recipe import Recipe
from zoo.segment import Network
from zoo.train.runs import Run
from zoo.weights import choose_threshold, describe_weights, find_runs, parts_of
from zoo.wording import counted, lasting


def predict_blocks(
    entry: Entry,
    images: tuple[Path, ...],
    out: Path,
    blocks: Blocks,
    weights: tuple[str, ...],
    spacing: tuple[float, float, float] | None,
    channel: int | None,
    threshold: float | str,
    min_volume: float | None,
    diameter: float | None,
    deterministic: bool,
    overwrite: bool,
) -> None:
    """Segment a volume by blocks, into an OME-Zarr of labels."""
    check_options(entry, blocks, overwrite)
    places = Places.of(out)
    check_places(places, images, overwrite)
    if blocks.merge and not places.home.exists():
        raise InputError(f"there is nothing to merge, as no shard has begun in {places.home}")
    console = make_console()
    volume, um = _open(entry, images, spacing, channel, console)
    tell_weights(entry, weights, console)
    chosen = _absolute(entry, weights)
    runs = read_runs(entry.name, chosen)
    parts = {name: parts_of(run) for name, run in runs.items()}
    views = {} if "ensemble" in entry.needs else _views(volume, um, runs, diameter)
    known = runs[entry.needs["nsn"]].settings.get("objects") if views else None
    for note in () if diameter is not None else other_voxels(um, known):
        console.print(note)
    plan = _plan(volume, um, views, blocks, None if overwrite else places.home)
    if blocks.plan:
        _tell(volume, um, plan, views, load_networks(entry.name, chosen) if views else {})
        return
    settings = {"threshold": choose_threshold(entry, weights, threshold), "diameter": diameter}
    if min_volume is None:
        min_volume = entry.subject.min_volume
        if diameter is not None:
            min_volume /= magnification(diameter, known) ** 3
    if volume.shape[0] == 1:
        min_volume = 0.0  # a slice has no volume to speak of
    try:
        with removed_if_empty(places.home, blocks), locked(places.home, blocks.shard is not None):
            if overwrite:
                begin_anew(places)
            begun = any(places.home.glob(f"[!.]*/{PLAN}"))
            jobs = _jobs(
                entry,
                volume,
                um,
                chosen,
                parts,
                settings,
                plan,
                blocks,
                views,
                places.home,
                channel,
                deterministic,
            )
            if begun:
                _tell_done(jobs, places.home, console)
            seconds = expected_seconds(
                volume.shape,
                plan_of(jobs[0].store.plan),
                views,
                len(jobs),
                blocks.merge,
                blocks.shard is not None,
            )
            record = None
            if blocks.shard is None:  # which ends without a result
                outs = {"--out": out}
                record = begin(
                    places.record, outs, images, entry=entry, weights=weights, deterministic=deterministic
                )
            with Follower(console, seconds, len(jobs)) as follow:
                report = _run(entry, jobs, places, blocks, min_volume, follow, console)
            if record is not None:
                record.device = _device(entry, blocks)
                record.failed = [*report.failed, *report.unread]
                record.finish(places.record, [places.out, places.criteria])
    except OSError as fault:
        stop_on_full_disk(fault)
        raise
    if diameter is None:
        report.notes += other_sizes(across([nucleus.volume_um3 for nucleus in report.nuclei]), known)
    _finish(report, places.home, console, keep=blocks.shard is not None)


def _run(
    entry: Entry,
    jobs: Sequence[Job],
    places: Places,
    blocks: Blocks,
    min_volume: float,
    follow: Follow,
    console: Console,
) -> Report:
    """Do the steps that are asked for."""
    report = Report()
    if blocks.merge:
        _check_all(jobs)
    with _engine(blocks, console) as engine:
        for job in () if blocks.merge else jobs:
            report.add(segment_blocks(job, engine, follow, blocks.shard or (1, 1)))
        if report.failed and all(f"{LEVELS} " in line for line in report.failed) and not _any(jobs):
            raise InputError(report.failed[0].split(": ", 1)[1])
        if blocks.shard is not None:
            console.print(f"shard {blocks.shard[0]} of {blocks.shard[1]} is done: when all are, give --merge")
            return report
        merge_blocks(jobs, places.out, min_volume, engine, follow, report)
    write_criteria(places.criteria, report.nuclei)
    console.print(f"{len(report.nuclei):,} {entry.subject.objects}; labels are in {places.out}")
    if blocks.audit:
        _audit(jobs, places.out, blocks.audit, min_volume, console)
    return report


def _open(
    entry: Entry,
    images: tuple[Path, ...],
    spacing: Spacing | None,
    channel: int | None,
    console: Console,
) -> tuple[Volume, Spacing]:
    if len(images) > 1:
        raise InputError(f"{len(images)} images into one OME-Zarr: give one image at a time")
    volume = open_volume(images[0].absolute(), channel=channel)
    um, told_by = resolve_spacing(volume.spacing, spacing, entry.inputs.spacing_um or (1.0, 1.0, 1.0))
    frames = f"{volume.times} frames of " if volume.series else ""
    shown = " x ".join(f"{edge:g}" for edge in um)
    console.print(
        f"{images[0].name}: {frames}{' x '.join(map(str, volume.shape))} voxels of {shown} um (z, y, x), "
        f"{SPACING_FROM[told_by]}"
    )
    return volume, um


def _absolute(entry: Entry, weights: Sequence[str]) -> tuple[str, ...]:
    """Name all weights by where they are: workers elsewhere look for ``runs`` in other folders."""
    runs = find_runs(entry, weights)
    return tuple(f"{part}={runs[name].absolute()}" for part, name in entry.networks.items())


def _views(
    volume: Volume, um: Spacing, runs: Mapping[str, Run], diameter: float | None
) -> dict[str, tuple[View, Recipe]]:
    """Return what each network sees, and its recipe."""
    views = {}
    for name, run in runs.items():
        if run.recipe.attenuation:
            raise InputError(f"{name} was trained with attenuation=true, which looks at whole images only")
        shown = um if diameter is None else rescaled(um, diameter, run.settings.get("objects"))
        views[name] = View.of(volume.shape, shown, run.recipe), run.recipe
    return views


def _plan(
    volume: Volume, um: Spacing, views: Mapping[str, tuple[View, Recipe]], blocks: Blocks, home: Path | None
) -> Plan:
    """Choose how to cut, or go on as an unfinished run was cut, where that is what was asked for.

    What is free changes from one start to the next, and from one shard's computer to another's.
    """
    free = blocks.max_memory is None
    memory = (SHARE * bytes_free() if blocks.max_memory is None else blocks.max_memory) / workers(blocks.dask)
    if home is not None and (begun := next(home.glob(f"[!.]*/{PLAN}"), None)) is not None:
        told = plan_of(read_plan(begun))
        wanted = told.block if blocks.block is None else within(blocks.block, volume.shape)
        if wanted == told.block and (free or told.memory <= memory):
            return told
    if not views:
        return plan_slices(volume.shape, um, memory, blocks.block, workers(blocks.dask))
    return make_plan(volume.shape, um, views, memory, blocks.block, workers(blocks.dask))


def plan_of(told: Mapping[str, Any]) -> Plan:
    """Return how a run was cut, from what it was begun with.

    Raises
    ------
    InputError
        Where another version began it, which noted other things.
    """
    try:
        windows = {name: tuple(edges) for name, edges in told["windows"].items()}
        block, halo = tuple(told["block"]), tuple(told["halo"])
        return Plan(block, halo, windows, told["memory"], told["room"], told["apart"])
    except (KeyError, TypeError):
        raise InputError(
            "another version of cellzoo began the unfinished run: give --overwrite to begin anew"
        ) from None


def _jobs(
    entry: Entry,
    volume: Volume,
    um: Spacing,
    weights: tuple[str, ...],
    parts: Mapping[str, Mapping[int, Run]],
    settings: Mapping[str, Any],
    plan: Plan,
    blocks: Blocks,
    views: Mapping[str, tuple[View, Recipe]],
    home: Path,
    channel: int | None,
    deterministic: bool,
) -> list[Job]:
    """Make or open the folder of each frame, and say what is to be done there.

    Of several shards that begin at once one is the first; the others cut as it did, whatever they have free.
    """
    from zoo.train.runs import checksum

    told = {
        "image": str(volume.source.resolve()),
        "shape": volume.shape,
        "type": str(volume.dtype),
        "changed": changed(volume.source),
        "channel": channel,
        "spacing": um,
        "model": entry.name,
        **describe_weights(entry, weights),
        **{
            f"checksum of {name}" + (f" member {n}" if n else ""): checksum(run.best)
            for name, own in parts.items()
            for n, run in own.items()
        },
        **settings,
        **({"deterministic": True} if deterministic else {}),  # all of it, or the record would not be true
    }
    free = {"room", "apart"} | ({"windows", "memory"} if blocks.max_memory is None else set())
    jobs = []
    for time in range(volume.times):
        maps = {name: (view.padded, plan.windows[name]) for name, (view, _) in views.items()}
        fill = partial(make_arrays, plan.block, volume.shape, maps)
        store = open_store(
            home / f"t{time:04d}",
            told | asdict(plan),
            fill,
            free | {"block"} if blocks.max_memory is None and blocks.block is None else free,
        )
        plan = plan_of(store.plan)
        jobs.append(
            Job(
                name=entry.name,
                weights=weights,
                volume=volume.at(time),
                spacing=um,
                store=store,
                block=plan.block,
                halo=plan.halo,
                windows=plan.windows,
                room=plan.room,
                apart=plan.apart,
                deterministic=deterministic,
                time=time if volume.series else None,
                **settings,
            )
        )
    return jobs


def changed(image: Path) -> int:
    """Return when an image was last written; of a folder, when what describes it was."""
    told = [image / name for name in ("zarr.json", ".zattrs")] if image.is_dir() else [image]
    return max(path.stat().st_mtime_ns for path in told if path.exists())


def _device(entry: Entry, blocks: Blocks) -> str:
    """Name what the networks ran on; for others' no framework is loaded here."""
    if blocks.merge:
        return "of the shards"
    return device_of(entry) if blocks.dask is None else f"workers of Dask, {blocks.dask}"


def _check_all(jobs: Sequence[Job]) -> None:
    left = [number for job in jobs for number in missing(job)]
    if left:
        raise InputError(
            f"{len(left)} blocks have no labels yet, of which the first is {left[0]}: run the shards that "
            "are missing, or leave --merge out to do them here"
        )


def _any(jobs: Sequence[Job]) -> bool:
    """Tell whether any block has labels."""
    return any(len(missing(job)) < len(job.blocks) for job in jobs)


def _tell_done(jobs: Sequence[Job], home: Path, console: Console) -> None:
    every = sum(len(job.blocks) for job in jobs)
    left = sum(len(missing(job)) for job in jobs)
    console.print(f"going on with the unfinished run in {home}: {every - left} of {every} blocks have labels")


@contextmanager
def _engine(blocks: Blocks, console: Console) -> Iterator[Engine]:
    """Give who does the work."""
    if blocks.dask is None:
        yield here
        return
    from zoo.blocks.cluster import cluster

    with cluster(blocks.dask, console.print) as engine:
        yield engine


def _tell(
    volume: Volume,
    um: Spacing,
    plan: Plan,
    views: Mapping[str, tuple[View, Recipe]],
    networks: Mapping[str, Network],
) -> None:
    """Print a plan, and about how long it takes: here, by a window of each network that is timed."""
    for line in describe(volume.shape, plan, views):
        click.echo(line)
    if views:
        seconds = labelling_seconds(volume.shape, plan) + network_seconds(plan, views, networks)
    else:
        seconds = sum(expected_seconds(volume.shape, plan, views, 1, merge=False, apart=False).values())
    seconds *= volume.times
    click.echo(f"time: about {lasting(seconds)} with one worker here")


def _audit(jobs: Sequence[Job], out: Path, count: int, min_volume: float, console: Console) -> None:
    from zoo.blocks.audit import audit

    for job in jobs:
        found = audit(job, out, count, min_volume)
        frame = "" if job.time is None else f" of frame {job.time}"
        if not found.windows:
            console.print(f"audit{frame}: one block, so that there are no borders to look at")
            continue
        console.print(
            f"audit{frame}: {counted(found.windows, 'window')} across borders done as one piece, "
            f"{found.nuclei} nuclei: F1 {found.f1:.4f} at IoU 0.9, {found.differing:.2g} of the voxels differ"
        )


def _finish(report: Report, home: Path, console: Console, keep: bool) -> None:
    """Tell what was amiss, and remove the folder of the run where nothing is left to do."""
    for line in (*report.notes, *report.unread, *report.failed):
        console.print(line)
    if not report.failed and not keep:
        shutil.rmtree(home, ignore_errors=True)
    if report.failed:
        console.print(f"{len(report.failed)} pieces failed; give the command again to try them once more")
    if report.failed or report.unread:
        sys.exit(1)
