"""``zoo eval``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import registry
from zoo.cli.options import (
    PATH,
    check_apart,
    check_new,
    check_writable,
    cutting,
    diameter_option,
    flips_option,
    labelling,
    make_console,
    min_volume_option,
    names,
    overwrite_option,
    slice_fusion_options,
    spacing_option,
    tell_weights,
    threshold_option,
    unmarked_option,
    weights_option,
)
from zoo.cli.record import be_deterministic, begin, deterministic_option, device_of
from zoo.defaults import RECORD
from zoo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.data.datasets import DataSet
    from zoo.entry import Entry
    from zoo.evaluate.scores import Row
    from zoo.provenance import Record

UNLIMITED = 1000  # columns, as a file or a pipe has no width that numbers would have to be cut to
SAMPLE = {"count": 6, "seed": 100}  # training's synthetic embryos begin at seed 0


@click.command("eval")
@click.argument("name", default="qcanet")
@click.option("--data", type=PATH, help="Data set folder; without it, built-in synthetic ones.")
@click.option("--embryos", metavar="GROUP,...", help="Only these embryos or groups of the data set.")
@click.option("--pred", type=PATH, help="Label image or folder of them, from any tool, to be scored.")
@click.option("--truth", type=PATH, help="True label image or folder of them, files of the same names.")
@click.option(
    "--metric",
    "metrics",
    metavar="NAME,...",
    help="Of iou, dice, miou, accuracy, seg, mucov, f1@0.5 (or another overlap), ap50, pq and det_f1; "
    "default iou,seg,mucov, and miou,iou,dice,accuracy for yeast.",
)
@click.option(
    "--definition",
    type=click.Choice(["standard", "original", "replication"]),
    default="standard",
    show_default=True,
    help="'original': the published QCANet code's variants of SEG and MUCov; 'replication': how its public "
    "reproduction scored iou, seg and mucov, to show that fault.",
)
@click.option("--json", "json_file", type=PATH, help="Write scores and settings as JSON.")
@click.option("--csv", "csv_file", type=PATH, help="Write scores as CSV, a volume a row.")
@click.option("--out", type=PATH, help="Folder for the labels and a report with pictures.")
@weights_option()
@spacing_option()
@unmarked_option()
@min_volume_option()
@threshold_option()
@diameter_option()
@flips_option()
@slice_fusion_options()
@deterministic_option()
@overwrite_option()
def evaluate(
    name: str,
    data: Path | None,
    embryos: str | None,
    pred: Path | None,
    truth: Path | None,
    metrics: str | None,
    definition: str,
    json_file: Path | None,
    csv_file: Path | None,
    out: Path | None,
    weights: tuple[str, ...],
    spacing: tuple[float, float, float] | None,
    unmarked: str,
    min_volume: float | None,
    threshold: float | str,
    diameter: float | None,
    flips: bool,
    slice_fusion: str,
    radius_um: float,
    deterministic: bool,
    overwrite: bool,
) -> None:
    """Score a model, or label images from any tool.

    A model runs on a data set, with the classical baseline beside it; label images need --pred and --truth.
    """
    entry = registry.get(name)
    from zoo.evaluate.metrics import check_definition, parse_metrics
    from zoo.provenance import beside

    chosen = parse_metrics(metrics) if metrics is not None else entry.subject.metrics
    check_definition(definition, chosen)
    files = [path for path in (json_file, csv_file, out and out / "report.html") if path]
    place = out / RECORD if out else beside(files[0]) if files else None
    check_apart(files, [path for path in (pred, truth) if path and path.is_file()])
    check_new([*files, *([place] if place else [])], overwrite)
    for path in files:
        check_writable(path.parent)
    console = make_console()
    how = {"metrics": ",".join(chosen), "definition": definition}
    outs = {"--out": out, "--json": json_file, "--csv": csv_file}
    record: Record | None = None
    if pred or truth:
        if not (pred and truth) or data or embryos or weights or out:
            raise InputError(
                "score label images by both --pred and --truth, without --data, --embryos, --weights, --out"
            )
        settings = {"pred": str(pred), "truth": str(truth)} | how
        record = begin(place, outs, [pred, truth]) if place else None
        methods = {"labels": _score_files(pred, truth, chosen, definition, spacing, console)}
    else:
        from zoo.score import label_file, score_dataset
        from zoo.weights import choose_threshold, describe_weights

        if deterministic:
            be_deterministic(entry)
        settings = {"model": entry.name, **describe_weights(entry, weights)}
        tell_weights(entry, weights, console)
        how_labelled: dict[str, Any] = {"threshold": choose_threshold(entry, weights, threshold)}
        if min_volume is not None or diameter is None:  # else it is scaled
            how_labelled["min_volume"] = entry.subject.min_volume if min_volume is None else min_volume
        how_labelled |= labelling(entry, unmarked, slice_fusion, radius_um, diameter, flips)
        idle = {"threshold", "min_volume"} - cutting(entry)
        settings |= {key: str(value) for key, value in how_labelled.items() if key not in idle}
        settings |= {"data": str(data or f"built-in synthetic {entry.subject.objects}")} | how
        dataset = _dataset(entry, data, names(embryos), spacing, console)
        if out:
            labels = [label_file(out, sample.name) for sample in dataset.samples]
            check_apart(labels, [] if data is None else [data, data / "labels"])  # where the truth may be
            check_new(labels, overwrite)
            files += labels
        if place:
            record = begin(place, outs, [data], entry=entry, weights=weights, deterministic=deterministic)
        methods = score_dataset(
            entry,
            dataset,
            weights,
            chosen,
            definition=definition,
            how=how_labelled,
            out=out,
            settings=settings,
            console=console,
        )
        if record:
            record.device = device_of(entry)
    _show(methods, settings, json_file, csv_file, entry.subject.objects)
    if record and place:
        record.finish(place, files)


def _dataset(
    entry: Entry,
    data: Path | None,
    embryos: list[str],
    spacing: tuple[float, float, float] | None,
    console: Console,
) -> DataSet:
    """Return what is scored: the groups asked for, else the data set's own test part, else all of it."""
    from zoo.data import layouts

    if data is None:
        console.print(f"no --data: scoring on built-in synthetic {entry.subject.objects}")
        dataset: DataSet = entry.subject.synthetic.load()(**SAMPLE)
    else:
        dataset = layouts.find(data, spacing)
    if embryos:
        return dataset.only(embryos)
    if dataset.test:
        console.print(f"scoring the {len(dataset.test)} volumes that {data} keeps for the test")
        return dataset.keep(dataset.test)
    return dataset


def _score_files(
    pred: Path,
    truth: Path,
    metrics: tuple[str, ...],
    definition: str,
    spacing: tuple[float, float, float] | None,
    console: Console,
) -> list[Row]:
    from zoo.data import io
    from zoo.evaluate import scores
    from zoo.evaluate.metrics import score
    from zoo.evaluate.overlap import renumber

    rows = []
    for name, pred_file, truth_file in scores.pair_labels(pred, truth):
        found, true = io.read_labels(pred_file), io.read_labels(truth_file)
        um, where = io.resolve_spacing(true.spacing or found.spacing, spacing, (1.0, 1.0, 1.0))
        if where == "default" and "det_f1" in metrics:  # the others count voxels
            console.print(
                f"{name}: no voxel size in the files, det_f1 takes 1 x 1 x 1 um; give --spacing Z Y X"
            )
        if found.frames.shape != true.frames.shape:
            raise InputError(
                f"{pred_file} (shape {found.frames.shape}, t z y x) must have the shape of {truth_file}, "
                f"{true.frames.shape}"
            )
        for time, pred_labels, true_labels in zip(true.times, found.frames, true.frames, strict=True):
            values = score(true_labels, pred_labels, metrics, spacing=um, definition=definition)
            frame = f"{name} frame {time}" if true.series else name
            counts = scores.count_voxels(true_labels, pred_labels, metrics)
            nuclei = len(renumber(true_labels)[0])
            rows.append(scores.Row(name=frame, group=name, nuclei=nuclei, values=values, counts=counts))
    return rows


def _show(
    methods: dict[str, list[Row]],
    settings: dict[str, str],
    json_file: Path | None,
    csv_file: Path | None,
    objects: str,
) -> None:
    from rich.console import Console

    from zoo.evaluate import scores
    from zoo.provenance import versions

    name, rows = next(iter(methods.items()))
    shown = scores.table(name, rows, objects)
    output = Console(width=None if sys.stdout.isatty() else UNLIMITED)
    # a terminal that is narrower than the narrowest table breaks its lines, rather than losing digits
    output.print(shown, width=max(output.width, output.measure(shown).minimum), crop=False)
    if len(methods) > 1:
        grown = sum(row.nuclei >= 4 for row in rows)
        headings = {"all": "all volumes", "4+": "volumes of 4 nuclei and more"}
        for stage, heading in headings.items():
            if stage == "all" or 0 < grown < len(rows):  # else it is the same table, or none
                text = f"\n{heading}:\n{scores.markdown(methods, stage)}"
                output.print(text, markup=False, highlight=False, soft_wrap=True)
    if json_file:
        content = scores.as_json(settings | versions(), rows)
        others = {other: scores.as_json({}, found) for other, found in methods.items() if other != name}
        scores.write_json(json_file, {**content, "compared": others} if others else content)
    if csv_file:
        scores.write_csv(csv_file, methods)
