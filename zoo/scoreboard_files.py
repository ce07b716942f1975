"""What the scoreboard leaves on the disk: tables in markdown, a row a result in CSV, a page with pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from zoo.data.write import NAMES, atomic
from zoo.evaluate.page import Table
from zoo.evaluate.report import write_report
from zoo.evaluate.scores import Summary, spread, stage_of, summarise
from zoo.provenance import versions
from zoo.scoreboard import Board, Result
from zoo.weights import origin

QUOTED: Mapping[str, Mapping[str, float]] = {
    # Tokuoka et al. 2020
    "QCANet, as published (quoted)": {"iou": 0.746, "seg": 0.710, "mucov": 0.721},
    "QCANet, reproduced (quoted)": {"iou": 0.503, "seg": 0.155, "mucov": 0.079},
}
"""Scores that others state: of the paper, and of its public reproduction; both of the official test set."""

HOW = {
    "scores": "mean ± standard deviation over volumes; each volume was segmented by runs that were neither "
    "trained on it nor validated by it",
    "quoted": "as others state, of the official test set of BBBC050: other embryos by another microscope, "
    "not to be compared digit by digit",
    "seconds": "median over volumes, from the image in memory to its labels",
    "peak MB": "by how much the process' resident set grew at most while a volume was segmented, looked at "
    "every 5 ms, the largest of all volumes; weights and image were there before and do not count",
}
"""How to read the tables."""

_HEADINGS = {"iou": "IoU", "dice": "Dice", "seg": "SEG", "mucov": "MUCov"}
_NONE = "–"


def files(out: Path) -> tuple[Path, Path, Path]:
    """Return the files of a scoreboard: markdown, CSV and HTML."""
    return out / "scoreboard.md", out / "scoreboard.csv", out / "scoreboard.html"


def write_scoreboard(out: Path, board: Board, metrics: Sequence[str], settings: Mapping[str, str]) -> None:
    """Write all files of a scoreboard.

    Parameters
    ----------
    out
        Folder; made where it is missing.
    board
        From :func:`zoo.scoreboard.compare`.
    metrics
        Those of the board, in the order of the columns.
    settings
        What was run.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    page, listing, html = files(out)
    how = {**settings, **_describe(board), **HOW}
    with atomic(page) as part:
        part.write_text(_page(board, metrics, {**how, **versions()}), encoding="utf-8", errors=NAMES)
    _write_csv(listing, board, metrics)
    how["pictures"] = f"the volumes of each method with the lowest {_heading(board.ranked_by)}, lowest first"
    write_report(
        html,
        title="Scoreboard",
        cases=(case for worst in board.worst.values() for case in worst),
        settings={**how, **versions()},
        tables={
            "All volumes": with_quoted(tabulate(board, metrics), metrics),
            "By true number of nuclei": tabulate_stages(board, metrics),
        },
    )


def tabulate(board: Board, metrics: Sequence[str]) -> Table:
    """Compare the methods over all volumes: scores, seconds and megabytes a volume, parameters.

    Parameters
    ----------
    board
        Of at least one volume.
    metrics
        The columns.

    Returns
    -------
    header, rows
        A row a method.
    """
    rows = []
    for method, results in board.results.items():
        (total,) = (part for part in summarise([result.row for result in results]) if part.stage == "all")
        seconds = median(result.row.seconds or 0.0 for result in results)
        memory = max(result.memory for result in results) / 1e6
        rows.append(
            [
                method,
                str(total.n),
                *_spreads(total, metrics),
                f"{seconds:.2f}",
                f"{memory:,.0f}",
                _size(results),
            ]
        )
    return ["method", "volumes", *map(_heading, metrics), "seconds", "peak MB", "parameters"], rows


def tabulate_stages(board: Board, metrics: Sequence[str]) -> Table:
    """Compare the methods by the volumes' true number of nuclei.

    Parameters
    ----------
    board, metrics
        As for `tabulate`.

    Returns
    -------
    header, rows
        A row for each stage that has volumes and each method.
    """
    summaries = {
        method: summarise([result.row for result in results]) for method, results in board.results.items()
    }
    rows = [
        [part.stage, method, str(part.n), *_spreads(part, metrics)]
        for parts in zip(*summaries.values(), strict=True)  # all methods have the same volumes
        for method, part in zip(summaries, parts, strict=True)
    ]
    return ["nuclei", "method", "volumes", *map(_heading, metrics)], rows


def with_quoted(table: Table, metrics: Sequence[str]) -> Table:
    """Add the rows of `QUOTED` to a table of `tabulate`."""
    header, rows = table
    beyond = len(header) - len(metrics) - 2
    quoted = [
        [name, "test set", *(f"{values[m]:.3f}" if m in values else _NONE for m in metrics)]
        + [_NONE] * beyond
        for name, values in QUOTED.items()
    ]
    return header, [*rows, *quoted]


def markdown(table: Table) -> str:
    """Write a table in markdown, rows of `QUOTED` in italics."""
    header, rows = table
    lines = [list(header), ["---", *["---:"] * (len(header) - 1)]]
    for row in rows:
        cells = [str(cell) for cell in row]
        lines.append(
            [cell if cell == _NONE else f"*{cell}*" for cell in cells] if cells[0] in QUOTED else cells
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _page(board: Board, metrics: Sequence[str], settings: Mapping[str, str]) -> str:
    listed = "\n".join(f"- {key}: {value}" for key, value in settings.items())
    return (
        f"# Scoreboard\n\n{markdown(with_quoted(tabulate(board, metrics), metrics))}\n\n"
        f"## By true number of nuclei\n\n{markdown(tabulate_stages(board, metrics))}\n\n"
        f"## What was run\n\n{listed}\n"
    )


def _write_csv(path: Path, board: Board, metrics: Sequence[str]) -> None:
    """Write a line a method and volume."""
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8", errors=NAMES) as file:
        writer = csv.writer(file)
        known = ["method", "name", "group", "stage", "nuclei"]
        writer.writerow([*known, *metrics, "seconds", "memory_bytes", "runs"])
        for method, results in board.results.items():
            for result in results:
                row = result.row
                writer.writerow(
                    [method, row.name, row.group, stage_of(row.nuclei), row.nuclei]
                    + [row.values[metric] for metric in metrics]
                    + [row.seconds, result.memory, "; ".join(_names(result))]
                )


def _describe(board: Board) -> dict[str, str]:
    """Say of each method which runs it took, and what was left out."""
    runs = {
        f"runs of {method}": "; ".join(dict.fromkeys(name for result in results for name in _names(result)))
        for method, results in board.results.items()
    }
    left_out = {"left out": ". ".join(board.left_out)} if board.left_out else {}
    return {**{key: value for key, value in runs.items() if value}, **left_out}


def _names(result: Result) -> list[str]:
    return [f"{network}: {origin(run.path)}" for network, run in result.runs.items()]


def _size(results: Sequence[Result]) -> str:
    """Write the parameters of a method; from the fewest to the most where its runs differ."""
    sizes = sorted({sum(run.parameters for run in result.runs.values()) for result in results})
    return (
        _NONE if sizes == [0] else " to ".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    )


def _spreads(part: Summary, metrics: Sequence[str]) -> list[str]:
    return [spread(part, metric) for metric in metrics]


def _heading(metric: str) -> str:
    return _HEADINGS.get(metric, metric)
