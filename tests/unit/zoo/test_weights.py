import json
import shutil
from pathlib import Path

import pytest

from zoo import __version__, registry
from zoo.defaults import PRETRAINED
from zoo.errors import InputError
from zoo.train.members import seal, trained
from zoo.train.runs import checksum, open_run
from zoo.weights import choose_threshold, describe_weights, find_runs, open_networks

QCANET, NSN, UNET3D, CLASSICAL = (
    registry.get(name) for name in ("qcanet", "qcanet_nsn", "unet3d", "classical")
)


def make(*folders):
    for folder in folders:
        Path(folder).mkdir(parents=True)
        (Path(folder) / "run.json").write_text("{}")


def test_default_folders(here):
    make("runs/qcanet_nsn", "runs/qcanet_ndn")
    assert find_runs(NSN, []) == {"qcanet_nsn": Path("runs/qcanet_nsn")}
    expected = {"qcanet_nsn": Path("runs/qcanet_nsn"), "qcanet_ndn": Path("runs/qcanet_ndn")}
    assert find_runs(QCANET, []) == expected


def test_what_comes_with_the_package_is_taken_where_there_is_no_run(here):
    own = {name: PRETRAINED / name for name in ("qcanet_nsn", "qcanet_ndn")}
    assert find_runs(QCANET, []) == own
    make("runs/qcanet_ndn")
    assert find_runs(QCANET, []) == own | {"qcanet_ndn": Path("runs/qcanet_ndn")}
    told = describe_weights(QCANET, [])
    assert told["weights of qcanet_nsn"] == f"came with cellzoo {__version__}"
    assert told["weights of qcanet_ndn"] == "runs/qcanet_ndn"


@pytest.mark.parametrize("entry", [e for e in registry.entries() if e.pretrained], ids=lambda e: e.name)
def test_the_packages_weights_are_those_of_the_registry(entry):
    run = open_run(PRETRAINED / entry.name)
    assert run.entry is entry
    ensemble = entry.task == "instances_2d"
    assert (
        run.settings["sha256"] == entry.pretrained == (seal(trained(run)) if ensemble else checksum(run.best))
    )
    for part in [run, *(trained(run).values() if ensemble else ())]:
        assert not any(word in part.settings["data"] for word in ("home", "work"))
    if ensemble:
        for member in trained(run).values():
            member.check_best()
    elif entry.subject.objects == "nuclei":
        assert run.settings["objects"]["diameter_um"][1] > 0


def test_the_packages_weights_are_small():
    def size(name):
        return sum(path.stat().st_size for path in (PRETRAINED / name).rglob("*") if path.is_file())

    assert size("qcanet_nsn") + size("qcanet_ndn") < 8e6
    assert size(".") < 12e6


def test_weights_of_another_version_in_the_package_are_refused(here, monkeypatch):
    monkeypatch.setattr("zoo.weights.PRETRAINED", here)
    monkeypatch.setattr("zoo.train.runs.PRETRAINED", here)
    shutil.copytree(PRETRAINED / "qcanet_nsn", here / "qcanet_nsn")
    open_networks(NSN, [])
    settings = json.loads((here / "qcanet_nsn" / "run.json").read_text())
    (here / "qcanet_nsn" / "run.json").write_text(json.dumps(settings | {"sha256": "0" * 64}))
    with pytest.raises(InputError, match="not hold the weights that came with this version: install cellzoo"):
        open_networks(NSN, [])


def test_what_is_given_goes_before_the_default(here):
    make("runs/qcanet_ndn", "mine", "runs/lr=0.1")
    assert find_runs(QCANET, ["nsn=mine"]) == {
        "qcanet_nsn": Path("mine"),
        "qcanet_ndn": Path("runs/qcanet_ndn"),
    }
    assert find_runs(QCANET, ["nsn=runs/lr=0.1", "ndn=mine", "ndn=runs/qcanet_ndn"]) == {
        "qcanet_nsn": Path("runs/lr=0.1"),
        "qcanet_ndn": Path("runs/qcanet_ndn"),
    }


@pytest.mark.parametrize("word", ["mine", "qcanet_nsn=mine"])
def test_a_single_network_needs_no_part(here, word):
    make("mine")
    assert find_runs(NSN, [word]) == {"qcanet_nsn": Path("mine")}
    make("qcanet_nsn")
    assert find_runs(NSN, ["qcanet_nsn"]) == {"qcanet_nsn": Path("qcanet_nsn")}


def test_a_folder_of_a_single_network_may_have_an_equals_sign(here):
    make("runs/lr=0.1")
    for word in ("runs/lr=0.1", "qcanet_nsn=runs/lr=0.1"):
        assert find_runs(NSN, [word]) == {"qcanet_nsn": Path("runs/lr=0.1")}


@pytest.mark.parametrize(
    "entry, given, words",
    [
        (UNET3D, [], r"no weights for unet3d: .*'zoo train unet3d' or give --weights unet3d=RUN"),
        (QCANET, ["nsn=none"], r"no weights for qcanet_nsn: .* --weights nsn=RUN"),
        (QCANET, ["nsn"], "--weights nsn does not say"),
        (QCANET, ["mine"], "--weights mine does not say which .*--weights nsn=RUN and --weights ndn=RUN"),
        (QCANET, ["nsm=mine", "ndn=mine"], "unknown part of qcanet 'nsm': did you mean 'nsn'"),
        (NSN, ["none"], "no weights for qcanet_nsn: .*none"),
        (CLASSICAL, ["mine"], "classical needs no weights: leave out --weights mine"),
    ],
)
def test_what_cannot_be_found(here, entry, given, words):
    make("mine")
    with pytest.raises(InputError, match=words):
        find_runs(entry, given)


def test_no_network_no_weights(here):
    assert find_runs(CLASSICAL, []) == {}
    assert open_networks(CLASSICAL, []) == {}
    assert describe_weights(CLASSICAL, []) == {}


def test_described_for_reports(here):
    make("a", "b")
    assert describe_weights(QCANET, ["nsn=a", "ndn=b"]) == {
        "weights of qcanet_nsn": "a",
        "weights of qcanet_ndn": "b",
    }


def test_weights_of_another_network(here):
    make("run")
    recipe = NSN.recipes["default"].to_dict()
    (here / "run" / "run.json").write_text(json.dumps({"entry": "qcanet_ndn", "recipe": recipe}))
    with pytest.raises(InputError, match="run holds weights of qcanet_ndn, not of qcanet_nsn"):
        open_networks(NSN, ["run"])


def test_an_empty_folder_hides_no_weights_of_the_package(here):
    (here / "runs" / "qcanet_nsn").mkdir(parents=True)
    assert find_runs(NSN, []) == {"qcanet_nsn": PRETRAINED / "qcanet_nsn"}


def test_a_folder_that_is_no_run(here):
    (here / "run").mkdir()
    with pytest.raises(InputError, match="run is not a run folder"):
        open_networks(NSN, ["run"])


# choose_threshold


def test_a_number_is_taken_as_it_is():
    assert choose_threshold(CLASSICAL, [], 0.3) == 0.3


def test_auto_is_what_the_run_of_the_mask_found(here):
    for name, threshold in (("qcanet_nsn", 0.61), ("qcanet_ndn", 0.11)):
        recipe = registry.get(name).recipes["default"].to_dict()
        make(f"runs/{name}")
        Path(f"runs/{name}/run.json").write_text(json.dumps({"entry": name, "recipe": recipe}))
        Path(f"runs/{name}/threshold.json").write_text(json.dumps({"threshold": threshold}))
    assert choose_threshold(QCANET, [], "auto") == 0.61
    assert choose_threshold(NSN, [], "auto") == 0.61


def test_auto_needs_a_mask():
    with pytest.raises(InputError, match="--threshold auto means nothing to classical: give a number"):
        choose_threshold(CLASSICAL, [], "auto")
