"""``zoo pack``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import PATH, make_console
from zoo.errors import InputError
from zoo.wording import sized


@click.command()
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder to make; --weights takes it like a run folder.")
@click.option("--card", type=PATH, help="Markdown file that tells of the model; goes along as README.md.")
def pack(run: Path, out: Path, card: Path | None) -> None:
    """Make a small copy of a run folder to share: best weights in half precision, settings, checksum."""
    from zoo.train import pack as packing
    from zoo.train import runs

    if card is not None and not card.is_file():
        raise InputError(f"there is no file {card}: give a Markdown file as --card, or leave it out")
    made = packing.pack(runs.open_run(run), out, card)
    click.echo(made)
    whole = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    make_console().print(f"{sized(whole)}, its weights in half precision: --weights takes the folder")
