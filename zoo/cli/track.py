"""``zoo track``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import (
    PATH,
    check_apart,
    check_new,
    check_writable,
    make_console,
    overwrite_option,
    spacing_option,
)
from zoo.cli.record import begin
from zoo.defaults import MAX_DISTANCE_UM
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.entry import Entry


@click.command()
@click.argument("labels", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for the labels and the tracks.")
@click.option(
    "--max-distance",
    type=click.FloatRange(min=0, min_open=True),
    default=MAX_DISTANCE_UM,
    show_default=True,
    metavar="UM",
    help="Farthest that the centre of a nucleus goes from one frame to the next.",
)
@spacing_option()
@overwrite_option()
def track(
    labels: Path, out: Path, max_distance: float, spacing: tuple[float, float, float] | None, overwrite: bool
) -> None:
    """Link the labelled nuclei of a time series: the same number in all frames, parents at divisions.

    Writes the labels with the numbers of the tracks, a table of the tracks, and their list as the Cell
    Tracking Challenge wants it.
    """
    import numpy as np

    from zoo.data import io
    from zoo.data.write import write_labels
    from zoo.fusion.tracks import link, relabel
    from zoo.provenance import beside
    from zoo.results import stem_of
    from zoo.track_results import TrackedTarget, describe, write_tracks

    target = TrackedTarget(out, stem_of(labels))
    files, place = [target.labels, target.tracks, target.res_track], beside(target.labels)
    check_apart([*files, place], [labels])
    check_new([*files, place], overwrite)
    check_writable(out)
    found = io.read_labels(labels)
    if not found.series:
        raise InputError(f"{labels} has no time axis, so there is nothing to track: give a time series")
    um, where = io.resolve_spacing(found.spacing, spacing, (1.0, 1.0, 1.0))
    console = make_console()
    if where == "default":
        console.print(
            "no voxel size in the file: taking 1 x 1 x 1 um, so distances are in voxels; give --spacing Z Y X"
        )
    record = begin(place, {"--out": out}, [labels])
    tracks = link(found.frames, um, max_distance_um=max_distance)
    write_labels(target.labels, np.stack(list(relabel(found.frames, tracks))), um)
    write_tracks(target, tracks, found.times)
    record.finish(place, files)
    console.print(f"{describe(tracks)} in {target.labels}, {target.tracks.name} and {target.res_track.name}")


def check_track(entry: Entry) -> None:
    """Refuse ``--track`` before any work where it cannot be done.

    Raises
    ------
    InputError
        Where an entry gives masks of movies, which have no nuclei, or laptrack is not installed.
    """
    if entry.subject.prepared:
        raise InputError(f"--track means nothing to {entry.name}: leave it out")
    from zoo.fusion.tracks import check_tracker

    check_tracker()
