"""``zoo sample``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, check_new, check_writable, make_console, overwrite_option

FOLDERS = ("Images", "GroundTruth_QCANet", "GroundTruth_NSN", "GroundTruth_NDN")  # as in BBBC050
PARTS = ("image", "labels", "mask", "markers")


@click.command()
@click.argument("kind", type=click.Choice(["embryo", "series"]))
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option(
    "--nuclei",
    type=click.IntRange(1, 400),
    default=16,
    show_default=True,
    help="In the last frame of a series.",
)
@click.option("--frames", type=click.IntRange(2, 100), default=6, show_default=True, help="Of a series.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@overwrite_option()
def sample(kind: str, out: Path, nuclei: int, frames: int, seed: int, overwrite: bool) -> None:
    """Write a synthetic embryo, or a time series of one, with its truth.

    The folder of an embryo is a data set of its own for 'zoo train --data' and 'zoo eval --data'.
    """
    import numpy as np

    from zoo.data.phantom import embryo, embryo_series
    from zoo.data.write import write_image, write_labels

    name = f"{kind}{seed:02d}.tif"
    image, *truths = (out / folder / name for folder in FOLDERS)
    check_new([image, *truths], overwrite)
    check_writable(out)
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
    make_console().print(f"{name} with {int(made.labels.max())} nuclei in {out}")
