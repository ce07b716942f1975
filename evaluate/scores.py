"""Scores of many volumes: which file belongs to which, groups by stage, and the tables made of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from zoo.data.write import NAMES, atomic
from zoo.errors import InputError, unknown
from zoo.evaluate.foreground import Counts, pool, pooled
from zoo.evaluate.overlap import count_overlap

STAGES = ("0", "1-3", "4-15", "16+", "4+", "all")
"""Groups of volumes by their true number of nuclei, in the order they are shown; ``4+`` joins two of them."""

_DIGITS = len("0.123 ±")  # a mean and its deviation fold here
_LABEL_SUFFIXES = (".tif", ".tiff", ".npy")


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one volume.

    Parameters
    ----------
    name
        The volume, such as ``Emb04_t251``.
    group
        What it belongs to, such as the embryo ``Emb04``.
    nuclei
        True number of nuclei.
    values
        The score of each metric.
    seconds
        Time the prediction took, None where only label files were compared.
    counts
        Voxels of foreground and background, None where they are not asked for.
    """

    name: str
    group: str
    nuclei: int
    values: Mapping[str, float]
    seconds: float | None = None
    counts: Counts | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and spread of the volumes of one stage.

    Parameters
    ----------
    stage
        One of `STAGES`.
    n
        Number of volumes, at least 1.
    mean, std
        Mean and population standard deviation (divided by n) of each metric over the volumes.
    """

    stage: str
    n: int
    mean: Mapping[str, float]
    std: Mapping[str, float]


def stage_of(nuclei: int) -> str:
    """Name the stage of a volume.

    Parameters
    ----------
    nuclei
        True number of nuclei, 0 or more.

    Returns
    -------
    str
        ``"0"``, ``"1-3"``, ``"4-15"`` or ``"16+"``.
    """
    if nuclei == 0:
        return "0"
    if nuclei < 4:
        return "1-3"
    return "4-15" if nuclei < 16 else "16+"


def count_voxels(
    truth: np.ndarray, pred: np.ndarray, metrics: Sequence[str], *, masks: bool = False
) -> Counts | None:
    """Count the voxels of two label volumes where a metric is asked for that the background takes part in.

    Parameters
    ----------
    truth, pred : (Z, Y, X) int
        0 is background.
    metrics
        Names; ``miou`` and ``accuracy`` are of masks, which are scored over all voxels of a data set, too.
    masks
        Whether the volumes are masks, whatever is asked for.

    Returns
    -------
    Counts or None
    """
    wanted = masks or {"miou", "accuracy"} & set(metrics)
    return Counts.of(count_overlap(truth, pred)) if wanted else None


def together(rows: Sequence[Row]) -> dict[str, float]:
    """Score the foreground over the voxels of all volumes taken together, as Keras' metrics do.

    Parameters
    ----------
    rows
        One a volume, all with the same metrics.

    Returns
    -------
    dict
        Those of the metrics that are of the foreground; empty where voxels were not counted.
    """
    counted = [row.counts for row in rows if row.counts is not None]
    return pooled(pool(counted), _metrics(rows)) if counted else {}


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Average the volumes of each stage, of all with 4 nuclei or more, and of all.

    Each volume weighs the same, whatever its number of nuclei, as in the QCANet paper.

    Parameters
    ----------
    rows
        One a volume, all with the same metrics.

    Returns
    -------
    list of Summary
        In the order of `STAGES`, without those that have no volume.
    """
    members = {stage: [row for row in rows if _belongs(row, stage)] for stage in STAGES}
    return [_summary(stage, chosen) for stage, chosen in members.items() if chosen]


def table(title: str, rows: Sequence[Row], objects: str = "nuclei") -> Table:
    """Lay the scores out for the terminal: a line a volume, then mean ± standard deviation a stage.

    Parameters
    ----------
    title
        Shown above the table.
    rows
        One a volume, all with the same metrics.
    objects
        What the objects are called.

    Returns
    -------
    rich.table.Table
        To be printed by the caller; cells fold where the terminal is narrow, no digit is cut off.
    """
    timed = any(row.seconds is not None for row in rows)
    metrics = _metrics(rows)
    shown = Table(title=title, caption="groups: mean ± standard deviation of their volumes")
    shown.add_column("volume", overflow="fold", min_width=len(f"16+ {objects}"))
    for head in (objects, *metrics, *(["seconds"] if timed else [])):
        shown.add_column(head, justify="right", overflow="fold", min_width=max(len(head), _DIGITS))
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        cells = [escape(row.name), str(row.nuclei), *(f"{row.values[metric]:.3f}" for metric in metrics)]
        shown.add_row(*cells, *([seconds] if timed else []))
    shown.add_section()
    for summary in summarise(rows):
        cells = [spread(summary, metric) for metric in metrics]
        style = "bold" if summary.stage == "all" else None
        shown.add_row(group_name(summary, objects), "", *cells, style=style)
    if joined := together(rows):
        cells = [f"{joined[metric]:.3f}" if metric in joined else "" for metric in metrics]
        shown.add_row("all voxels together", "", *cells, style="bold")
    return shown


def markdown(rows_by_method: Mapping[str, Sequence[Row]], stage: str = "all") -> str:
    """Compare methods in a markdown table: a line a method, a column a metric, mean ± standard deviation.

    Parameters
    ----------
    rows_by_method
        The scores of each method, in the order to be shown.
    stage
        One of `STAGES`: only volumes of this stage count.

    Returns
    -------
    str
        The table, without a line break at its end. A method that has no volume of the stage, or lacks a
        metric, shows a dash.

    Raises
    ------
    InputError
        If the stage is unknown.
    """
    if stage not in STAGES:
        raise unknown("stage", stage, STAGES)
    metrics = _metrics([row for rows in rows_by_method.values() for row in rows])
    lines = [_line(["method", "volumes", *metrics]), _line(["---", *["---:"] * (len(metrics) + 1)])]
    for method, rows in rows_by_method.items():
        chosen = [row for row in rows if _belongs(row, stage)]
        summary = _summary(stage, chosen) if chosen else None
        there = summary.mean if summary else {}
        cells = [spread(summary, metric) if summary and metric in there else "–" for metric in metrics]
        lines.append(_line([method, str(len(chosen)), *cells]))
    return "\n".join(lines)


def as_json(meta: Mapping[str, object], rows: Sequence[Row]) -> dict[str, object]:
    """Gather the scores in plain values.

    Parameters
    ----------
    meta
        What was run: method, settings, versions; plain values only.
    rows
        One a volume.

    Returns
    -------
    dict
        ``meta``, ``volumes``, ``summary`` and, where voxels were counted, ``together``, ready for
        `write_json`.
    """
    volumes = [
        {
            "name": row.name,
            "group": row.group,
            "stage": stage_of(row.nuclei),
            "nuclei": row.nuclei,
            "values": dict(row.values),
            "seconds": row.seconds,
        }
        for row in rows
    ]
    summary = [
        {"stage": part.stage, "n": part.n, "mean": dict(part.mean), "std": dict(part.std)}
        for part in summarise(rows)
    ]
    content: dict[str, object] = {"meta": dict(meta), "volumes": volumes, "summary": summary}
    joined = together(rows)
    return {**content, "together": joined} if joined else content


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write what `as_json` gathered.

    Parameters
    ----------
    path
        File to write or replace.
    content
        Plain values; a NaN is refused, as it is no JSON.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", errors=NAMES)


def write_csv(path: Path, rows_by_method: Mapping[str, Sequence[Row]]) -> None:
    """Write a line a method and volume: method, name, group, stage, nuclei, a column a metric, seconds.

    Parameters
    ----------
    path
        File to write or replace.
    rows_by_method
        For each method a row a volume, all with the same metrics.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    metrics = _metrics(row for rows in rows_by_method.values() for row in rows)
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=NAMES) as file:
        writer = csv.writer(file)
        writer.writerow(["method", "name", "group", "stage", "nuclei", *metrics, "seconds"])
        for method, rows in rows_by_method.items():
            for row in rows:
                known = [method, row.name, row.group, stage_of(row.nuclei), row.nuclei]
                writer.writerow([*known, *(row.values[metric] for metric in metrics), row.seconds])


def pair_labels(pred: Path, truth: Path) -> list[tuple[str, Path, Path]]:
    """Find the predicted and the true label file of each volume.

    Parameters
    ----------
    pred, truth
        Two files, whatever their names; or two folders, whose label files (.tif, .tiff, .npy; hidden files
        and folders inside are left alone) must have the same names but for the suffix.

    Returns
    -------
    list of (str, Path, Path)
        Name, predicted file and true file of each volume, by name.

    Raises
    ------
    InputError
        If a file or folder is missing, one of the two is a file and the other a folder, or a folder lacks a
        partner for a file of the other: no volume is left out of a score in silence.
    """
    for role, path in (("predicted labels", pred), ("true labels", truth)):
        if not path.exists():
            raise InputError(f"{role} {path}: no such file or folder; give the path of one that exists")
    if pred.is_file() and truth.is_file():
        return [(_name(truth), pred, truth)]
    if pred.is_file() or truth.is_file():
        raise InputError(
            f"{pred} and {truth}: one is a file, the other a folder; give two files or two folders"
        )
    pred_files, truth_files = _label_files(pred), _label_files(truth)
    faults = []
    if lacking := sorted(truth_files.keys() - pred_files.keys()):
        faults.append(f"no predicted labels in {pred} for {', '.join(lacking)}")
    if lacking := sorted(pred_files.keys() - truth_files.keys()):
        faults.append(f"no true labels in {truth} for {', '.join(lacking)}")
    if faults:
        raise InputError(f"{'; '.join(faults)}: each file needs its partner of the same name")
    return [(name, pred_files[name], truth_files[name]) for name in sorted(truth_files)]


def _label_files(folder: Path) -> dict[str, Path]:
    """List the label files of a folder by name."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in _LABEL_SUFFIXES or not path.is_file():
            continue
        if (name := _name(path)) in files:
            raise InputError(f"{path} and {files[name].name} have the same name: keep one of them")
        files[name] = path
    if not files:
        raise InputError(f"{folder} holds no label files ({', '.join(_LABEL_SUFFIXES)}); give another folder")
    return files


def _name(path: Path) -> str:
    """Strip the suffix, and the ``.ome`` of an OME-TIFF."""
    stem = path.stem
    return stem[:-4] if stem.lower().endswith(".ome") else stem


def _belongs(row: Row, stage: str) -> bool:
    """Tell whether a volume counts for a stage."""
    return stage == "all" or (row.nuclei >= 4 if stage == "4+" else stage_of(row.nuclei) == stage)


def _summary(stage: str, rows: Sequence[Row]) -> Summary:
    """Average volumes that were chosen already."""
    metrics = _metrics(rows)
    values = np.array([[row.values[metric] for metric in metrics] for row in rows], dtype=np.float64)
    mean, std = values.mean(axis=0).tolist(), values.std(axis=0).tolist()
    return Summary(
        stage, len(rows), dict(zip(metrics, mean, strict=True)), dict(zip(metrics, std, strict=True))
    )


def _metrics(rows: Iterable[Row]) -> list[str]:
    """List the metrics in the order they first occur."""
    return list(dict.fromkeys(metric for row in rows for metric in row.values))


def spread(summary: Summary, metric: str) -> str:
    """Write a mean and its standard deviation, which a single volume does not have."""
    mean = f"{summary.mean[metric]:.3f}"
    return mean if summary.n == 1 else f"{mean} ± {summary.std[metric]:.3f}"


def group_name(summary: Summary, objects: str) -> str:
    """Name a group of volumes for a person, by its true number of objects."""
    what = "all" if summary.stage == "all" else f"{summary.stage} {objects}"
    return f"{what} ({summary.n} {'volume' if summary.n == 1 else 'volumes'})"


def _line(cells: Sequence[str]) -> str:
    """Make one line of a markdown table; a bar inside a cell would end it."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
