"""``zoo measure``."""

from __future__ import annotations

from pathlib import Path

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
from zoo.errors import InputError


@click.command()
@click.argument("labels", type=PATH)
@click.option("--image", type=PATH, help="Image of the same shape, for mean intensities.")
@click.option("--channel", type=int, help="Channel of the image, from 0, where it has several.")
@click.option("--out", type=PATH, required=True, help="CSV file to write, a nucleus a row.")
@spacing_option()
@overwrite_option()
def measure(
    labels: Path,
    image: Path | None,
    channel: int | None,
    out: Path,
    spacing: tuple[float, float, float] | None,
    overwrite: bool,
) -> None:
    """Measure labelled nuclei, one row each.

    Volume, surface, position, shape and, with --image, intensity; of a series also sums and a plot over time.
    """
    from zoo.data import io
    from zoo.evaluate import criteria
    from zoo.provenance import beside

    series_files = [out.with_name(f"{out.stem}_frames.csv"), out.with_name(f"{out.stem}_over_time.png")]
    place = beside(out)
    check_apart([out, place, *series_files], [labels, image])
    check_new([out, place], overwrite)
    check_writable(out.parent)
    found = io.read_labels(labels)
    record = begin(place, {"--out": out}, [labels, image])
    pictures = io.read_image(image, channel=channel) if image else None
    if pictures is not None and pictures.frames.shape != found.frames.shape:
        raise InputError(
            f"{image} (shape {pictures.frames.shape}, t z y x) must have the shape of {labels}, "
            f"{found.frames.shape}"
        )
    known = found.spacing or (pictures.spacing if pictures else None)
    um, where = io.resolve_spacing(known, spacing, (1.0, 1.0, 1.0))
    console = make_console()
    if where == "default":
        console.print(
            "no voxel size in the files: taking 1 x 1 x 1 um, so volumes are in voxels; give --spacing Z Y X"
        )
    if found.series:
        check_new(series_files, overwrite)
    nuclei = []
    for index, (time, frame) in enumerate(zip(found.times, found.frames, strict=True)):
        nuclei += criteria.measure(frame, um, pictures.frames[index] if pictures else None, time)
    criteria.write_criteria(out, nuclei)
    if found.series:
        criteria.write_frames(series_files[0], criteria.per_frame(nuclei, found.times))
        criteria.plot_over_time(series_files[1], nuclei, found.times)
    record.finish(place, [out, *(series_files if found.series else ())])
    console.print(f"{len(nuclei)} nuclei in {out}")
