"""``zoo export`` and ``zoo export-check``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo import registry
from zoo.cli.options import PATH, check_writable, make_console, weights_option
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.train.runs import Run

SERVING, BIOIMAGEIO = "serving", "bioimageio"


@click.command()
@click.argument("name", required=False)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="All models that have weights: runs/NAME, else those of the package.",
)
@click.option("--out", type=PATH, required=True, help="Folder of the exported models.")
@click.option(
    "--format",
    "form",
    type=click.Choice([SERVING, BIOIMAGEIO]),
    default=SERVING,
    show_default=True,
    help="serving: folders for TensorFlow Serving, OUT/NAME/1 and a new number each time. bioimageio: a "
    "BioImage.IO package, OUT/NAME.bioimageio.zip, replaced each time.",
)
@weights_option()
def export(name: str | None, everything: bool, out: Path, form: str, weights: tuple[str, ...]) -> None:
    """Write models for TensorFlow Serving, or a network as a BioImage.IO package.

    Of a pipeline its networks are written, of an ensemble its members; a package takes neither, but any other
    network. Each is loaded again and compared with the network before it is put into its place.
    """
    if everything == (name is not None):
        raise InputError("give the name of a model or --all: one of them")
    if everything and weights:
        raise InputError(
            "--all takes runs/NAME or the package's weights: leave out --weights, or export one by one"
        )
    console = make_console()
    allowed = [e.name for e in registry.entries() if e.trainable and (form == SERVING or e.keras == "keras")]
    missing: list[str] = []
    if name is None:
        from zoo.weights import default_run

        found = {one: default_run(one) for one in allowed}
        missing = [one for one, run in found.items() if not run.is_dir() or not _trained(run)]
        found = {one: run for one, run in found.items() if one not in missing}
    else:
        from zoo.weights import find_runs

        if form == BIOIMAGEIO and registry.get(name).name not in allowed:
            raise InputError(
                f"{name} cannot be a BioImage.IO package, which holds one network of Keras 3: give one of "
                + ", ".join(allowed)
            )
        found = find_runs(registry.get(name), weights)
        if not found:
            raise InputError(f"{name} has no network to export")
    check_writable(out)
    _export(found, out, form, console.print)
    if missing:
        console.print(f"not exported, as they have no weights: {', '.join(missing)}")


def _trained(folder: Path) -> bool:
    from zoo.train import runs

    return _has_weights(runs.open_run(folder))


def _export(found: dict[str, Path], out: Path, form: str, tell: Callable[[str], None]) -> None:
    from zoo.train import device, runs

    opened = {name: runs.open_run(folder) for name, folder in found.items()}
    for name, run in opened.items():  # told before the first is written
        if run.entry.name != name:
            raise InputError(
                f"{run.path} holds weights of {run.entry.name}, not of {name}: give a run of {name}"
            )
        if not _has_weights(run):
            raise InputError(f"{run.path} holds no weights yet: 'zoo train {name} --out {run.path} --resume'")
        if not getattr(run.recipe, "members", ()):
            run.check_best()
    device.configure()
    if form == BIOIMAGEIO:
        from zoo.serving import bioimageio

        for name, run in opened.items():
            click.echo(bioimageio.export(registry.get(name), run, out))
        return
    from zoo.serving import config
    from zoo.serving.export import export

    written = False
    try:
        for name, run in opened.items():
            for version in export(registry.get(name), run, out, tell):
                written = True
                click.echo(version)
    finally:
        if written:
            tell(f"settings of the server: {', '.join(str(path) for path in config.write(out))}")


def _has_weights(run: Run) -> bool:
    from zoo.train import members

    return bool(members.trained(run)) if getattr(run.recipe, "members", ()) else run.best.is_file()


@click.command("export-check")
@click.argument("folder", type=PATH, metavar="DIR")
def export_check(folder: Path) -> None:
    """Load each exported version and compare it with its example; exit 1 where one differs."""
    from zoo.train import device

    device.configure()
    from zoo.serving.check import check

    rows = check(folder)
    table = [("model", "version", "difference", "")]
    for row in rows:
        size = "-" if row.difference is None else f"{row.difference:.1e}"
        table.append((row.model, row.version, size, "ok" if row.ok else row.fault))
    click.echo(_aligned(table))
    if not all(row.ok for row in rows):
        raise SystemExit(1)


def _aligned(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    )
