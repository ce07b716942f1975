"""An ensemble of detectors as a user trains, runs and scores it, and what is refused."""

import csv
import functools
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import Result
from commands import files, zoo
from refusal import bad, check_refused

from zoo import registry
from zoo.data import phantom
from zoo.data.io import read_labels
from zoo.data.volumes import open_volume
from zoo.data.write import write_image, write_labels
from zoo.evaluate.metrics import score
from zoo.recipe_detector import DetectorRecipe, member

UM = (1.75, 0.8, 0.8)
SHAPE = (6, 64, 64)
RECIPE = """
members = [{backbone = 10}, {backbone = 10}]
width = 0.125
filters = 16
patch = 64
epochs = 2
steps = 20
lr = 1e-2
score = 0.1
"""
LOOSE = "--min-volume 0 --threshold 0.3"  # so that detectors of so few steps leave something
NINE = "members = [" + "{}, " * 9 + "]\n"


def make_volumes() -> dict[str, phantom.Phantom]:
    return {name: phantom.embryo(i, nuclei=5, shape=SHAPE, debris=0) for i, name in enumerate("abc")}


def make_slices(folder: Path, empty: dict[str, tuple[int, ...]]) -> None:
    """Write the volumes a and b as EMR-CNN's folders of slices, some of them without any nucleus."""
    for name, zs in empty.items():
        made = make_volumes()[name]
        for z, (plane, labels) in enumerate(zip(made.image, made.labels, strict=True)):
            keep = z not in zs
            for part, pixels in (("syn", plane), ("gt", labels.astype(np.uint16))):
                path = folder / "train" / part / f"{name}_z{z:02d}.tif"
                path.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(path, pixels * keep)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with data and a recipe."""
    folder = tmp_path_factory.mktemp("home")
    for name, made in make_volumes().items():
        write_image(folder / "data" / "images" / f"{name}.tif", made.image, UM)
        write_labels(folder / "data" / "labels" / f"{name}.tif", made.labels, UM)
        write_image(folder / "barren" / "images" / f"{name}.tif", made.image, UM)
        write_labels(folder / "barren" / "labels" / f"{name}.tif", np.zeros_like(made.labels), UM)
    make_slices(
        folder / "slices", {"a": (0, 1, 2, 5), "b": (0, 4, 5)}
    )  # all others hold a nucleus that is no sliver
    make_slices(folder / "no_nucleus", {"a": (0, 1, 2, 3, 4, 5)})
    middle = make_volumes()["c"].image[3]
    tifffile.imwrite(folder / "flat.tif", middle)
    (folder / "tiny.toml").write_text(RECIPE)
    (folder / "nine.toml").write_text(NINE)
    (folder / "odd.toml").write_text("members = [{backbone = 10}, {backbon = 10}]")
    return folder


@pytest.fixture(scope="module")
def traced_once():
    """Have all commands of this file train with one trainer: tracing another takes most of a minute."""
    from zoo.train import detector

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detector, "Trainer", functools.cache(detector.Trainer))
        yield


@pytest.fixture(scope="module")
def trained(home, traced_once) -> tuple[Result, Result]:
    """Both members of the ensemble run, the second by a command of its own; half is the run before it."""
    first = zoo(
        home, "train mrcnn_ensemble --recipe tiny.toml --data data --validate c --out run --member 1 --seed 7"
    )
    shutil.copytree(home / "run", home / "half")
    second = zoo(home, "train mrcnn_ensemble --out run --member 2 --resume")
    none = shutil.copytree(home / "half", home / "none")
    (none / "member1" / "best.weights.h5").unlink()
    return first, second


# train

WEIGHTS = ["best.weights.h5", "history.csv", "last-0002.weights.h5", "learning_curve.png"]


def test_a_member_is_trained_alone(home, trained):
    first, _ = trained
    assert "data: pairs, 3 volumes, groups a, b, c" in first.stderr
    assert "2 volumes train, 1 validate (c)" in first.stderr
    assert "member 1 of 2: backbone 10" in first.stderr
    assert "epoch 2/2" in first.stderr
    assert "member 2 of 2" not in first.stderr
    assert "weights and curves are in run" in first.stderr
    told = [f"member1/{name}" for name in [*WEIGHTS, "run.json"]]
    assert files(home / "half") == [*told, "member2/run.json", "provenance.json", "run.json"]


def test_the_other_member_goes_on_from_the_runs_own_settings(home, trained):
    _, second = trained
    assert "member 2 of 2: backbone 10" in second.stderr
    assert "member 1 of 2" not in second.stderr
    told = [f"member{n}/{name}" for n in (1, 2) for name in [*WEIGHTS, "run.json"]]
    assert files(home / "run") == [*told, "provenance.json", "run.json"]
    for name in WEIGHTS:
        before, after = ((home / run / "member1" / name).read_bytes() for run in ("half", "run"))
        assert before == after
    for number in (1, 2):
        with (home / "run" / f"member{number}" / "history.csv").open(newline="") as file:
            history = list(csv.DictReader(file))
        assert [row["epoch"] for row in history] == ["1", "2"]
        assert all(float(row["loss"]) > 0 and 0 <= float(row["val_seg"]) <= 1 for row in history)


@pytest.mark.usefixtures("trained")
def test_each_folder_says_how_its_network_is_made(home):
    whole, one, two = (
        json.loads((home / "run" / name / "run.json").read_text()) for name in ("", "member1", "member2")
    )
    recipe = whole["recipe"]
    assert recipe["members"] == [{"backbone": 10}, {"backbone": 10}]
    assert (whole["train"], whole["validation"]) == (["a", "b"], ["c"])
    assert [settings["seed"] for settings in (whole, one, two)] == [7, 7, 8]
    assert one["recipe"] == two["recipe"] == {**recipe, "members": [], "backbone": 10}


@pytest.mark.usefixtures("trained")
def test_a_finished_ensemble_is_not_trained_again(home):
    before = {name: (home / "run" / name).read_bytes() for name in files(home / "run") if "weights" in name}
    assert "--resume" in zoo(home, "train mrcnn_ensemble --recipe tiny.toml --out run", code=2).stderr
    assert "epoch" not in zoo(home, "train mrcnn_ensemble --out run --resume").stderr
    assert {name: (home / "run" / name).read_bytes() for name in before} == before


@pytest.mark.usefixtures("trained")
def test_slices_of_which_some_are_empty_train(home):
    command = "train mrcnn_ensemble --recipe tiny.toml --data slices --validate b --out flat_run"
    groups = zoo(home, f"{command} --member 1").stderr
    assert "slices: EMR-CNN, 12 volumes" in groups
    assert "epoch 2/2" in groups
    assert (home / "flat_run" / "member1" / "best.weights.h5").is_file()


# predict and eval


@pytest.fixture(scope="module")
def predicted(home, trained) -> Result:
    """What the ensemble makes of a volume and of a slice."""
    return zoo(home, f"predict emrcnn data/images/c.tif flat.tif --out clustered --weights run {LOOSE}")


def test_predict_leaves_labels_and_a_report(home, predicted):
    labels = read_labels(home / "clustered" / "c.tif")
    assert labels.frames.shape == (1, *SHAPE)
    assert labels.spacing == pytest.approx(UM)
    count = len(np.unique(labels.frames)) - 1
    assert count > 0
    assert f"c.tif: {count} nuclei" in predicted.stderr
    assert "without weights" not in predicted.stderr
    page = (home / "clustered" / "report.html").read_text(encoding="utf-8")
    for word in ("member 1", "member 2", "cluster", "weights of mrcnn_ensemble", "c.tif"):
        assert word in page


def test_a_single_slice_is_said_to_be_one(home, predicted):
    assert "flat.tif: one slice only: the result is 2-D" in predicted.stderr
    assert "c.tif: one slice only" not in predicted.stderr
    assert "one slice only" in (home / "clustered" / "report.html").read_text(encoding="utf-8")
    assert tifffile.imread(home / "clustered" / "flat.tif").squeeze().shape == SHAPE[1:]


@pytest.mark.usefixtures("trained")
def test_by_blocks_it_finds_what_it_finds_in_the_whole(home, predicted):
    command = f"predict emrcnn data/images/c.tif --out c.ome.zarr --weights run --block 16 32 32 {LOOSE}"
    assert "6 x 64 x 64 voxels" in zoo(home, f"{command} --plan").stdout
    told = zoo(home, f"{command} --audit 2").stderr
    assert "audit: 2 windows across borders" in told
    whole = read_labels(home / "clustered" / "c.tif").frames[0]
    labels = open_volume(home / "c.ome.zarr").read((slice(0, 6), slice(0, 64), slice(0, 64)))
    assert whole.max() > 1
    # the same, but for detections on the edge of being one
    assert score(whole, labels, ["f1@0.5"], spacing=UM)["f1@0.5"] > 0.6
    with (home / "c_criteria.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == list(range(1, labels.max() + 1))
    assert {row["centre_probability"] for row in rows} == {""}
    assert all(0 < float(row["mean_probability"]) <= 1 for row in rows)
    refused = zoo(home, f"{command} --diameter 9", code=2).stderr
    assert "--diameter is for images that fit into the memory" in refused


def test_a_slice_has_no_least_volume_and_members_alone_are_not_joined_over_z(home):
    command = "predict mrcnn_ensemble data/images/c.tif flat.tif --out apart --weights run --threshold 0.3"
    zoo(home, command)
    labels = read_labels(home / "apart" / "c.tif").frames[0]
    planes = [set(np.unique(plane)) - {0} for plane in labels]
    assert sum(map(len, planes)) == len(set.union(*planes)) > 0
    # 400 um3 are more than a nucleus of a slice has: the default takes none away
    zoo(home, "predict emrcnn flat.tif --out slice --weights run --threshold 0.3")
    whole, apart = (read_labels(home / out / "flat.tif", flat=True).frames for out in ("slice", "apart"))
    assert len(np.unique(whole)) == len(np.unique(apart)) > 1


@pytest.mark.usefixtures("trained")
def test_a_member_whose_folder_is_gone_is_named(home):
    shutil.copytree(home / "run", home / "short")
    shutil.rmtree(home / "short" / "member1")
    told = zoo(home, f"predict emrcnn flat.tif --out without --weights short {LOOSE}").stderr
    assert "flat.tif: member 1 of 2 without weights: the others vote" in told


@pytest.mark.usefixtures("trained")
def test_members_without_weights_are_named_and_the_others_vote_on_blobs(home):
    command = "predict emrcnn data/images/c.tif --out blobs --weights half --slice-fusion blob --radius-um 4"
    told = zoo(home, f"{command} {LOOSE}").stderr
    assert "c.tif: member 2 of 2 without weights: the others vote" in told
    labels = read_labels(home / "blobs" / "c.tif").frames
    assert labels.shape == (1, *SHAPE)
    assert labels.any()
    page = (home / "blobs" / "report.html").read_text(encoding="utf-8")
    assert "member 2 of 2 without weights" in page
    assert "blob" in page


@pytest.mark.usefixtures("predicted")
def test_eval_scores_what_predict_gives(home):
    command = "eval emrcnn --data data --embryos c --weights run --metric iou,seg,mucov --json e.json"
    shown = zoo(home, f"{command} --out scored {LOOSE}").stdout
    assert files(home / "scored") == ["labels/c.tif", "provenance.json", "report.html"]
    labels = read_labels(home / "scored" / "labels" / "c.tif").frames[0]
    np.testing.assert_array_equal(labels, read_labels(home / "clustered" / "c.tif").frames[0])
    expected = score(make_volumes()["c"].labels, labels, ("iou", "seg", "mucov"), spacing=UM)
    scored = json.loads((home / "e.json").read_text(encoding="utf-8"))
    assert scored["volumes"][0]["values"] == pytest.approx(expected)
    assert scored["meta"]["weights of mrcnn_ensemble"] == "run"
    assert set(scored["compared"]) == {"classical"}
    assert f"| emrcnn | 1 | {expected['iou']:.3f} |" in shown


# refused


@pytest.mark.usefixtures("trained")
def test_weights_of_another_backbone(home, tmp_path):
    from zoo.models import mrcnn
    from zoo.recipe import load
    from zoo.train import store
    from zoo.train.detector import MODEL

    shutil.copytree(home / "run", home / "mixed")
    recipe = load(registry.get("mrcnn_ensemble").recipes, str(home / "tiny.toml"))
    assert isinstance(recipe, DetectorRecipe)
    deeper = member(DetectorRecipe(**{**recipe.to_dict(), "members": ({"backbone": 18},)}), 0)
    best = home / "mixed" / "member1" / "best.weights.h5"
    store.save(best, {MODEL: mrcnn.build(deeper).get_weights()})
    command = "predict emrcnn @/data/images/c.tif --out out --weights @/mixed"
    told = ("@/mixed/member1/best.weights.h5 are of another network", "backbone")
    check_refused(command, told, home, tmp_path, news=True)


CASES = [
    bad("radius below 0", "predict emrcnn @/flat.tif --radius-um -1 --out out", "--radius-um", "-1"),
    bad("radius of 0", "eval emrcnn --radius-um 0 --out out", "--radius-um", "0"),
    bad("unknown fusion", "predict emrcnn @/flat.tif --slice-fusion blop --out out", "'blop'", "'blob'"),
    bad(
        "unmarked of an ensemble",
        "predict emrcnn @/flat.tif --unmarked drop --weights @/run --out out",
        "--unmarked means nothing to emrcnn",
    ),
    bad(
        "slice fusion of qcanet",
        "predict qcanet @/data/images --slice-fusion blob --weights nsn=@/run --weights ndn=@/run --out out",
        "--slice-fusion means nothing to qcanet",
    ),
    bad(
        "radius of qcanet",
        "eval qcanet --data @/data --radius-um 6 --weights nsn=@/run --weights ndn=@/run --out out",
        "--radius-um means nothing to qcanet",
    ),
    bad("slice for qcanet", "predict classical @/flat.tif --out out", "@/flat.tif", "3-D"),
    bad("no ensemble", "predict emrcnn @/flat.tif --weights @/nowhere --out out", "zoo train mrcnn_ensemble"),
    bad("no weights", "predict emrcnn @/data/images/c.tif --weights @/none --out out", "no member of @/none"),
    bad("no weights to score", "eval emrcnn --data @/data --weights @/none --out out", "no member of @/none"),
    bad(
        "an ensemble for qcanet", "predict qcanet_nsn @/data/images --weights @/run --out out", "@/run holds"
    ),
    bad("no network of its own", "train emrcnn", "use 'zoo train mrcnn_ensemble'"),
    bad("member 9", "train mrcnn_ensemble --member 9 --out new", "--member 9", "members 1 to 4"),
    bad("member 0", "train mrcnn_ensemble --member 2 --member 0 --out new", "--member 0", "members 1 to 4"),
    bad("members 99", "train mrcnn_ensemble --members 99 --out new", "--members 99: the recipe lists 8"),
    bad("no members", "train mrcnn_ensemble --members 0 --out new", "--members"),
    bad("members of qcanet", "train qcanet_nsn --members 2 --out new", "qcanet_nsn is no ensemble"),
    bad("member of qcanet", "train qcanet_nsn --member 1 --out new", "qcanet_nsn has no members"),
    bad("init of qcanet", "train qcanet_nsn --init @/flat.tif --out new", "and qcanet_nsn is none: leave it"),
    bad("init of a folder", "train mrcnn_ensemble --init . --out new", "--init .: no checkpoint there"),
    bad(
        "a setting that members set",
        "train mrcnn_ensemble --set backbone=50 --out new",
        "--set backbone would not reach member 1",
    ),
    bad("endless radius", "predict emrcnn @/flat.tif --radius-um inf --weights @/run --out out", "finite"),
    bad("init missing", "train mrcnn_ensemble --init gone --out new", "--init gone: no checkpoint there"),
    bad(
        "resume with members",
        "train mrcnn_ensemble --out @/run --resume --members 2",
        "goes on with the run's own data and settings: leave out --members",
    ),
    bad("resume of no such member", "train mrcnn_ensemble --out @/run --resume --member 3", "1 to 2"),
    bad(
        "unknown key of a member",
        "train mrcnn_ensemble --recipe @/odd.toml --data @/data --out new",
        "recipe key 'backbon'",
        "mean 'backbone'",
    ),
    bad("unknown backbone", "train mrcnn_ensemble --set backbone=19 --out new", "backbone=19", "10, 18, 26"),
    bad("patch not divisible", "train mrcnn_ensemble --set patch=100 --out new", "patch=100", "of 32"),
    bad("no label in volumes", "train mrcnn_ensemble --data @/barren --out new", "no training labels: "),
    bad("no label in slices", "train mrcnn_ensemble --data @/no_nucleus --out new", "no training labels: "),
]


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("case", CASES)
def test_refused(case, home, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.train.device.gpus", list)
    check_refused(case.command, case.says, home, tmp_path, news=True)


def test_a_member_beyond_the_default_four_can_be_resumed(home, monkeypatch):
    asked = []
    # the command hides its module
    module = importlib.import_module("zoo.cli.train")
    monkeypatch.setattr(module, "fit_members", lambda run, numbers, *rest: asked.append(numbers))
    monkeypatch.setattr("zoo.train.device.gpus", list)
    zoo(home, "train mrcnn_ensemble --recipe nine.toml --members 9 --data data --out nine --member 1")
    zoo(home, "train mrcnn_ensemble --out nine --resume --member 9")
    assert asked == [(1,), (9,)]
