"""``zoo prepare``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import PATH, check_writable, make_console, overwrite_option, spacing_option

if TYPE_CHECKING:
    from zoo.data.movies import MovieFiles


@click.command()
@click.argument("kind", type=click.Choice(["yeast"]), expose_value=False)
@click.argument("folder", type=PATH, metavar="MOVIES")
@click.option("--out", type=PATH, required=True, help="Folder of the data set to make.")
@click.option(
    "--size",
    type=click.IntRange(2, 1024),
    nargs=3,
    default=(32, 32, 32),
    show_default=True,
    metavar="Z Y X",
    help="Voxels of each volume.",
)
@click.option(
    "--frames",
    default="middle:20",
    show_default=True,
    metavar="middle:N|weighted:N|all",
    help="Of each movie: the N in the middle, N drawn with more weight for larger masks, or all.",
)
@click.option(
    "--fit",
    type=click.Choice(["cell", "resize", "pad"]),
    default="cell",
    show_default=True,
    help="How frames come to the size: cut to the cell and interpolated, interpolated whole, or with a "
    "margin around them.",
)
@click.option(
    "--scaling",
    type=click.Choice(["max", "percentile"]),
    default="percentile",
    show_default=True,
    help="Range of brightness, one for a whole movie; 'max' is that of the reproduction study.",
)
@click.option(
    "--split",
    type=click.Choice(["movie", "frame"]),
    default="movie",
    show_default=True,
    help="What is drawn to train, validate or test: whole movies, or single frames (leaks; to compare).",
)
@click.option("--channel", type=int, help="Channel to take, from 0, where the movies have several.")
@spacing_option()
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@overwrite_option()
def prepare(folder: Path, out: Path, overwrite: bool, **settings: Any) -> None:
    """Make a data set for 'zoo train' out of 4-D movies, NAME.tif with NAME_mask.tif."""
    check_writable(out)
    from rich.progress import track

    from zoo.data import preparation

    console = make_console()

    def follow(found: Iterable[MovieFiles]) -> Iterable[MovieFiles]:
        return track(found, description="movies", console=console, disable=not console.is_terminal)

    preparation.prepare(
        folder,
        out,
        preparation.Settings(**settings),
        overwrite=overwrite,
        tell=console.print,
        follow=follow,
    )
