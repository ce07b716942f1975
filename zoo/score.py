"""Run an entry over a data set and score it, with the classical baseline beside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from zoo import registry
from zoo.data.datasets import BBBC050_UM, DataSet, Volume
from zoo.data.write import write_labels
from zoo.entry import Entry
from zoo.evaluate.metrics import score
from zoo.evaluate.overlap import renumber
from zoo.evaluate.page import Table
from zoo.evaluate.report import Case, write_report
from zoo.evaluate.scores import Row, count_voxels, group_name, spread, summarise, together
from zoo.movie_results import mask_case
from zoo.provenance import versions
from zoo.results import make_case, measure_result
from zoo.segment import Segmentation, segment
from zoo.weights import find_runs, open_networks

ASSUMED = f"no voxel size in the files: taking {' x '.join(map(str, BBBC050_UM))} um"


def label_file(out: Path, name: str) -> Path:
    """Return where a volume's labels go."""
    return out / "labels" / f"{name}.tif"


def score_dataset(
    entry: Entry,
    dataset: DataSet,
    weights: Sequence[str],
    metrics: Sequence[str],
    *,
    definition: str,
    how: Mapping[str, Any],
    out: Path | None,
    settings: dict[str, str],
    console: Console,
) -> dict[str, list[Row]]:
    """Segment every volume of a data set and score it against its truth.

    Parameters
    ----------
    entry
        Pipeline or network.
    dataset
        Volumes with truth.
    weights
        Run folders as on the command line.
    metrics, definition
        As for :func:`zoo.evaluate.metrics.score`. Centre networks are scored like the others, their
        markers as objects: ``det_f1`` is the metric made for them.
    how
        ``unmarked``, ``min_volume`` and ``threshold`` of :func:`zoo.segment.segment`.
    out
        Folder for labels and a report; ``None`` for neither.
    settings
        What the report says of the run.
    console
        Where progress is shown.

    Returns
    -------
    dict
        Method to its scores, a volume a row: the entry, then its baseline where it has one.
    """
    networks = open_networks(entry, weights)
    _warn_of_known(entry, dataset, weights, settings["data"], console)
    if entry.subject.prepared:
        recipe = networks[entry.name].recipe
        recipe.check_prepared(dataset.prepared, settings["data"], entry.subject.prepared)
    methods: dict[str, list[Row]] = {entry.name: []}
    if entry.subject.baseline:
        methods.setdefault(entry.subject.baseline, [])

    def cases() -> Iterator[Case]:
        bar = track(dataset.samples, entry.name, console=console, disable=not console.is_terminal)
        for sample in bar:
            volume = sample.load()
            if volume.spacing_from == "default" and sample is dataset.samples[0]:
                console.print(f"{ASSUMED}; --spacing Z Y X overrides")
            results = {}
            for name in methods:
                began = time.monotonic()
                results[name] = segment(registry.get(name), networks, volume.image, volume.spacing, **how)
                seconds = time.monotonic() - began
                labels = results[name].labels
                methods[name].append(score_volume(entry, volume, labels, metrics, definition, seconds))
            result, row = results[entry.name], methods[entry.name][-1]
            for note in result.notes:
                if note not in told:  # most are of all volumes
                    told.add(note)
                    console.print(f"{volume.name}: {note}")
            if out is not None:
                write_labels(label_file(out, volume.name), result.labels, volume.spacing)
                yield make_volume_case(entry, volume, result, row)

        tables.update({name: _table(rows, metrics, entry.subject.objects) for name, rows in methods.items()})

    tables: dict[str, Table] = {}
    told: set[str] = set()
    if out is None:
        for _ in cases():
            pass
    else:
        write_report(
            out / "report.html",
            title=f"{entry.name}: scores",
            cases=cases(),  # taken one at a time; when the last is done, the tables are full
            settings=settings | versions(),
            tables=tables,
        )
        console.print(f"labels and report.html are in {out}")
    return methods


def _warn_of_known(
    entry: Entry, dataset: DataSet, weights: Sequence[str], data: str, console: Console
) -> None:
    """Say which of the volumes a training saw, as their scores tell nothing of new ones."""
    from zoo.train.runs import open_run

    for folder in find_runs(entry, weights).values():
        settings = open_run(folder).settings
        if "sha256" not in settings and Path(settings.get("data", "")) != Path(data).resolve():
            continue  # of packed weights only the names of the volumes tell
        for part, verb in (("train", "trained on"), ("validation", "chose its epoch by")):
            known = {sample.name for sample in dataset.samples} & set(settings.get(part, ()))
            if known:
                console.print(
                    f"warning: {folder} {verb} {len(known)} of these {len(dataset.samples)} volumes"
                )


def make_volume_case(entry: Entry, volume: Volume, result: Segmentation, row: Row) -> Case:
    """Return the part of the report that shows a scored volume."""
    name, image, um = volume.name, volume.image, volume.spacing
    if entry.subject.prepared:
        return mask_case(name, image, um, result, truth=volume.labels, scores=row.values)
    nuclei = measure_result(result, um, image)
    return make_case(name, image, um, result, nuclei, volume.labels, row.values)


def score_volume(
    entry: Entry, volume: Volume, labels: np.ndarray, metrics: Sequence[str], definition: str, seconds: float
) -> Row:
    """Score the labels that an entry gave a volume, (Z, Y, X) as its truth, and took ``seconds`` for."""
    values = score(volume.labels, labels, metrics, spacing=volume.spacing, definition=definition)
    counts = count_voxels(volume.labels, labels, metrics, masks=entry.subject.prepared is not None)
    return Row(volume.name, volume.group, len(renumber(volume.labels)[0]), values, seconds, counts)


def _table(rows: Sequence[Row], metrics: Sequence[str], objects: str) -> Table:
    lines: list[list[object]] = [
        [group_name(summary, objects), *(spread(summary, metric) for metric in metrics)]
        for summary in summarise(rows)
    ]
    if joined := together(rows):
        shown = (f"{joined[metric]:.3f}" if metric in joined else "" for metric in metrics)
        lines.append(["all voxels together", *shown])
    return ["volumes", *metrics], lines
