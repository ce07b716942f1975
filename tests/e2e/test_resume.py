"""``zoo predict --resume``: what is there was made as the rest will be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import zoo

from zoo.cli.resume import check_same
from zoo.data import phantom
from zoo.data.write import write_image
from zoo.errors import InputError
from zoo.provenance import Record

UM = (1.75, 0.8, 0.8)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """Two images, one of them segmented."""
    folder = tmp_path_factory.mktemp("done")
    for seed, name in enumerate("ab"):
        made = phantom.embryo(seed, nuclei=3, shape=(12, 40, 40), debris=0)
        write_image(folder / f"{name}.tif", made.image, UM)
    zoo(folder, "predict classical a.tif --out out --channel 0 --spacing 1.75 0.8 0.8")
    return folder


@pytest.fixture
def home(done, tmp_path) -> Path:
    shutil.copytree(done, tmp_path / "home")
    return tmp_path / "home"


SAME = "--out out --channel 0 --spacing 1.75 0.8 0.8 --resume"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_more_images_by_the_same_options_join_what_is_there(home):
    before = content(home / "out")
    said = zoo(home, f"predict classical a.tif b.tif {SAME}").stderr
    assert said.startswith("1 of 2 images were done before")
    after = content(home / "out")
    assert after["a.tif"] == before["a.tif"]
    told = json.loads(after["provenance.json"])
    outputs = ["report.html", "a.tif", "a_criteria.csv", "b.tif", "b_criteria.csv", "report_2.html"]
    assert [one["path"] for one in told["outputs"]] == outputs


def test_paths_may_be_others(home):
    command = f"predict classical {home}/a.tif b.tif {SAME}"
    assert "1 of 2 images" in zoo(home, command.replace("--out out", f"--out {home}/out")).stderr


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("classical a.tif b.tif --out out --resume --spacing 1.75 0.8 0.8", "--channel 0, not"),
        ("classical a.tif b.tif --channel 0 --out out --resume", "--spacing 1.75 0.8 0.8, not left out"),
        (f"classical a.tif b.tif {SAME} --spacing 1 1 1", "--spacing 1.75 0.8 0.8, not 1.0 1.0 1.0"),
        (f"classical a.tif {SAME} --correct-bleaching", "--correct-bleaching left out, not given"),
        (f"qcanet a.tif b.tif {SAME}", "model classical, not qcanet"),
    ],
)
def test_other_options_are_refused_also_where_all_is_done(command, says, home):
    before = content(home / "out")
    error = zoo(home, f"predict {command}", code=2).stderr.splitlines()[-1]
    assert error.startswith("Error: the results in out were made with ")
    assert says in error
    assert "--overwrite instead of --resume" in error
    assert content(home / "out") == before


@pytest.mark.parametrize("place", ["", "@/"])
def test_an_image_that_changed_since_is_refused(place, home):
    shutil.copy(home / "b.tif", home / "a.tif")
    before = content(home / "out")
    command = f"predict classical {place.replace('@', str(home))}a.tif b.tif {SAME}"
    assert "a.tif changed since it was done" in zoo(home, command, code=2).stderr
    assert content(home / "out") == before


def test_an_image_that_was_mended_since_is_done(home):
    whole = (home / "b.tif").read_bytes()
    (home / "b.tif").write_bytes(b"no image")
    zoo(home, f"predict classical a.tif b.tif {SAME}", code=2)
    (home / "b.tif").write_bytes(whole)
    zoo(home, f"predict classical a.tif b.tif {SAME}")
    assert (home / "out" / "b.tif").is_file()


@pytest.mark.parametrize("change", [{"arguments": ["--help"]}, {"arguments": ["classical", "--none-such"]}])
def test_a_record_with_arguments_that_are_none_is_refused(change, home):
    record = home / "out" / "provenance.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    result = zoo(home, f"predict classical a.tif b.tif {SAME}", code=2)
    assert "made with" in result.stderr
    assert result.stdout == ""


def test_results_of_another_command_are_refused(home):
    record = home / "out" / "provenance.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "command": "eval"}))
    assert "is of 'zoo eval'" in zoo(home, f"predict classical a.tif b.tif {SAME}", code=2).stderr


def test_other_weights_are_refused_by_their_content_not_their_place():
    old, new = (
        Record(
            command="predict",
            arguments=[],
            folder="/",
            places={},
            seed=None,
            deterministic=False,
            weights={"net": {"path": place, "sha256": "1"}},
            inputs=[],
        )
        for place in ("runs/net", "elsewhere")
    )
    check_same(old, new, [])
    new.weights["net"]["sha256"] = "2"
    with pytest.raises(InputError, match=r"weights of net are not those .* \(runs/net\)"):
        check_same(old, new, [])


def test_the_report_and_the_record_of_what_was_done_before_stay(home):
    first = (home / "out" / "report.html").read_bytes()
    said = zoo(home, f"predict classical b.tif {SAME}").stderr
    assert "report_2.html are in out" in said
    assert (home / "out" / "report.html").read_bytes() == first
    told = json.loads((home / "out" / "provenance.json").read_text())
    assert [one["path"] for one in told["inputs"]] == ["a.tif", "b.tif"]
    outputs = ["a.tif", "a_criteria.csv", "report.html", "b.tif", "b_criteria.csv", "report_2.html"]
    assert [one["path"] for one in told["outputs"]] == outputs


def test_overwriting_leaves_no_tables_of_labels_that_are_gone(home):
    series = np.stack([phantom.embryo(seed, nuclei=2, shape=(8, 32, 32), debris=0).image for seed in (0, 0)])
    write_image(home / "s.tif", series, UM)
    zoo(home, "predict classical s.tif --out new --track")
    (home / "new" / "s_notes.txt").write_text("mine")
    write_image(home / "s.tif", series[0], UM)
    zoo(home, "predict classical s.tif --out new --overwrite")
    left = {"provenance.json", "report.html", "s.tif", "s_criteria.csv", "s_notes.txt"}
    assert {path.name for path in (home / "new").iterdir()} == left
