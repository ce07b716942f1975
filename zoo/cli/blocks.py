"""``zoo predict`` of volumes larger than the memory."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import click
from rich.console import Console

from zoo.blocks.engine import Outcome, here
from zoo.blocks.job import Job
from zoo.blocks.plan import Plan, describe, labelling_seconds, make_plan, network_seconds
from zoo.blocks.run import Engine, Report, make_arrays, merge_blocks, missing, segment_blocks
from zoo.blocks.store import PLAN, open_store
from zoo.blocks.view import View
from zoo.cli.block_options import Blocks, check_options, workers
from zoo.cli.options import SPACING_FROM, check_writable, make_console, tell_weights
from zoo.data.io import Spacing, resolve_spacing
from zoo.data.ngff import is_omezarr
from zoo.data.volumes import Volume, open_volume
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.evaluate.criteria import write_criteria
from zoo.familiar import magnification, rescaled
from zoo.forecast import SHARE, bytes_free
from zoo.recipe import Recipe
from zoo.segment import Network
from zoo.weights import choose_threshold, describe_weights, open_networks

LOG_EVERY = 30.0  # seconds between two lines where there is no terminal


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
    overwrite: bool,
) -> None:
    """Segment a volume by blocks, into an OME-Zarr of labels."""
    check_options(entry)
    home = out.with_name(f"{out.name}.partial")
    check_place(out, home, overwrite)
    console = make_console()
    volume, um = _open(entry, images, spacing, channel, console)
    tell_weights(entry, weights, console)
    networks = open_networks(entry, weights)
    views = _views(volume, um, networks, diameter)
    plan = _plan(volume, um, views, blocks, home)
    if blocks.plan:
        _tell(volume, um, plan, views, networks)
        return
    settings = {"threshold": choose_threshold(entry, weights, threshold), "diameter": diameter}
    jobs = _jobs(entry, volume, um, weights, settings, plan, views, home)
    if min_volume is None:
        seen = networks[entry.needs["nsn"]].objects
        min_volume = (
            entry.subject.min_volume / (1.0 if diameter is None else magnification(diameter, seen)) ** 3
        )
    report = Report()
    follow = partial(_follow, console)
    with _engine(blocks, console) as engine:
        for job in () if blocks.merge else jobs:
            report.add(segment_blocks(job, engine, follow, blocks.shard))
        if blocks.shard != (1, 1):
            console.print(f"shard {blocks.shard[0]} of {blocks.shard[1]} is done: when all are, give --merge")
        else:
            _check_all(jobs, blocks)
            merge_blocks(jobs, out, min_volume, engine, follow, report)
            stem = out.name.removesuffix(".zarr").removesuffix(".ome")
            write_criteria(out.with_name(f"{stem}_criteria.csv"), report.nuclei)
            console.print(f"{len(report.nuclei):,} {entry.subject.objects}; labels are in {out}")
            if blocks.audit:
                _audit(jobs, out, blocks.audit, min_volume, console)
    _finish(report, home, console, keep=blocks.shard != (1, 1))


def check_place(out: Path, home: Path, overwrite: bool) -> None:
    """Refuse to replace what is there; with ``--overwrite`` an unfinished run is begun anew, too.

    Raises
    ------
    InputError
        Where something is in the way.
    """
    check_writable(out.parent)
    if overwrite:
        if home.exists() and not any(home.glob(f"*/{PLAN}")):
            raise InputError(f"{home} is no unfinished run, so it is not removed: move it away")
        shutil.rmtree(home, ignore_errors=True)
    elif out.exists() and not home.exists():
        raise InputError(f"{out} exists: choose another place, or give --overwrite to replace it")
    if out.exists() and not is_omezarr(out):
        raise InputError(f"{out} is no OME-Zarr, so it is not replaced: choose another place")


def _open(
    entry: Entry,
    images: tuple[Path, ...],
    spacing: Spacing | None,
    channel: int | None,
    console: Console,
) -> tuple[Volume, Spacing]:
    if len(images) > 1:
        raise InputError(f"{len(images)} images into one OME-Zarr: give one image at a time")
    volume = open_volume(images[0], channel=channel)
    um, told_by = resolve_spacing(volume.spacing, spacing, entry.inputs.spacing_um or (1.0, 1.0, 1.0))
    frames = f"{volume.times} frames of " if volume.series else ""
    shown = " x ".join(f"{edge:g}" for edge in um)
    console.print(
        f"{images[0].name}: {frames}{' x '.join(map(str, volume.shape))} voxels of {shown} um (z, y, x), "
        f"{SPACING_FROM[told_by]}"
    )
    return volume, um


def _views(
    volume: Volume, um: Spacing, networks: Mapping[str, Network], diameter: float | None
) -> dict[str, tuple[View, Recipe]]:
    """Return what each network sees, and its recipe."""
    views = {}
    for name, network in networks.items():
        if network.recipe.attenuation:
            raise InputError(f"{name} was trained with attenuation=true, which looks at whole images only")
        shown = um if diameter is None else rescaled(um, diameter, network.objects)
        views[name] = View.of(volume.shape, shown, network.recipe), network.recipe
    return views


def _plan(
    volume: Volume, um: Spacing, views: Mapping[str, tuple[View, Recipe]], blocks: Blocks, home: Path
) -> Plan:
    """Choose how to cut, or go on as an unfinished run was cut."""
    begun = next(home.glob(f"*/{PLAN}"), None)
    if begun is not None and blocks.block is None and blocks.max_memory is None:
        told = json.loads(begun.read_text(encoding="utf-8"))
        return Plan(tuple(told["block"]), tuple(told["halo"]), told["windows"], told["memory"])
    memory = SHARE * bytes_free() if blocks.max_memory is None else blocks.max_memory
    return make_plan(volume.shape, um, views, memory / workers(blocks.dask), blocks.block)


def _jobs(
    entry: Entry,
    volume: Volume,
    um: Spacing,
    weights: tuple[str, ...],
    settings: Mapping[str, Any],
    plan: Plan,
    views: Mapping[str, tuple[View, Recipe]],
    home: Path,
) -> list[Job]:
    """Make or open the folder of each frame, and say what is to be done there."""
    told = {
        "image": str(volume.source.resolve()),
        "shape": volume.shape,
        "type": str(volume.dtype),
        "spacing": um,
        "model": entry.name,
        **describe_weights(entry, weights),
        **settings,
        **asdict(plan),
    }
    maps = {name: (view.padded, plan.windows[name]) for name, (view, _) in views.items()}
    fill = partial(make_arrays, plan.block, volume.shape, maps)
    jobs = []
    for time in range(volume.times):
        jobs.append(
            Job(
                name=entry.name,
                weights=weights,
                volume=volume.at(time),
                spacing=um,
                store=open_store(home / f"t{time:04d}", told, fill),
                block=plan.block,
                halo=plan.halo,
                windows=plan.windows,
                time=time if volume.series else None,
                **settings,
            )
        )
    return jobs


def _check_all(jobs: Sequence[Job], blocks: Blocks) -> None:
    left = [number for job in jobs for number in missing(job)]
    if blocks.merge and left:
        raise InputError(
            f"{len(left)} blocks have no labels yet, of which the first is {left[0]}: run the shards that "
            "are missing, then --merge"
        )


@contextmanager
def _engine(blocks: Blocks, console: Console) -> Iterator[Engine]:
    """Give who does the work."""
    if blocks.dask is None:
        yield here
        return
    from zoo.blocks.cluster import cluster

    with cluster(blocks.dask, console.print) as engine:
        yield engine


def _follow(console: Console, step: str, total: int, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Show how far a step is: a bar on a terminal, else a line now and then."""
    if console.is_terminal:
        from rich.progress import track

        yield from track(outcomes, description=step, total=total, console=console)
        return
    begun = told = monotonic()
    for count, outcome in enumerate(outcomes, start=1):
        yield outcome
        now = monotonic()
        if now - told >= LOG_EVERY or count == total:
            left = (now - begun) / count * (total - count)
            speed = count / max(now - begun, 1e-3) * 60
            console.print(f"{step}: {count} of {total}, {speed:.1f} a minute, about {left / 60:.0f} min left")
            told = now


def _tell(
    volume: Volume,
    um: Spacing,
    plan: Plan,
    views: Mapping[str, tuple[View, Recipe]],
    networks: Mapping[str, Network],
) -> None:
    """Print a plan, and about how long it takes here, by a window of each network that is timed."""
    for line in describe(volume.shape, plan, views):
        click.echo(line)
    seconds = volume.times * (labelling_seconds(volume.shape, plan) + network_seconds(plan, views, networks))
    click.echo(f"time: about {seconds / 60:.0f} minutes with one worker here")


def _audit(jobs: Sequence[Job], out: Path, count: int, min_volume: float, console: Console) -> None:
    from zoo.blocks.audit import audit

    for job in jobs:
        found = audit(job, out, count, min_volume)
        frame = "" if job.time is None else f" of frame {job.time}"
        console.print(
            f"audit{frame}: {found.windows} windows across borders done as one piece, {found.nuclei} nuclei: "
            f"F1 {found.f1:.4f} at IoU 0.9, {found.differing:.2g} of the voxels differ"
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
