import csv
import json
import platform
import re
import time
import weakref
from functools import partial
from io import StringIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from rich.console import Console

from zoo import registry, scoreboard
from zoo.data.datasets import DataSet, Sample, Volume
from zoo.defaults import PRETRAINED
from zoo.errors import InputError
from zoo.evaluate import scores
from zoo.evaluate.report import Case
from zoo.evaluate.scores import Row, summarise
from zoo.scoreboard import Board, Lowest, PeakMemory, Result, compare
from zoo.scoreboard_files import files, markdown, tabulate, tabulate_stages, with_quoted, write_scoreboard
from zoo.segment import Segmentation
from zoo.unseen import Candidate, choose_runs, comparable, explain, find_candidates, group_by_runs

UM = (2.0, 1.0, 1.0)
SHAPE = (6, 16, 16)
METRICS = ("iou", "seg", "mucov")
A, B, C = ["a_t1", "a_t2"], ["b_t1", "b_t2"], ["c_t1"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def candidate(name, known, parameters=10):
    return Candidate(Path(name), frozenset(known), parameters)


def leave_run(path, name, train=(), validation=(), *, best=True, **changed):
    """A run folder that says what it was trained on; its weights are never read here."""
    recipe = {**registry.get(name).recipes["default"].to_dict(), **changed}
    path = Path(path)
    path.mkdir(parents=True)
    settings = {"entry": name, "recipe": recipe, "train": list(train), "validation": list(validation)}
    (path / "run.json").write_text(json.dumps(settings))
    if best:
        h5py.File(path / "best.weights.h5", "w").close()


# the choice of runs

FOLDS = {
    "nsn": [candidate("nsn1", A), candidate("nsn2", B)],
    "ndn": [candidate("ndn1", [*A, *C]), candidate("ndn2", [*B, *C])],
}


def test_each_network_takes_its_first_run_that_did_not_know_the_volume():
    nsn1, nsn2, ndn1, ndn2 = (run for runs in FOLDS.values() for run in runs)
    chosen, lacking = choose_runs(FOLDS, ["b_t1", *A, *C, "b_t2"])
    assert chosen == {
        "b_t1": {"nsn": nsn1, "ndn": ndn1},
        "a_t1": {"nsn": nsn2, "ndn": ndn2},
        "a_t2": {"nsn": nsn2, "ndn": ndn2},
        "b_t2": {"nsn": nsn1, "ndn": ndn1},
    }
    assert list(chosen) == ["b_t1", *A, "b_t2"]
    assert lacking == {"c_t1": ("ndn",)}  # nsn1 would do, ndn knew it in both folds


def test_parts_of_a_method_may_come_from_different_folds():
    runs = {"nsn": [candidate("1", A)], "ndn": [candidate("1", B), candidate("2", A), candidate("3", [])]}
    chosen, lacking = choose_runs(runs, [*B, *C])
    assert [chosen[volume]["ndn"].path.name for volume in (*B, *C)] == ["2", "2", "1"]
    assert lacking == {}


def test_without_networks_nothing_is_left_out():
    assert choose_runs({}, A) == ({"a_t1": {}, "a_t2": {}}, {})


def test_volumes_of_the_same_runs_go_together():
    nsn1, nsn2, *_ = (run for runs in FOLDS.values() for run in runs)
    chosen, _ = choose_runs(FOLDS, ["b_t1", *A, "b_t2"])
    assert group_by_runs(["nsn"], chosen) == [({"nsn": nsn1}, B), ({"nsn": nsn2}, A)]
    assert group_by_runs([], chosen) == [({}, ["b_t1", *A, "b_t2"])]


def test_what_is_left_out_is_counted_by_reason():
    samples = [Sample(name=name, group=name[0], load=lambda: None) for name in (*A, *B, *C)]
    told = explain(samples, {"a_t1": ("ndn",), "b_t1": ("nsn", "ndn"), "c_t1": ("ndn",)})
    assert told == [
        "2 of 5 volumes (a, c) are left out: every run of ndn was trained on or validated by them",
        "1 of 5 volumes (b) are left out: every run of nsn and of ndn was trained on or validated by them",
    ]
    assert explain(samples, {}) == []


# methods and their weights


def test_methods_are_those_that_make_whole_nuclei():
    assert comparable() == ("qcanet", "unet3d", "emrcnn", "classical")


def test_what_has_no_weights_is_left_out_and_named(here):
    leave_run("runs/unet3d", "unet3d", A, B)
    leave_run("mine", "qcanet_nsn", A)
    found, left_out = find_candidates([], ["qcanet_nsn=mine"])
    size = registry.get("unet3d").size.load()(registry.get("unet3d").recipes["default"])
    run = Candidate(Path("runs/unet3d"), frozenset([*A, *B]), size)
    assert found["unet3d"] == {"unet3d": [run]}
    assert found["classical"] == {}
    assert [one.path for one in found["qcanet"]["qcanet_nsn"]] == [Path("mine")]
    assert [one.path for one in found["qcanet"]["qcanet_ndn"]] == [PRETRAINED / "qcanet_ndn"]
    assert [line.split(":")[0] for line in left_out] == [
        "emrcnn has no weights for mrcnn_ensemble and is left out"
    ]


def test_a_default_run_without_weights_is_left_out_and_one_that_is_named_refused(here):
    leave_run("runs/unet3d", "unet3d", A)
    for file in Path("runs/unet3d").glob("*.h5"):
        file.unlink()
    found, left_out = find_candidates([], [])
    assert "unet3d" not in found
    assert any(line.startswith("unet3d has no weights for unet3d and is left out") for line in left_out)
    with pytest.raises(InputError, match="holds no weights yet"):
        find_candidates([], ["unet3d=runs/unet3d"])


def test_runs_that_are_given_stand_for_the_default_one(here):
    for folder, train in (("runs/unet3d", A), ("fold=1", B), ("fold=2", C)):
        leave_run(folder, "unet3d", train)
    found, left_out = find_candidates(["unet3d"], ["unet3d=fold=1", "unet3d=fold=2"])
    assert [run.path.name for run in found["unet3d"]["unet3d"]] == ["fold=1", "fold=2"]
    assert left_out == []


def test_an_ensemble_knew_what_any_of_its_members_knew(here):
    members = [{"backbone": 10}, {"backbone": 18}]
    leave_run("run", "mrcnn_ensemble", A, best=False, members=members)
    leave_run("run/member1", "mrcnn_ensemble", A, B, members=[], backbone=10)
    leave_run("run/member2", "mrcnn_ensemble", C, best=False, members=[], backbone=18)  # not trained yet
    found, _ = find_candidates(["emrcnn"], ["mrcnn_ensemble=run"])
    (run,) = found["emrcnn"]["mrcnn_ensemble"]
    assert run.known == {*A, *B}
    one, two = (registry.get("mrcnn_ensemble").size.load()(recipe_of(f"run/member{i}")) for i in (1, 2))
    assert run.parameters == one < two


def recipe_of(folder):
    from zoo.train.runs import open_run

    return open_run(Path(folder)).recipe


@pytest.mark.parametrize(
    "asked, given, words",
    [
        (["qcanets"], [], "unknown method 'qcanets': did you mean 'qcanet'"),
        (["qcanet_nsn"], [], "unknown method 'qcanet_nsn': .*allowed are classical, emrcnn, qcanet, unet3d"),
        (["unet3d"], [], "unet3d has no weights for unet3d: 'zoo train unet3d'"),
        ([], ["run"], "--weights run does not say which network it is for: give NETWORK=RUN"),
        ([], ["unet3="], "--weights unet3= does not say"),
        ([], ["unet3=run"], "unknown network of these methods 'unet3': did you mean 'unet3d'"),
        (["classical", "unet3d"], ["qcanet_nsn=run"], "unknown network .*allowed are unet3d"),
        ([], ["unet3d=none"], "none is not a run folder"),
        ([], ["unet3d=run"], "run holds weights of qcanet_nsn, not of unet3d"),
        ([], ["unet3d=bare"], "bare holds no weights yet"),
        ([], ["unet3d=silent"], "silent does not say which volumes it was trained on"),
        ([], ["mrcnn_ensemble=young"], "no member of young has weights yet"),
    ],
)
def test_what_cannot_be_compared(here, asked, given, words):
    leave_run("run", "qcanet_nsn")
    leave_run("bare", "unet3d", best=False)
    leave_run("silent", "unet3d")
    leave_run("young", "mrcnn_ensemble", best=False)
    settings = json.loads(Path("silent/run.json").read_text())
    del settings["train"]
    Path("silent/run.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=words):
        find_candidates(asked, given)


# the way through the volumes, with networks that are made up


def make_dataset(names):
    """Volumes with two nuclei, of 3 x 4 x 4 voxels each, and the number of the volume in their images."""

    def load(index, name):
        labels = np.zeros(SHAPE, np.int32)
        labels[1:4, 2:6, 2:6], labels[1:4, 2:6, 9:13] = 1, 2
        image = np.full(SHAPE, index, np.float32)
        truth = {"labels": labels, "mask": labels > 0, "markers": labels > 0}
        return Volume(name=name, group=name[0], image=image, spacing=UM, **truth)

    return DataSet(
        layout="pairs",
        samples=tuple(Sample(name=n, group=n[0], load=partial(load, i, n)) for i, n in enumerate(names)),
    )


class Fake:
    """Networks of one set of runs, which can be seen to be gone."""


@pytest.fixture
def loaded(monkeypatch):
    """Make up networks and a segmentation; the words that networks were opened with, in order.

    The nucleus at the right is found but for as many of its rows as the number of the volume says, so that
    its IoU is (4 - number) / 4, and SEG the mean of 1 and that or, from half a nucleus on, of 1 and 0.
    """
    opened, alive = [], weakref.WeakSet()

    def open_networks(entry, words):
        assert not alive, "the networks before are still there"
        opened.append((entry.name, *words))
        networks = {word: Fake() for word in words}
        networks["cycle"] = Fake()
        networks["cycle"].itself = networks["cycle"]  # as a Keras model
        alive.update(networks.values())
        return networks

    def segment(entry, networks, image, spacing):
        labels = make_dataset(["x"]).samples[0].load().labels
        labels[:, 2 : 2 + int(image[0, 0, 0]), 9:13] = 0
        return Segmentation(labels, {"probability": (labels > 0).astype(np.float32)}, notes=("a note",))

    monkeypatch.setattr(scoreboard, "open_networks", open_networks)
    monkeypatch.setattr(scoreboard, "segment", segment)
    return opened


def test_networks_are_loaded_once_for_all_their_volumes(here, loaded):
    leave_run("one", "unet3d", A)
    leave_run("two", "unet3d", B)
    said = StringIO()
    given = ["unet3d=one", "unet3d=two"]
    names = ["b_t1", *A, "b_t2"]
    dataset = make_dataset(names)
    board = compare(dataset, ["unet3d", "classical"], given, METRICS, Console(file=said, width=200))
    assert loaded == [("unet3d", "unet3d=one"), ("unet3d", "unet3d=two"), ("classical",)]
    assert {name: [r.row.name for r in done] for name, done in board.results.items()} == {
        "unet3d": names,
        "classical": names,
    }
    paths = [result.runs["unet3d"].path.name for result in board.results["unet3d"]]
    assert paths == ["one", "two", "two", "one"]
    assert [result.row.values["seg"] for result in board.results["unet3d"]] == [1, 0.875, 0.5, 0.5]
    assert said.getvalue().count("a note") == 3  # once for each set of runs, not for each volume
    assert board.left_out == []


def test_a_volume_that_one_method_may_not_have_is_left_out_for_all(here, loaded):
    leave_run("one", "unet3d", A)
    leave_run("nsn", "qcanet_nsn", B)
    leave_run("ndn", "qcanet_ndn", [], ["b_t1"])
    given = ["unet3d=one", "qcanet_nsn=nsn", "qcanet_ndn=ndn"]
    said = StringIO()
    board = compare(make_dataset([*A, *B, *C]), [], given, METRICS, Console(file=said, width=200))
    assert loaded == [("qcanet", "nsn=nsn", "ndn=ndn"), ("unet3d", "unet3d=one"), ("classical",)]
    assert {name: [r.row.name for r in done] for name, done in board.results.items()} == {
        "qcanet": C,
        "unet3d": C,
        "classical": C,
    }
    for line in (
        "emrcnn has no weights for mrcnn_ensemble and is left out",
        "2 of 5 volumes (a) are left out: every run of unet3d was",
        "1 of 5 volumes (b) are left out: every run of qcanet_nsn and of qcanet_ndn was",
        "1 of 5 volumes (b) are left out: every run of qcanet_nsn was",
    ):
        assert line in said.getvalue()
        assert any(line in reason for reason in board.left_out)


def test_no_volume_left_is_one_clear_line(here, loaded):
    leave_run("one", "unet3d", A)
    with pytest.raises(
        InputError, match="no volume is left of 2, as runs of unet3d knew them: add --weights"
    ):
        compare(make_dataset(A), ["unet3d"], ["unet3d=one"], METRICS, Console(file=StringIO()))
    assert loaded == []


def test_the_three_worst_are_kept_lowest_first(loaded):
    dataset = make_dataset(["v0", "v1", "v2", "v3", "v4"])  # SEG 1, 0.875, 0.5, 0.5, 0.5
    board = compare(dataset, ["classical"], [], ("seg",), Console(file=StringIO()))
    shown = board.worst["classical"]
    assert [case.name for case in shown] == ["classical: v2", "classical: v3", "classical: v4"]
    assert [dict(case.scores) for case in shown] == [{"seg": 0.5}] * 3
    board = compare(dataset, ["classical"], [], ("iou",), Console(file=StringIO()))
    assert [case.name for case in board.worst["classical"]] == [f"classical: v{i}" for i in (4, 3, 2)]
    assert board.ranked_by == "iou"


def test_no_case_is_made_of_a_volume_that_is_not_among_the_lowest():
    lowest = Lowest("seg")
    for name, value in {"p": 0.5, "q": 0.2, "r": 0.9, "s": 0.5, "t": 0.1, "u": 0.6}.items():
        row = Row(name, "g", 1, {"seg": value})
        if wanted := lowest.wants(row):
            lowest.add(row, Case(name=name, image=np.zeros(SHAPE), spacing=UM, labels=np.zeros(SHAPE, int)))
        assert wanted == (name != "u")
    assert [(value, case.name) for value, case in lowest.kept] == [(0.1, "t"), (0.2, "q"), (0.5, "p")]


def test_memory_is_the_largest_growth_of_the_block():
    with PeakMemory() as nothing:
        time.sleep(0.03)
    with PeakMemory() as memory:
        array = np.ones(10_000_000)  # 80 MB, given back before the end
        late = time.monotonic() + 10
        while memory.bytes < 75e6 and time.monotonic() < late:
            time.sleep(0.005)
        del array
    assert nothing.bytes < 20e6
    assert 75e6 < memory.bytes < 140e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back when asked")
def test_memory_that_was_freed_before_counts_again():
    grown, tops = [], []
    for _ in range(2):
        with PeakMemory() as memory:
            blocks = [np.ones(2_000) for _ in range(5_000)]  # 80 MB, too small to be given back by themselves
            late = time.monotonic() + 10
            while memory.bytes < 75e6 and time.monotonic() < late:
                time.sleep(0.005)
            tops.append(blocks.pop())  # while the top of the heap is in use, nothing below is given back
            del blocks
        grown.append(memory.bytes)
    assert min(grown) > 75e6


# tables and files


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


def test_the_worst_are_pictured(loaded, tmp_path):
    dataset = make_dataset(["v0", "v1", "v2", "v3"])
    board = compare(dataset, ["classical"], [], METRICS, Console(file=StringIO()))
    write_scoreboard(tmp_path, board, METRICS, {})
    shown = files(tmp_path)[2].read_text(encoding="utf-8")
    assert re.findall(r"<h2>(classical: v\d)</h2>", shown) == [f"classical: v{i}" for i in (2, 3, 1)]
