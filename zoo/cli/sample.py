"""``zoo sample``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, check_new, make_console, make_folder, overwrite_option


@click.command()
@click.argument("kind", type=click.Choice(["embryo"]))
@click.option("--out", type=PATH, required=True, help="Folder to write to.")
@click.option("--nuclei", type=click.IntRange(1, 400), default=16, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@overwrite_option()
def sample(kind: str, out: Path, nuclei: int, seed: int, overwrite: bool) -> None:
    """Write a synthetic specimen with its truth, laid out as a data set of its own."""
    from zoo.data.phantom import embryo
    from zoo.data.write import write_image, write_labels

    name = f"{kind}{seed:02d}.tif"
    made = embryo(seed, nuclei=nuclei)
    truths = {
        "GroundTruth_QCANet": made.labels,
        "GroundTruth_NSN": made.mask,
        "GroundTruth_NDN": made.markers,
    }
    check_new([out / folder / name for folder in ("Images", *truths)], overwrite)
    make_folder(out)
    write_image(out / "Images" / name, made.image, made.spacing)
    for folder, truth in truths.items():
        write_labels(out / folder / name, truth, made.spacing)
    make_console().print(f"{name} with {int(made.labels.max())} nuclei in {out}", soft_wrap=True)
