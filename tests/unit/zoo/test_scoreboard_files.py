"""The tables of a scoreboard, and its files."""

import csv

import pytest
from left_runs import METRICS, candidate

from zoo.evaluate import scores
from zoo.evaluate.scores import Row, summarise
from zoo.scoreboard import Board, Result
from zoo.scoreboard_files import files, markdown, tabulate, tabulate_stages, with_quoted, write_scoreboard


def make_result(name, nuclei, seg, runs, *, seconds=1.0, memory=0):
    row = Row(name, name[0], nuclei, {"iou": seg / 2, "seg": seg, "mucov": 1 - seg}, seconds)
    return Result(row, memory, runs)


@pytest.fixture
def board():
    """Two methods on four volumes: 2, 5, 20 and 4 nuclei."""
    big, small = {"x": candidate("big", [], 2000)}, {"x": candidate("small", [], 1500)}
    counts = {"a_t1": 2, "a_t2": 5, "b_t1": 20, "b_t2": 4}
    first = [
        make_result("a_t1", 2, 0.5, big, seconds=9.0, memory=3_000_000),
        make_result("a_t2", 5, 0.7, big, seconds=1.0, memory=250_000_000),
        make_result("b_t1", 20, 0.1, small, seconds=2.0, memory=0),
        make_result("b_t2", 4, 0.4, small, seconds=3.0, memory=0),
    ]
    second = [make_result(name, n, 0.3 + n / 100, {}, seconds=0.25) for name, n in counts.items()]
    return Board({"net": first, "classical": second}, {"net": [], "classical": []}, "seg", ["c is left out"])


def test_overview_holds_scores_time_memory_and_parameters(board):
    header, rows = tabulate(board, METRICS)
    assert header == ["method", "volumes", "IoU", "SEG", "MUCov", "seconds", "peak MB", "parameters"]
    for row, (method, results) in zip(rows, board.results.items(), strict=True):
        total = summarise([result.row for result in results])[-1]
        spread = [f"{total.mean[metric]:.3f} ± {total.std[metric]:.3f}" for metric in METRICS]
        assert row[:5] == [method, "4", *spread]
    assert rows[0][5:] == ["2.50", "250", "1,500 to 2,000"]  # median of 9, 1, 2, 3
    assert rows[1][5:] == ["0.25", "0", "–"]
    # by hand: the mean of 0.5, 0.7, 0.1, 0.4 and the root of (0.075² + 0.275² + 0.325² + 0.025²) / 4
    assert rows[0][3] == "0.425 ± 0.217"


def test_stages_are_those_of_the_scores(board):
    header, rows = tabulate_stages(board, METRICS)
    assert header == ["nuclei", "method", "volumes", "IoU", "SEG", "MUCov"]
    assert [row[0] for row in rows[::2]] == ["1-3", "4-15", "16+", "4+", "all"]
    methods = {name: [result.row for result in results] for name, results in board.results.items()}
    for stage in ("1-3", "4-15", "16+", "4+", "all"):
        lines = scores.markdown(methods, stage).splitlines()[2:]
        assert lines == [f"| {' | '.join(row[1:])} |" for row in rows if row[0] == stage]


def test_quoted_rows_are_in_italics_and_lack_what_nobody_states(board):
    lines = markdown(with_quoted(tabulate(board, ("seg", "iou")), ("seg", "iou"))).splitlines()
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[4:] == [
        "| *QCANet, as published (quoted)* | *test set* | *0.710* | *0.746* | – | – | – |",
        "| *QCANet, reproduced (quoted)* | *test set* | *0.155* | *0.503* | – | – | – |",
    ]
    assert {line.count("|") for line in lines} == {8}
    ours = tabulate(board, ("mucov",))
    assert with_quoted(ours, ("mucov",))[1][-2:] == [
        ["QCANet, as published (quoted)", "test set", "0.721", "–", "–", "–"],
        ["QCANet, reproduced (quoted)", "test set", "0.079", "–", "–", "–"],
    ]


def test_files_say_what_was_run(board, tmp_path):
    write_scoreboard(tmp_path / "new", board, METRICS, {"data": "my data"})
    page, listing, html = files(tmp_path / "new")
    assert sorted((tmp_path / "new").iterdir()) == sorted([page, listing, html])
    text = page.read_text(encoding="utf-8")
    assert markdown(with_quoted(tabulate(board, METRICS), METRICS)) in text
    assert markdown(tabulate_stages(board, METRICS)) in text
    for line in ("- data: my data", "- runs of net: x: big; x: small", "- left out: c is left out"):
        assert line in text.splitlines()
    assert "runs of classical" not in text
    shown = html.read_text(encoding="utf-8")
    assert "://" not in shown
    for cell in ("my data", "0.425 ± 0.217", "QCANet, as published (quoted)", "every 5 ms", "cellzoo"):
        assert cell in shown


def test_csv_has_a_row_a_volume_and_method(board, tmp_path):
    write_scoreboard(tmp_path, board, METRICS, {})
    with files(tmp_path)[1].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["name"]) for row in rows] == [
        (method, result.row.name) for method, results in board.results.items() for result in results
    ]
    assert rows[2] == {
        "method": "net",
        "name": "b_t1",
        "group": "b",
        "stage": "16+",
        "nuclei": "20",
        "iou": "0.05",
        "seg": "0.1",
        "mucov": "0.9",
        "seconds": "2.0",
        "memory_bytes": "0",
        "runs": "x: small",
    }
    assert rows[4]["runs"] == ""
