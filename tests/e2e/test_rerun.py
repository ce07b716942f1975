"""Records of what made results, and ``zoo rerun``: the same again, and what is refused."""

import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from commands import zoo
from tensorflow.python.framework.config import disable_op_determinism

from zoo.data import phantom
from zoo.data.write import write_image, write_labels
from zoo.train.runs import checksum

UM = (1.75, 0.8, 0.8)
TINY = "--set base=2 --set poolings=1 --set patch=8,16,16 --set voxel_um=3.2 --recipe short.toml"


def refused(folder: Path, command: str) -> str:
    """Run a command that ends with an error, the last line, and give that."""
    result = zoo(folder, command, code=2)
    assert result.stdout == ""
    *before, line = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert not any(one.startswith("Error: ") for one in before)
    return line


def change(path: Path, **changed: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with two pairs of image and labels, a run of a network, and results."""
    folder = tmp_path_factory.mktemp("home")
    for seed, name in enumerate("ab"):
        made = phantom.embryo(seed, nuclei=3, shape=(12, 40, 40), debris=0)
        write_image(folder / "data" / "images" / f"{name}.tif", made.image, UM)
        write_labels(folder / "data" / "labels" / f"{name}.tif", made.labels, UM)
    (folder / "also").mkdir()
    shutil.copy(folder / "data" / "labels" / "a.tif", folder / "also" / "a.tif")
    (folder / "short.toml").write_text("epochs = 2")
    zoo(folder, "predict classical data/images --out found")
    return folder


@pytest.fixture(scope="module")
def exact():
    """Take back afterwards what --deterministic sets for the rest of a process."""
    yield
    disable_op_determinism()


@pytest.fixture(scope="module")
def trained(home, exact) -> Path:
    keras.backend.clear_session()
    zoo(home, f"train qcanet_nsn --data data --validate b --out run --deterministic --seed 3 {TINY}")
    return home / "run"


def test_predict_tells_what_made_its_results(home):
    told = json.loads((home / "found" / "provenance.json").read_text())
    assert told["command"] == "predict"
    assert told["arguments"] == ["classical", "data/images", "--out", "found"]
    assert Path(told["folder"]) == home
    assert told["inputs"][0] == {
        "path": "data/images/a.tif",
        "bytes": (home / "data" / "images" / "a.tif").stat().st_size,
        "sha256": checksum(home / "data" / "images" / "a.tif"),
    }
    names = ["a.tif", "a_criteria.csv", "b.tif", "b_criteria.csv", "report.html"]
    assert [(one["path"], one["sha256"]) for one in told["outputs"]] == [
        (name, checksum(home / "found" / name)) for name in names
    ]
    assert told["versions"]["numpy"] == np.__version__
    assert told["begun"] <= told["ended"]
    assert told["weights"] == {}


RUNS = {
    "predict": ("predict classical --out x -- data/images/a.tif", "x/provenance.json", {"a.tif"}),
    "eval of files": (
        "eval --pred found --truth data/labels --json s.json --csv s.csv",
        "s.json.provenance.json",
        {"s.json", "s.csv"},
    ),
    "eval": (
        "eval classical --data data --out y --json y/s/e.json",
        "y/provenance.json",
        {"labels/a.tif", "labels/b.tif", "s/e.json"},
    ),
    "fuse": (
        "fuse data/labels/a.tif found/a.tif also/a.tif --out f.tif",
        "f.tif.provenance.json",
        {"f.tif", "f_agreement.csv", "f_uncertainty.tif"},
    ),
    "measure": ("measure data/labels/a.tif --out m.csv", "m.csv.provenance.json", {"m.csv"}),
    "sample": (
        "sample embryo --nuclei 2 --out s",
        "s/embryo00.tif.provenance.json",
        {"Images/embryo00.tif", "GroundTruth_NSN/embryo00.tif"},
    ),
    "tissue": (
        "sample tissue --shape 8 16 16 --out s",
        "s/tissue00.ome.zarr.provenance.json",
        {"tissue00.ome.zarr"},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_command_run_again_gives_the_same(name, home, tmp_path):
    command, record, outputs = RUNS[name]
    zoo(home, command)
    again = zoo(tmp_path, f"rerun {home / record} --out again")  # from another folder
    told = dict(line.split(": ", 1) for line in again.stdout.splitlines() if ": " in line)  # eval has a table
    assert outputs <= {path for path, said in told.items() if said.startswith("identical")}
    assert "differs" not in told.values()
    for path in outputs:
        assert (tmp_path / "again" / path).exists()
    refusal = zoo(home, command, code=2).stderr
    assert "--overwrite" in refusal


def test_a_table_may_have_any_name_and_a_command_words_with_spaces(home, tmp_path):
    zoo(home, "measure data/labels/a.tif --out 'my nuclei.json'")
    again = zoo(tmp_path, f"rerun '{home}/my nuclei.json.provenance.json' --out 'once more'")
    assert again.stdout == "my nuclei.json: identical\n"
    out = tmp_path / "once more" / "my nuclei.json"
    line = f"zoo measure data/labels/a.tif --out '{out}'"
    assert line in again.stderr.splitlines()


def test_results_among_the_data_are_not_data(home, tmp_path):
    shutil.copytree(home / "data", tmp_path / "in" / "data")
    (tmp_path / "elsewhere").mkdir()
    truth = "--truth data/labels"
    commands = {
        "out/provenance.json": "eval classical --data data --out data/out",
        "labels/s.json.provenance.json": f"eval --pred data/labels {truth} --json data/labels/s.json",
    }
    for record, command in commands.items():
        zoo(tmp_path / "in", command)
        zoo(tmp_path / "elsewhere", f"rerun ../in/data/{record} --out {record.partition('/')[0]}")
    changed = tmp_path / "in" / "data" / "labels" / "a.tif"
    changed.write_bytes(changed.read_bytes() + b"0")
    line = refused(tmp_path, "rerun in/data/labels/s.json.provenance.json --out new")
    assert "data/labels changed since" in line


def test_an_image_that_cannot_be_read_has_no_outputs_and_the_others_are_compared(home, tmp_path):
    shutil.copytree(home / "data" / "images", tmp_path / "images")
    zoo(tmp_path, "predict classical images --out found")
    (tmp_path / "images" / "b.tif").write_bytes(b"no image")
    zoo(tmp_path, "predict classical images --out found --overwrite", code=2)
    assert (tmp_path / "found" / "b.tif").exists()
    outputs = json.loads((tmp_path / "found" / "provenance.json").read_text())["outputs"]
    assert [one["path"] for one in outputs] == ["a.tif", "a_criteria.csv", "report.html"]
    done = zoo(tmp_path, "rerun found/provenance.json --out again", code=2)
    assert done.stdout.splitlines()[:2] == ["a.tif: identical", "a_criteria.csv: identical"]
    assert f"zoo predict classical images --out {tmp_path / 'again'}" in done.stderr.splitlines()
    assert "b.tif" in done.stderr.splitlines()[-1]


def test_a_folder_in_the_place_of_the_record_is_refused_before_the_work(home, tmp_path):
    (tmp_path / "out" / "provenance.json").mkdir(parents=True)
    line = refused(tmp_path, f"predict classical {home}/data/images --out out --resume")
    assert "provenance.json is a folder" in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["provenance.json"]


def test_the_record_alone_is_not_replaced_unasked(home):
    zoo(home, "measure data/labels/b.tif --out only.csv")
    (home / "only.csv").unlink()
    assert "only.csv.provenance.json exists" in refused(home, "measure data/labels/b.tif --out only.csv")


def test_a_resumed_command_tells_that_the_record_is_missing(home, tmp_path):
    shutil.copytree(home / "found", tmp_path / "found")
    command = f"predict classical {home}/data/images --out found --resume"
    assert zoo(tmp_path, command).stderr == "2 of 2 images were done before\n"
    (tmp_path / "found" / "provenance.json").unlink()  # as where the last one was killed at its end
    assert "provenance.json are missing: --overwrite" in zoo(tmp_path, command).stderr


def test_an_output_that_differs_is_named(home, tmp_path):
    shutil.copytree(home / "found", tmp_path / "found")
    record = tmp_path / "found" / "provenance.json"
    told = json.loads(record.read_text())
    told["outputs"][0]["sha256"] = "0" * 64
    told["outputs"][-1]["sha256"] = "0" * 64
    told["versions"]["numpy"] = "1.0"
    change(record, **told)
    done = zoo(tmp_path, "rerun found/provenance.json --out again", code=1)
    assert done.stdout.splitlines() == [
        "a.tif: differs",
        "a_criteria.csv: identical",
        "b.tif: identical",
        "b_criteria.csv: identical",
        "report.html: differs (a page or picture: not counted)",
    ]
    assert f"warning: numpy was 1.0, and is {np.__version__}" in done.stderr


def test_an_input_that_changed_is_named(home, tmp_path):
    shutil.copytree(home / "data", tmp_path / "data")
    zoo(tmp_path, "measure data/labels/a.tif --image data/images/a.tif --out m.csv")
    image = tmp_path / "data" / "images" / "a.tif"
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    assert "data/images/a.tif changed since" in refused(tmp_path, "rerun m.csv.provenance.json --out new")
    image.unlink()
    assert "data/images/a.tif is not there" in refused(tmp_path, "rerun m.csv.provenance.json --out new")
    os.mkfifo(image)  # which would be waited for
    assert "data/images/a.tif is not there" in refused(tmp_path, "rerun m.csv.provenance.json --out new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"command": "serve"}, "unknown command in the record 'serve'"),
        ({"command": "rerun"}, "unknown command"),
        ({"program": "other"}, "not written by cellzoo"),
        ({"arguments": ["data/images", "--nonsense"]}, "--nonsense"),
        ({"arguments": ["--help"]}, "call for help"),
        ({"arguments": ["classical", "data/images", "--out", "z"], "places": {}}, "where --out went"),
        ({"places": {"--weights": "x"}}, "'places'|where --out went"),
        ({"ended": None}, "not finished"),
        ({"places": {"--out": "i.ome.zarr/labels/n"}}, "inside an OME-Zarr"),
    ],
)
def test_a_record_that_cannot_be_run_is_refused(changed, says, home, tmp_path):
    record = tmp_path / "p.json"
    shutil.copy(home / "found" / "provenance.json", record)
    change(record, **changed)
    line = refused(tmp_path, "rerun p.json --out new")
    assert any(word in line for word in says.split("|")), line
    assert [path.name for path in tmp_path.iterdir()] == ["p.json"]


def test_what_is_there_is_not_replaced(home, tmp_path):
    (tmp_path / "new").mkdir()
    assert "exists" in refused(tmp_path, f"rerun {home / 'found' / 'provenance.json'} --out new")
    line = refused(tmp_path, f"rerun {home / 'found' / 'provenance.json'} --out new.ome.zarr")
    assert "new.ome.zarr" in line
    assert "a folder to make" in line


def test_a_training_run_again_gives_the_same_weights_bit_for_bit(home, trained):
    told = json.loads((trained / "provenance.json").read_text())
    assert told["deterministic"]
    assert told["seed"] == 3
    assert [Path(one["path"]).name for one in told["inputs"]] == ["data", "short.toml"]
    keras.backend.clear_session()  # a checkpoint holds names that are counted through a process
    done = zoo(home, "rerun run/provenance.json --out run2")
    said = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert {"best.weights.h5", "last-0002.weights.h5", "threshold.json"} <= said.keys()
    assert said["best.weights.h5"] == said["last-0002.weights.h5"] == "identical"
    assert said["history.csv"].startswith("identical")
    assert checksum(home / "run2" / "best.weights.h5") == checksum(trained / "best.weights.h5")


def test_a_recipe_that_changed_is_named(home, trained):
    recipe = home / "short.toml"
    recipe.write_text("epochs = 3")
    assert "short.toml changed since: 10 bytes then" in refused(home, "rerun run/provenance.json --out run3")
    recipe.write_text("epochs = 2")


def test_a_training_that_is_gone_on_with_keeps_its_beginning(home, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    record = tmp_path / "run" / "provenance.json"
    before = json.loads(record.read_text())
    zoo(tmp_path, "train qcanet_nsn --out run --resume")
    after = json.loads(record.read_text())
    assert len(after["resumed"]) == 1
    assert after["arguments"] == before["arguments"]
    assert after["outputs"][0] == before["outputs"][0]
    record.unlink()
    zoo(tmp_path, "train qcanet_nsn --out run --resume")
    assert "how the training began" in refused(tmp_path, "rerun run/provenance.json --out new")


def test_weights_that_changed_are_named_and_the_same_ones_give_the_same(home, trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(home / "data", tmp_path / "data")
    command = "predict qcanet_nsn data/images/a.tif --weights run --deterministic --out"
    zoo(tmp_path, f"{command} p")
    told = json.loads((tmp_path / "p" / "provenance.json").read_text())
    wanted = {"path": "run", "sha256": checksum(trained / "best.weights.h5")}
    assert told["weights"] == {"qcanet_nsn": wanted}
    zoo(tmp_path, f"{command} q")
    for name in ("a.tif", "a_criteria.csv"):
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "q" / name).read_bytes()
    shutil.copy(trained / "last-0002.weights.h5", tmp_path / "run" / "best.weights.h5")
    line = refused(tmp_path, "rerun p/provenance.json --out new")
    assert "the weights of qcanet_nsn changed since" in line


def test_blocks_of_an_unfinished_run_are_not_called_deterministic_afterwards(
    home, tmp_path, exact, monkeypatch
):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.cli.blocks.segment_blocks", stopped)
    command = f"predict qcanet {home}/data/images/a.tif --out n.ome.zarr --block 16 32 32"
    zoo(tmp_path, command, code=130)
    assert "deterministic None there, True now" in refused(tmp_path, f"{command} --deterministic")


def test_deterministic_reaches_networks_of_this_process_only(home):
    assert "leave --server out" in refused(
        home, "predict qcanet data/images/a.tif --server h:1 --deterministic --out n"
    )
    assert "leave --dask out" in refused(
        home, "predict qcanet data/images/a.tif --dask local:1 --deterministic --out n.ome.zarr"
    )
