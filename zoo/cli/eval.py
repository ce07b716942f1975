"""``zoo eval``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo import registry
from zoo.cli.options import (
    PATH,
    check_new,
    make_console,
    make_folder,
    names,
    overwrite_option,
    spacing_option,
    unmarked_option,
    weights_option,
)
from zoo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.data.datasets import DataSet
    from zoo.evaluate.scores import Row

SAMPLE = {"embryos": 6, "seed": 100}  # training's synthetic embryos begin at seed 0


@click.command("eval")
@click.argument("name", default="qcanet")
@click.option("--data", type=PATH, help="Data set folder; without it, built-in synthetic embryos.")
@click.option("--embryos", metavar="GROUP,...", help="Only these embryos or groups of the data set.")
@click.option("--pred", type=PATH, help="Label image or folder of them, from any tool, to be scored.")
@click.option("--truth", type=PATH, help="True label image or folder of them, files of the same names.")
@click.option("--metric", "metrics", default="iou,seg,mucov", show_default=True, metavar="NAME,...")
@click.option(
    "--definition",
    type=click.Choice(["standard", "original"]),
    default="standard",
    show_default=True,
    help="'original': the published QCANet code's variants of SEG and MUCov.",
)
@click.option("--json", "json_file", type=PATH, help="Write scores and settings as JSON.")
@click.option("--csv", "csv_file", type=PATH, help="Write scores as CSV, a volume a row.")
@click.option("--out", type=PATH, help="Folder for the labels and a report with pictures.")
@weights_option()
@spacing_option()
@unmarked_option()
@overwrite_option()
def evaluate(
    name: str,
    data: Path | None,
    embryos: str | None,
    pred: Path | None,
    truth: Path | None,
    metrics: str,
    definition: str,
    json_file: Path | None,
    csv_file: Path | None,
    out: Path | None,
    weights: tuple[str, ...],
    spacing: tuple[float, float, float] | None,
    unmarked: str,
    overwrite: bool,
) -> None:
    """Score a model on a data set, or label images from any tool against the truth."""
    from zoo.evaluate.metrics import parse_metrics

    chosen = parse_metrics(metrics)
    files = [path for path in (json_file, csv_file, out and out / "report.html") if path]
    check_new(files, overwrite)
    for path in files:
        make_folder(path.parent)
    console = make_console()
    settings = {"metrics": ",".join(chosen), "definition": definition}
    if pred or truth:
        if not (pred and truth) or data:
            raise InputError("score label images with both --pred and --truth, and without --data")
        methods = {"labels": _score_files(pred, truth, chosen, definition, spacing)}
        settings |= {"pred": str(pred), "truth": str(truth)}
    else:
        from zoo.score import score_dataset
        from zoo.weights import describe_weights

        entry = registry.get(name)
        settings |= describe_weights(entry, weights)
        settings |= {"model": entry.name, "data": str(data or "synthetic"), "unmarked nuclei": unmarked}
        methods = score_dataset(
            entry,
            _dataset(data, names(embryos), spacing, console),
            weights,
            chosen,
            definition=definition,
            unmarked=unmarked,
            out=out,
            settings=settings,
            console=console,
        )
    _show(methods, settings, json_file, csv_file)


def _dataset(
    data: Path | None, embryos: list[str], spacing: tuple[float, float, float] | None, console: Console
) -> DataSet:
    from zoo.data import datasets

    if data is None:
        console.print("no --data: scoring on the built-in synthetic embryos")
    dataset = datasets.find(data, spacing) if data else datasets.synthetic(**SAMPLE)
    return dataset.only(embryos) if embryos else dataset


def _score_files(
    pred: Path,
    truth: Path,
    metrics: tuple[str, ...],
    definition: str,
    spacing: tuple[float, float, float] | None,
) -> list[Row]:
    from zoo.data import io
    from zoo.evaluate.metrics import score
    from zoo.evaluate.overlap import renumber
    from zoo.evaluate.scores import Row, pair_labels

    rows = []
    for name, pred_file, truth_file in pair_labels(pred, truth):
        found, true = io.read_labels(pred_file), io.read_labels(truth_file)
        um, _ = io.resolve_spacing(true.spacing or found.spacing, spacing, (1.0, 1.0, 1.0))
        if found.frames.shape != true.frames.shape:
            raise InputError(
                f"{pred_file} (shape {found.frames.shape}, t z y x) must have the shape of {truth_file}, "
                f"{true.frames.shape}"
            )
        for time, pred_labels, true_labels in zip(true.times, found.frames, true.frames, strict=True):
            values = score(true_labels, pred_labels, metrics, spacing=um, definition=definition)
            frame = f"{name} frame {time}" if true.series else name
            rows.append(Row(name=frame, group=name, nuclei=len(renumber(true_labels)[0]), values=values))
    return rows


def _show(
    methods: dict[str, list[Row]], settings: dict[str, str], json_file: Path | None, csv_file: Path | None
) -> None:
    from rich.console import Console

    from zoo.evaluate import scores
    from zoo.provenance import versions

    output = Console()
    name, rows = next(iter(methods.items()))
    output.print(scores.table(name, rows))
    for stage in ("all", "4+"):
        if len(methods) > 1 and any(row.nuclei >= 4 for row in rows):
            output.print(f"{stage} volumes" if stage == "all" else "volumes of 4 nuclei and more")
            output.print(scores.markdown(methods, stage), markup=False, highlight=False)
    if json_file:
        content = scores.as_json(settings | versions(), rows)
        others = {other: scores.as_json({}, found) for other, found in methods.items() if other != name}
        scores.write_json(json_file, {**content, "compared": others} if others else content)
    if csv_file:
        scores.write_csv(csv_file, rows)
