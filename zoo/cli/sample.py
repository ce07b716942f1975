"""``zoo sample``."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from zoo.cli.options import PATH, check_new, check_writable, make_console, overwrite_option
from zoo.cli.record import begin
from zoo.errors import InputError

FOLDERS = ("Images", "GroundTruth_QCANet", "GroundTruth_NSN", "GroundTruth_NDN")  # as in BBBC050
PARTS = ("image", "labels", "mask", "markers")
# The kinds that an option means something to
MEANT_FOR = {
    "nuclei": ("embryo", "series"),
    "frames": ("series", "yeast"),
    "count": ("yeast",),
    "shape": ("tissue",),
    "spacing": ("tissue",),
}


@click.command()
@click.argument("kind", type=click.Choice(["embryo", "series", "yeast", "tissue"]))
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option(
    "--nuclei",
    type=click.IntRange(1, 400),
    default=16,
    show_default=True,
    help="Of an embryo, or in the last frame of a series.",
)
@click.option(
    "--frames",
    type=click.IntRange(2, 100),
    show_default="6 of a series, 24 to 32 of a movie",
    help="Of a series or a yeast movie.",
)
@click.option(
    "--count", type=click.IntRange(1, 10000), default=10, show_default=True, help="Number of yeast movies."
)
@click.option(
    "--shape",
    type=click.IntRange(min=1),
    nargs=3,
    metavar="Z Y X",
    default=(128, 256, 256),
    show_default=True,
    help="Voxels of a tissue.",
)
@click.option(
    "--spacing",
    type=float,
    nargs=3,
    metavar="Z Y X",
    default=(0.5, 0.5, 0.5),
    show_default=True,
    help="Voxel size of a tissue, um.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Yeast movies take it and those after it.",
)
@overwrite_option()
def sample(
    kind: str,
    out: Path,
    nuclei: int,
    frames: int | None,
    count: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    seed: int,
    overwrite: bool,
) -> None:
    """Write a synthetic embryo, a time series of one, yeast polarity movies or tissue, with their truth.

    The folder of an embryo is a data set of its own for 'zoo train --data' and 'zoo eval --data'; that of
    yeast holds movies NAME.tif and their polarity patches NAME_mask.tif. Tissue can be larger than memory: it
    is an OME-Zarr, with the truth as its labels 'nuclei'.
    """
    context = click.get_current_context()
    for option, kinds in MEANT_FOR.items():
        if kind not in kinds and context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise InputError(f"--{option} means nothing to {kind}: leave it out")
    if kind == "yeast":
        _write_yeast(out, range(seed, seed + count), frames, overwrite)
    elif kind == "tissue":
        _write_tissue(out, seed, shape, spacing, overwrite)
    else:
        _write_embryo(kind, out, nuclei, 6 if frames is None else frames, seed, overwrite)


def _write_yeast(out: Path, seeds: range, frames: int | None, overwrite: bool) -> None:
    """Write one movie a seed, and its mask."""
    from rich.progress import track

    from zoo.data.write import write_image, write_labels
    from zoo.data.yeast import yeast_movie
    from zoo.provenance import beside

    # Four digits, so that names sort as their seeds
    pairs = [(out / f"yeast{seed:04d}.tif", out / f"yeast{seed:04d}_mask.tif") for seed in seeds]
    files = [path for pair in pairs for path in pair]
    place = beside(pairs[0][0])
    check_new([*files, place], overwrite)
    check_writable(out)
    record = begin(place, {"--out": out}, [], seed=seeds[0])
    console = make_console()
    for seed, (image, mask) in zip(
        track(seeds, "yeast", console=console, disable=not console.is_terminal), pairs, strict=True
    ):
        movie = yeast_movie(seed, frames=frames)
        write_image(image, movie.image, movie.spacing)
        write_labels(mask, movie.mask, movie.spacing)
    record.finish(place, files)
    console.print(f"{len(seeds)} movies with masks, from {pairs[0][0].name} on, in {out}")


def _write_embryo(kind: str, out: Path, nuclei: int, frames: int, seed: int, overwrite: bool) -> None:
    """Write an embryo or a series of one, and its labels, mask and markers."""
    import numpy as np

    from zoo.data.phantom import embryo, embryo_series
    from zoo.data.write import write_image, write_labels
    from zoo.provenance import beside

    name = f"{kind}{seed:02d}.tif"
    image, *truths = (out / folder / name for folder in FOLDERS)
    place = beside(out / name)
    check_new([image, *truths, place], overwrite)
    check_writable(out)
    record = begin(place, {"--out": out}, [], seed=seed)
    if kind == "embryo":
        made = embryo(seed, nuclei=nuclei)
        arrays = [getattr(made, part) for part in PARTS]
    else:
        series = embryo_series(seed, frames=frames, first=max(1, nuclei // 4), last=nuclei)
        made = series[-1]
        arrays = [np.stack([getattr(frame, part) for frame in series]) for part in PARTS]
    write_image(image, arrays[0], made.spacing)
    for path, truth in zip(truths, arrays[1:], strict=True):
        write_labels(path, truth, made.spacing)
    record.finish(place, [image, *truths])
    make_console().print(f"{name} with {int(made.labels.max())} nuclei in {out}")


def _write_tissue(
    out: Path,
    seed: int,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    overwrite: bool,
) -> None:
    """Write tissue and its labels chunk by chunk, in memory for one chunk."""
    from rich.progress import track

    from zoo.data.omezarr import add_labels, boxes, build_pyramid, create, new_group
    from zoo.data.tissue import TILE, Tissue
    from zoo.data.write import smallest_unsigned
    from zoo.provenance import beside

    tissue = Tissue(seed, shape, spacing)
    path = out / f"tissue{seed:02d}.ome.zarr"
    place = beside(path)
    check_new([place], overwrite)
    check_writable(out)
    record = begin(place, {"--out": out}, [], seed=seed)
    console = make_console()
    with new_group(path, overwrite) as group:
        truth = group / "labels" / "nuclei"
        image = create(group, shape, "uint16", spacing, chunks=TILE, name=path.name)
        labels = create(truth, shape, smallest_unsigned(tissue.largest), spacing, chunks=TILE, labels=True)
        add_labels(group, "nuclei")
        places = list(boxes(shape, TILE))
        for box in track(places, "tissue", console=console, disable=not console.is_terminal):
            image[box] = tissue.image(box)
            labels[box] = tissue.labels(box)
        build_pyramid(group)
        build_pyramid(truth)
    record.finish(place, [path])
    console.print(f"{path.name} of {' x '.join(map(str, shape))} voxels in {out}")
