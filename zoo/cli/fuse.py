"""``zoo fuse``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from zoo.data.io import Spacing, Stack
    from zoo.fusion.consensus import Agreement, By, Consensus

SAME = 0.01  # voxel sizes that differ by less are the same, written with fewer digits


@click.command()
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="LABELS...")
@click.option("--out", type=PATH, required=True, help="Label image to write, a .tif.")
@click.option(
    "--scores",
    metavar="S,...",
    help="How much each image's outlines count, one number above 0 an image; default all the same.",
)
@click.option(
    "--slices/--volume",
    "slices",
    default=False,
    help="Vote slice by slice and join over z, or with whole objects in 3-D.  [default: volume]",
)
@click.option(
    "--slice-fusion",
    type=click.Choice(["cluster", "blob"]),
    help="With --slices, how objects are joined over z.  [default: cluster]",
)
@click.option(
    "--radius-um",
    type=click.FloatRange(min=0, min_open=True),
    metavar="UM",
    help="With --slices, how far an object's centre may move from a slice to the next.  [default: 6]",
)
@spacing_option()
@overwrite_option()
def fuse(
    images: tuple[Path, ...],
    out: Path,
    scores: str | None,
    slices: bool,
    slice_fusion: str | None,
    radius_um: float | None,
    spacing: tuple[float, float, float] | None,
    overwrite: bool,
) -> None:
    """Let label images of one scene vote, whatever tools or people made them.

    Writes the labels that at least half agree on, beside them NAME_agreement.csv with the votes for each
    object, and NAME_uncertainty.tif.
    """
    weights = _parse_scores(scores)
    given = {"slice_fusion": slice_fusion, "radius_um": radius_um}
    how: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if how and not slices:
        raise InputError("--slice-fusion and --radius-um join slices: give --slices too, or leave them out")
    from zoo.provenance import beside

    places, place = _places(out), beside(out)
    _check_places(images, [*places, place], overwrite)

    from zoo.data import io
    from zoo.fusion.consensus import agree

    record = begin(place, {"--out": out}, images)
    stacks = [io.read_labels(path, flat=True) for path in images]
    um, told = _check_alike(stacks, spacing)
    by: By = "slices" if slices else "volume"
    results = [
        agree(frames, um, weights=weights, by=by, **how)
        for frames in zip(*(stack.frames for stack in stacks), strict=True)
    ]
    console = make_console()
    if not told:
        console.print("no voxel size in the files: taking 1 x 1 x 1 um; give --spacing Z Y X")
    if stacks[0].frames.shape[1] == 1:
        console.print("one slice only: the vote and its result are 2-D")
    _write(places, results, stacks[0], um)
    record.finish(place, places)
    console.print(_summary([row for result in results for row in result.objects], len(stacks)))
    console.print(f"labels in {places[0]}, votes in {places[1]}, uncertainty in {places[2]}")


def _parse_scores(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(
            f"--scores {text!r} is not understood: give one number an image, such as 0.9,0.8,0.95"
        ) from None


def _places(out: Path) -> tuple[Path, Path, Path]:
    """Return where labels, votes and uncertainty go."""
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"--out {out} has the suffix {out.suffix!r}: labels are written as .tif")
    stem = out.stem.removesuffix(".ome")
    return out, out.with_name(f"{stem}_agreement.csv"), out.with_name(f"{stem}_uncertainty.tif")


def _check_places(images: Sequence[Path], places: Sequence[Path], overwrite: bool) -> None:
    """Check, before any work is done, that no input votes twice and none would be written to."""
    real = [path.resolve() for path in images]
    for number, path in enumerate(images):
        if real[number] in real[:number]:
            raise InputError(f"{path} is given twice: each label image votes once; weigh them by --scores")
    check_apart(places, images)
    check_new(places, overwrite)
    check_writable(places[0].parent)


def _check_alike(stacks: Sequence[Stack], given: Spacing | None) -> tuple[Spacing, bool]:
    """Check that all label images are on one grid; return its voxel size, and whether anyone told it."""
    import numpy as np

    from zoo.data.io import resolve_spacing

    first = stacks[0]
    for other in stacks[1:]:
        if other.frames.shape != first.frames.shape:
            raise InputError(
                f"{other.source} (shape {other.frames.shape}, t z y x) must have the shape of "
                f"{first.source}, {first.frames.shape}: bring all to one grid"
            )
    known = [(stack.source, stack.spacing) for stack in stacks if stack.spacing]
    for source, size in known[1:]:
        if given is None and not np.allclose(size, known[0][1], rtol=SAME):
            one, two = (" x ".join(f"{edge:g}" for edge in edges) for edges in (known[0][1], size))
            raise InputError(
                f"{known[0][0]} has voxels of {one} um, {source} of {two} um (z, y, x): "
                "give --spacing Z Y X to say which is right"
            )
    um, where = resolve_spacing(known[0][1] if known else None, given, (1.0, 1.0, 1.0))
    return um, where != "default"


def _write(places: Sequence[Path], results: Sequence[Consensus], like: Stack, um: Spacing) -> None:
    """Write the frames' labels, votes and uncertainty, with a time axis where the inputs have one."""
    import numpy as np

    from zoo.data import write

    labels, table, uncertainty = places
    kept = slice(None) if like.series else 0
    write.write_labels(labels, np.stack([result.labels for result in results])[kept], um)
    write.write_image(uncertainty, np.stack([result.uncertainty for result in results])[kept], um)
    rows = [(time, row) for time, result in zip(like.times, results, strict=True) for row in result.objects]
    _write_table(table, rows)


def _write_table(path: Path, rows: Sequence[tuple[int, Agreement]]) -> None:
    from zoo.data.write import atomic
    from zoo.fusion.consensus import Agreement

    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *(field.name for field in fields(Agreement))])
        for time, row in rows:
            cells = [f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)]
            writer.writerow([time, *("" if cell == "nan" else cell for cell in cells)])


def _summary(rows: Sequence[Agreement], images: int) -> str:
    """Say how many objects there are, and how far the images agree on them."""
    if not rows:
        return f"no object that at least half of {images} label images share"
    votes = sum(row.votes for row in rows) / len(rows)
    shared = [row.mean_iou for row in rows if row.votes > 1]
    outlines = f", mean IoU of their outlines {sum(shared) / len(shared):.3f}" if shared else ""
    return f"{len(rows)} objects; on average {votes:.2f} of {images} label images share one{outlines}"
