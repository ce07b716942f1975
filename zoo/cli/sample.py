"""``zoo sample``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, check_new, check_writable, make_console, overwrite_option

FOLDERS = ("Images", "GroundTruth_QCANet", "GroundTruth_NSN", "GroundTruth_NDN")  # as in BBBC050


@click.command()
@click.argument("kind", type=click.Choice(["embryo"]))
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option("--nuclei", type=click.IntRange(1, 400), default=16, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@overwrite_option()
def sample(kind: str, out: Path, nuclei: int, seed: int, overwrite: bool) -> None:
    """Write a synthetic specimen with its truth.

    The folder is a data set of its own for 'zoo train --data' and 'zoo eval --data'.
    """
    from zoo.data.phantom import embryo
    from zoo.data.write import write_image, write_labels

    name = f"{kind}{seed:02d}.tif"
    image, *truths = (out / folder / name for folder in FOLDERS)
    check_new([image, *truths], overwrite)
    check_writable(out)
    made = embryo(seed, nuclei=nuclei)
    write_image(image, made.image, made.spacing)
    for path, truth in zip(truths, (made.labels, made.mask, made.markers), strict=True):
        write_labels(path, truth, made.spacing)
    make_console().print(f"{name} with {int(made.labels.max())} nuclei in {out}")
