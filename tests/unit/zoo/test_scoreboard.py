"""The way through the volumes, with networks that are made up."""

import platform
import re
import time
import weakref
from functools import partial
from io import StringIO

import numpy as np
import pytest
from left_runs import METRICS, A, B, C, leave_run
from rich.console import Console

from zoo import scoreboard
from zoo.data.datasets import DataSet, Sample, Volume
from zoo.errors import InputError
from zoo.evaluate.report import Case
from zoo.evaluate.scores import Row
from zoo.scoreboard import Lowest, PeakMemory, compare
from zoo.scoreboard_files import files, write_scoreboard
from zoo.segment import Segmentation

UM = (2.0, 1.0, 1.0)
SHAPE = (6, 16, 16)


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


def test_a_volume_that_one_method_may_not_have_is_left_out_for_all(here, loaded, monkeypatch):
    monkeypatch.setattr("zoo.weights.PRETRAINED", here)
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


def test_the_worst_are_pictured(loaded, tmp_path):
    dataset = make_dataset(["v0", "v1", "v2", "v3"])
    board = compare(dataset, ["classical"], [], METRICS, Console(file=StringIO()))
    write_scoreboard(tmp_path, board, METRICS, {})
    shown = files(tmp_path)[2].read_text(encoding="utf-8")
    assert re.findall(r"<h2>(classical: v\d)</h2>", shown) == [f"classical: v{i}" for i in (2, 3, 1)]


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
