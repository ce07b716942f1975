"""``zoo scoreboard``."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.options import (
    PATH,
    check_new,
    check_writable,
    make_console,
    names,
    overwrite_option,
    spacing_option,
)


@click.command()
@click.option("--data", type=PATH, required=True, help="Data set folder.")
@click.option("--out", type=PATH, required=True, help="Folder for scoreboard.md, .csv and .html.")
@click.option(
    "--method",
    "methods",
    metavar="NAME,...",
    help="Methods to compare; default all that make whole nuclei and have weights.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="NETWORK=RUN",
    help="Run folder of a network, such as qcanet_nsn=RUN; again for each fold of a cross-validation. "
    "Default runs/NETWORK, else the weights that come along.",
)
@click.option("--embryos", metavar="GROUP,...", help="Only these embryos or groups of the data set.")
@click.option(
    "--metric",
    "metrics",
    metavar="NAME,...",
    default="iou,seg,mucov,f1@0.5",
    show_default=True,
    help="As zoo eval.",
)
@spacing_option()
@overwrite_option()
def scoreboard(
    data: Path,
    out: Path,
    methods: str | None,
    weights: tuple[str, ...],
    embryos: str | None,
    metrics: str,
    spacing: tuple[float, float, float] | None,
    overwrite: bool,
) -> None:
    """Compare all methods on the same volumes, each segmented by runs that did not know it.

    Of several runs of a network each volume takes the first that was neither trained on it nor validated by
    it; a volume that a method has no such run for is left out for all.
    """
    from zoo.data import layouts
    from zoo.evaluate.metrics import parse_metrics
    from zoo.scoreboard import compare
    from zoo.scoreboard_files import files, markdown, tabulate, with_quoted, write_scoreboard

    chosen = parse_metrics(metrics)
    check_new(files(out), overwrite)
    check_writable(out)
    dataset = layouts.find(data, spacing)
    if embryos:
        dataset = dataset.only(names(embryos))
    console = make_console()
    board = compare(dataset, names(methods), weights, chosen, console)
    groups = dict.fromkeys(result.row.group for result in next(iter(board.results.values())))
    settings = {"data": str(data), "embryos": ", ".join(groups), "metrics": ", ".join(chosen)}
    write_scoreboard(out, board, chosen, settings)
    click.echo(markdown(with_quoted(tabulate(board, chosen), chosen)))
    console.print(f"scoreboard.md, .csv and .html are in {out}")
