"""``zoo scoreboard`` as a user types it: two folds of tiny networks that learnt nothing; what is refused."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from commands import zoo
from small_runs import make_run

from zoo.data import phantom
from zoo.data.io import read_image
from zoo.data.write import write_image, write_labels
from zoo.evaluate.metrics import score
from zoo.fusion import classical

SHAPE = (12, 40, 40)
NAMES = ("a_t1", "a_t2", "b_t1", "c_t1")
TRUTHS = {name: phantom.embryo(i, nuclei=3, shape=SHAPE, debris=0) for i, name in enumerate(NAMES)}
TRAINED = {  # network, fold: what it was trained on and validated by
    ("qcanet_nsn", 1): (["a_t1", "a_t2"], ["c_t1"]),
    ("qcanet_nsn", 2): (["b_t1"], ["c_t1"]),
    ("qcanet_ndn", 1): (["b_t1"], []),
    ("qcanet_ndn", 2): (["a_t1", "a_t2"], []),
}
WEIGHTS = " ".join(f"--weights {network}={network}{fold}" for network, fold in TRAINED)
COMMAND = f"scoreboard --data data --method qcanet,classical {WEIGHTS}"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a data set of three groups, and two runs of each network."""
    folder = tmp_path_factory.mktemp("home")
    for name, made in TRUTHS.items():
        write_image(folder / "data" / "images" / f"{name}.tif", made.image, made.spacing)
        write_labels(folder / "data" / "labels" / f"{name}.tif", made.labels, made.spacing)
    for (network, fold), (train, validation) in TRAINED.items():
        if fold == 1:
            settings = make_run(folder / f"{network}1", network, poolings=1).settings
        else:
            shutil.copytree(folder / f"{network}1", folder / f"{network}{fold}")
        told = json.dumps({**settings, "train": train, "validation": validation})
        (folder / f"{network}{fold}" / "run.json").write_text(told)
    return folder


@pytest.fixture(scope="module")
def told(home) -> Result:
    return zoo(home, f"{COMMAND} --out board")


def rows(home: Path) -> list[dict[str, str]]:
    with (home / "board" / "scoreboard.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_volume_is_segmented_by_the_fold_that_did_not_know_it(home, told):
    a, b = (
        "qcanet_nsn: qcanet_nsn2; qcanet_ndn: qcanet_ndn1",
        "qcanet_nsn: qcanet_nsn1; qcanet_ndn: qcanet_ndn2",
    )
    assert [(row["method"], row["name"], row["runs"]) for row in rows(home)] == [
        ("qcanet", "a_t1", a),
        ("qcanet", "a_t2", a),
        ("qcanet", "b_t1", b),
        ("classical", "a_t1", ""),
        ("classical", "a_t2", ""),
        ("classical", "b_t1", ""),
    ]
    assert "1 of 4 volumes (c) are left out: every run of qcanet_nsn was" in told.stderr
    assert all(float(row["seconds"]) > 0 and int(row["memory_bytes"]) >= 0 for row in rows(home))


def test_scores_are_those_of_the_method(home, told):
    image = read_image(home / "data" / "images" / "b_t1.tif")
    labels = classical.segment(image.frames[0], image.spacing)
    expected = score(TRUTHS["b_t1"].labels, labels, ["iou", "seg", "mucov", "f1@0.5"], spacing=image.spacing)
    found = rows(home)[-1]
    assert {name: float(found[name]) for name in expected} == expected


def test_tables_are_printed_and_written(home, told):
    page = (home / "board" / "scoreboard.md").read_text(encoding="utf-8")
    assert told.stdout.strip() in page
    header = told.stdout.splitlines()[0]
    assert header == "| method | volumes | IoU | SEG | MUCov | f1@0.5 | seconds | peak MB | parameters |"
    assert [line.split(" | ")[0] for line in told.stdout.splitlines()[2:]] == [
        "| qcanet",
        "| classical",
        "| *QCANet, as published (quoted)*",
        "| *QCANet, reproduced (quoted)*",
    ]


def test_page_is_one_file_with_the_worst_volumes(home, told):
    page = (home / "board" / "scoreboard.html").read_text(encoding="utf-8")
    assert "://" not in page
    for name in ("a_t1", "a_t2", "b_t1"):
        for method in ("qcanet", "classical"):
            assert f"<h2>{method}: {name}</h2>" in page
    assert "c_t1" not in page
    assert "NSN (nucleus probability)" in page
    assert sorted(path.name for path in (home / "board").iterdir()) == [
        "scoreboard.csv",
        "scoreboard.html",
        "scoreboard.md",
    ]


def test_results_are_not_replaced_unasked(home, told):
    before = (home / "board" / "scoreboard.csv").read_bytes()
    refused = zoo(home, f"{COMMAND} --out board", code=2).stderr
    assert refused.startswith("Error: board/scoreboard.md and 2 more exist")
    assert (home / "board" / "scoreboard.csv").read_bytes() == before
    small = "scoreboard --data data --method classical --embryos c --metric seg --out board2"
    zoo(home, small)
    zoo(home, f"{small} --overwrite")


@pytest.mark.parametrize(
    "command, words",
    [
        (f"{COMMAND} --out data/images/a_t1.tif", "cannot be a folder, as data/images/a_t1.tif is a file"),
        (f"{COMMAND} --embryos c --out new", "no volume is left of 1, as runs of qcanet_nsn knew them"),
        (f"{COMMAND} --embryos d --out new", "no embryo or group d in the data set; it has a, b, c"),
        (f"{COMMAND} --metric sag --out new", "unknown metric 'sag': did you mean 'seg'"),
        ("scoreboard --data data --method unet3d --out new", "unet3d has no weights for unet3d"),
        ("scoreboard --data none --out new", "data set none is not a folder"),
        ("scoreboard --data data", "Missing option '--out'"),
    ],
)
def test_what_is_refused_before_any_work(home, command, words):
    refused = zoo(home, command, code=2).stderr
    assert words in refused
    assert refused.splitlines()[-1].startswith("Error: ")
    assert not (home / "new").exists()
