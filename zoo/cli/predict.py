"""``zoo predict``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import registry
from zoo.cli.block_options import Blocks, block_options
from zoo.cli.image_list import check_names, remove_left, there, undone, without_masks
from zoo.cli.options import (
    PATH,
    SPACING_FROM,
    check_apart,
    check_new,
    check_writable,
    cutting,
    diameter_option,
    flips_option,
    labelling,
    make_console,
    min_volume_option,
    overwrite_option,
    slice_fusion_options,
    spacing_option,
    takes_slices,
    tell_weights,
    threshold_option,
    unmarked_option,
    weights_option,
)
from zoo.cli.record import be_deterministic, begin, command_line, deterministic_option, device_of
from zoo.cli.remote import (
    Remote,
    check_tile,
    connected,
    describe,
    server_options,
    threshold_of,
    tile_options,
)
from zoo.cli.resume import add_earlier, before, check_same
from zoo.cli.track import check_track
from zoo.defaults import RECORD
from zoo.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from zoo.data.cell import Box
    from zoo.data.io import Spacing, Stack
    from zoo.entry import Entry
    from zoo.evaluate.report import Case
    from zoo.provenance import Record
    from zoo.recipe_cell import CellRecipe
    from zoo.results import Target
    from zoo.segment import Network, Segmentation


@dataclass(frozen=True, slots=True)
class Opened:
    """The frames to segment; their voxels (z, y, x) in um, and who says so; a movie's box and levels."""

    stack: Stack
    um: Spacing
    um_from: str
    movie: tuple[Box, tuple[float, float]] | None


@click.command()
@click.argument("name")
@click.argument("images", nargs=-1, type=PATH, metavar="IMAGE...")
@click.option("--out", type=PATH, required=True, help="Folder for labels, criteria and report.")
@weights_option()
@spacing_option()
@click.option("--channel", type=int, help="Channel to take, from 0, where an image has several.")
@click.option("--frames", metavar="A:B:STEP|N,...", help="Frames of a time series; default all.")
@click.option(
    "--correct-bleaching",
    is_flag=True,
    help="Bring the frames of a series to the total signal of its first, also for the mean intensities.",
)
@click.option(
    "--track", is_flag=True, help="Number the nuclei of a time series by track, and write the tracks too."
)
@unmarked_option()
@min_volume_option()
@threshold_option()
@diameter_option()
@flips_option()
@slice_fusion_options()
@tile_options()
@server_options()
@block_options()
@deterministic_option()
@overwrite_option()
@click.option("--resume", is_flag=True, help="Leave out images whose labels are there already.")
def predict(
    name: str,
    images: tuple[Path, ...],
    out: Path,
    weights: tuple[str, ...],
    spacing: tuple[float, float, float] | None,
    channel: int | None,
    frames: str | None,
    correct_bleaching: bool,
    track: bool,
    unmarked: str,
    min_volume: float | None,
    threshold: float | str,
    diameter: float | None,
    flips: bool,
    slice_fusion: str,
    radius_um: float,
    tile: tuple[int, int, int] | None,
    in_flight: int,
    remote: Remote | None,
    blocks: Blocks | None,
    deterministic: bool,
    overwrite: bool,
    resume: bool,
) -> None:
    """Segment images: labels, measurements, a report.

    Images that cannot be read are named at the end; the others are done all the same. With an OME-Zarr as
    --out one volume of any size is done by blocks.
    """
    entry = registry.get(name)
    if not images:
        raise InputError(f"no image was given: zoo predict {name} IMAGE... --out {out}")
    spread = blocks is not None and blocks.dask is not None
    if deterministic and (spread or blocks is None):  # by blocks each process sees to it itself
        be_deterministic(entry, elsewhere="--server" if remote else "--dask" if spread else None)
    if blocks is not None:
        from zoo.cli.blocks import predict_blocks

        predict_blocks(
            entry,
            images,
            out,
            blocks,
            weights,
            spacing,
            channel,
            threshold,
            min_volume,
            diameter,
            deterministic,
            overwrite,
        )
        return
    check_tile(entry, tile)
    if track:
        check_track(entry)
    how = labelling(entry, unmarked, slice_fusion, radius_um, diameter, flips)
    if min_volume is not None or diameter is None:  # else it is scaled
        how["min_volume"] = entry.subject.min_volume if min_volume is None else min_volume
    if tile:
        how["tile"] = tile
    with connected(entry, weights, remote) as open_networks:
        networks = cache(open_networks)  # once, when an image is known to be good
        how["threshold"] = threshold_of(entry, weights, networks if remote else None, threshold)
        idle = {"threshold", "min_volume"} - cutting(entry)
        told = {key: str(value) for key, value in how.items() if key not in idle}
        if channel is not None:
            told["channel"] = str(channel)
        if correct_bleaching:
            told["bleaching"] = "corrected"
        if track:
            told["numbers"] = "by track"
        if remote is not None:
            how["in_flight"] = in_flight
        console = make_console()
        if remote is None:
            tell_weights(entry, weights, console)

        def settings() -> dict[str, str]:
            made = {"command": command_line(), "model": entry.name}
            return made | describe(entry, weights, remote, networks()) | told

        read = partial(_read, entry, spacing, channel, frames, correct_bleaching, networks, console)
        segmenter = partial(_segmenter, entry, networks, how)

        def record(place: Path, paths: list[Path]) -> Record:
            here = None if remote else entry
            made = begin(
                place, {"--out": out}, paths, entry=here, weights=weights, deterministic=deterministic
            )
            made.device = f"server {remote.address}" if remote else made.device
            return made

        _predict(
            entry, images, out, read, networks, segmenter, settings, record, track, overwrite, resume, console
        )


def _predict(
    entry: Entry,
    images: tuple[Path, ...],
    out: Path,
    read: Callable[[Path], Opened],
    networks: Callable[[], object],
    segmenter: Callable[[Opened], Callable[[np.ndarray], Segmentation]],
    settings: Callable[[], dict[str, str]],
    record: Callable[[Path, list[Path]], Record],
    track: bool,
    overwrite: bool,
    resume: bool,
    console: Console,
) -> None:
    """Segment and report what can be read, and name the rest."""
    from zoo.data import io
    from zoo.evaluate.report import write_report
    from zoo.movie_results import MovieTarget
    from zoo.provenance import versions
    from zoo.results import Target, stem_of
    from zoo.track_results import TrackedTarget

    paths = io.list_images(images)
    if entry.subject.prepared:
        paths = without_masks(paths, console)
    make_target = MovieTarget if entry.subject.prepared else TrackedTarget if track else Target
    targets = [make_target(out, stem_of(path)) for path in paths]
    check_names(targets)
    every = dict(zip(paths, targets, strict=True))
    report, place = out / "report.html", out / RECORD
    check_apart([*(file for target in targets for file in target.files()), report, place], paths)
    old = before(place) if resume else None
    if resume:
        paths, targets = undone(paths, targets, console)
        if not paths:
            if old is None:
                console.print(f"report.html and {RECORD} are missing: --overwrite does all anew, with them")
            return
    new = [file for target in targets for file in target.files()]
    # an image without labels may have the tables of a run that was killed
    check_new([report, *new, place], overwrite or resume)
    check_writable(out)
    made = record(place, list(every))
    if old is not None:
        check_same(old, made, {path.name for path in every.keys() - set(paths)})
    if resume and report.exists():
        report = _next(report)
    left = there(targets) if overwrite else {}
    faults: dict[Path, str] = {}
    cases = _cases(zip(paths, targets, strict=True), read, networks, segmenter, faults, console)
    first = next(cases, None)
    if first is not None:
        write_report(
            report,
            title=f"{entry.subject.objects.capitalize()} by {entry.name}",
            cases=chain([first], cases),
            settings=settings() | versions(),
        )
        made.device = device_of(entry) if made.weights else made.device
        remove_left(left, [target for path, target in every.items() if path not in faults])
        # what an earlier command left of an image that failed now is no output of this one
        files = [file for path, target in every.items() if path not in faults for file in target.files()]
        made.failed = list(faults.values())
        files = [*(file for file in files if file.exists()), report]
        made.finish(place, files if old is None else add_earlier(old, made, place, files))
        console.print(f"labels, measurements and {report.name} are in {out}")
    if faults:
        done = f" ({len(paths) - len(faults)} other images done; --resume leaves them out)" if first else ""
        raise InputError("; ".join(faults.values()) + done)


def _next(report: Path) -> Path:
    """Return the first name that is free, ``report_2.html``: the report of what was done before stays."""
    numbered = (report.with_name(f"{report.stem}_{number}{report.suffix}") for number in count(2))
    return next(path for path in numbered if not path.exists())


def _read(
    entry: Entry,
    given: Spacing | None,
    channel: int | None,
    frames: str | None,
    correct_bleaching: bool,
    networks: Callable[[], Mapping[str, Network]],
    console: Console,
    path: Path,
) -> Opened:
    """Read an image, and say which voxel size it is taken to have."""
    from zoo.data import io, normalise
    from zoo.data.cell import box_to_fit

    movie = entry.subject.prepared is not None
    early = None if movie else frames  # the range of a movie is that of all its frames
    stack = io.read_image(path, channel=channel, frames=early, flat=takes_slices(entry))
    um, where = io.resolve_spacing(stack.spacing, given, entry.inputs.spacing_um or (1.0, 1.0, 1.0))
    shown = " x ".join(f"{edge:g}" for edge in um)
    console.print(f"{path.name}: voxels of {shown} um (z, y, x), {SPACING_FROM[where]}")
    if correct_bleaching:
        stack = replace(stack, frames=normalise.correct_bleaching(stack.frames))
    if not movie:
        return Opened(stack, um, where, None)
    if not stack.series:
        console.print(f"{path.name}: 3-D, taken as a movie of one frame")
    recipe = networks()[entry.name].recipe
    box = box_to_fit(stack.frames, um, recipe.fit)
    levels = _levels(path, stack.frames[(slice(None), *box)], recipe)
    if frames is not None:
        times = io.parse_frames(frames, len(stack.frames))
        stack = replace(stack, frames=stack.frames[list(times)], times=times)
    return Opened(stack, um, where, (box, levels))


def _levels(path: Path, frames: np.ndarray, recipe: CellRecipe) -> tuple[float, float]:
    """Return what becomes 0 and 1 in a movie; one that its network cannot take is an error."""
    from zoo.data import movies

    if recipe.fit == "pad" and not movies.fits(frames.shape[1:], recipe.size):
        raise InputError(
            f"{path} has frames of {' x '.join(map(str, frames.shape[1:]))} voxels, the network was trained "
            f"for {' x '.join(map(str, recipe.size))} at most: cut them, or train with --fit cell"
        )
    try:
        return movies.levels(frames, recipe.scaling)
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None


def _segmenter(
    entry: Entry,
    networks: Callable[[], Mapping[str, Network]],
    how: Mapping[str, Any],
    opened: Opened,
) -> Callable[[np.ndarray], Segmentation]:
    """Return what segments a frame; those of a movie are cut and scaled as the whole is."""
    from zoo.segment import segment

    if opened.movie is None:
        return lambda frame: segment(entry, networks(), frame, opened.um, **how)
    from zoo.data.movies import to_levels
    from zoo.movie_results import inside

    box, (low, high) = opened.movie
    return inside(box, lambda part: segment(entry, networks(), to_levels(part, low, high), opened.um, **how))


def _cases(
    work: Iterable[tuple[Path, Target]],
    read: Callable[[Path], Opened],
    networks: Callable[[], object],
    segmenter: Callable[[Opened], Callable[[np.ndarray], Segmentation]],
    faults: dict[Path, str],
    console: Console,
) -> Iterator[Case]:
    """Segment and write images one after the other; those that cannot be read go to the faults."""
    from zoo.cli.image_bar import image_bar
    from zoo.movie_results import MovieTarget, write_movie
    from zoo.results import write_results
    from zoo.track_results import TrackedTarget, write_tracked

    for path, target in work:
        try:
            opened = read(path)
        except InputError as fault:  # the others go on
            faults[path] = str(fault)
            continue
        networks()  # faults of the weights are not those of an image
        try:
            with image_bar(console, path.name) as bar:
                segment = bar.watched(segmenter(opened))
                if isinstance(target, MovieTarget):
                    written = write_movie(opened.stack, opened.um, segment, target, bar.frames)
                elif isinstance(target, TrackedTarget):
                    written = write_tracked(opened.stack, opened.um, segment, target, bar.frames)
                else:
                    written = write_results(opened.stack, opened.um, segment, target, bar.frames)
                told: set[str] = set()
                for case in written:
                    console.print(f"{case.name}: {case.count(len(case.nuclei))}")
                    for note in case.notes:
                        if note not in told:  # most are of all frames
                            console.print(f"{case.name}: {note}")
                    told.update(case.notes)
                    yield replace(case, notes=(*case.notes, *_doubt(opened)))
        except InputError as fault:  # nothing of this image is written before all of it is done
            faults[path] = f"{path}: {fault}"


def _doubt(opened: Opened) -> list[str]:
    """Say for the report that nobody told the size of the voxels, on which volumes and places rest."""
    if opened.um_from != "default":
        return []
    shown = " x ".join(f"{edge:g}" for edge in opened.um)
    return [f"the file does not tell its voxel size: {shown} um was taken, --spacing Z Y X gives another"]
