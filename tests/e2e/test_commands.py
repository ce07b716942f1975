"""The commands one after the other, in an empty folder, as a user types them."""

import io
import json
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from commands import SMALL, UM, files, rows, zoo
from rich.console import Console

from zoo import registry
from zoo.cli import main
from zoo.data import phantom
from zoo.data.io import read_image, read_labels
from zoo.data.write import write_image, write_labels
from zoo.data.yeast import yeast_movie
from zoo.evaluate.metrics import METRICS, parse_metrics, score
from zoo.evaluate.scores import Row, table

ROOT = Path(__file__).parents[2]
TINY = "--set base=2 --set poolings=1 --set patch=16,16,16 --set voxel_um=3.2 --set epochs=2"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The user's folder, with a sample of two embryos in it."""
    folder = tmp_path_factory.mktemp("home")
    zoo(folder, "sample embryo --out sample --nuclei 4")
    assert (
        "embryo01.tif with 3 nuclei" in zoo(folder, "sample embryo --out sample --nuclei 3 --seed 1").stderr
    )
    return folder


@pytest.fixture(scope="module")
def classical(home) -> Path:
    """What the classical pipeline makes of the sample."""
    zoo(home, "predict classical sample/Images --out classical")
    return home / "classical"


def test_zoo_alone_shows_its_help():
    told = CliRunner().invoke(main, [], prog_name="zoo").output
    assert told.startswith("Usage: zoo")
    assert "\n  predict " in told


def test_sample_is_a_data_set_with_voxel_size(home):
    folders = ("GroundTruth_NDN", "GroundTruth_NSN", "GroundTruth_QCANet", "Images")
    images = [f"{f}/{e}.tif" for f in folders for e in ("embryo00", "embryo01")]
    records = [f"{e}.tif.provenance.json" for e in ("embryo00", "embryo01")]
    assert files(home / "sample") == [*images, *records]
    image = read_image(home / "sample" / "Images" / "embryo00.tif")
    labels = read_labels(home / "sample" / "GroundTruth_QCANet" / "embryo00.tif")
    assert image.spacing == pytest.approx(UM)
    assert image.frames.shape == labels.frames.shape
    assert len(np.unique(labels.frames)) == 1 + 4


def test_sample_is_not_replaced_unasked(home):
    before = (home / "sample" / "Images" / "embryo00.tif").read_bytes()
    assert "--overwrite" in zoo(home, "sample embryo --out sample --nuclei 4", code=2).stderr
    zoo(home, "sample embryo --out sample --nuclei 4 --overwrite")
    assert (home / "sample" / "Images" / "embryo00.tif").read_bytes() == before  # one seed, one embryo


def test_sample_of_yeast_is_movies_and_masks(tmp_path):
    told = zoo(tmp_path, "sample yeast --out yeast --count 2 --seed 5 --frames 3").stderr
    assert told == "2 movies with masks, from yeast0005.tif on, in yeast\n"
    names = ["yeast0005.tif", "yeast0005_mask.tif", "yeast0006.tif", "yeast0006_mask.tif"]
    assert files(tmp_path / "yeast") == sorted([*names, "yeast0005.tif.provenance.json"])
    for seed in (5, 6):
        made = yeast_movie(seed, frames=3)
        image = read_image(tmp_path / "yeast" / f"yeast{seed:04d}.tif")
        mask = read_labels(tmp_path / "yeast" / f"yeast{seed:04d}_mask.tif")
        assert image.series
        assert mask.series
        assert image.spacing == pytest.approx(made.spacing)
        assert mask.spacing == pytest.approx(made.spacing)
        np.testing.assert_array_equal(image.frames, made.image)
        np.testing.assert_array_equal(mask.frames, made.mask)


def test_sample_of_yeast_looks_for_all_its_files_first(tmp_path):
    (tmp_path / "yeast0001_mask.tif").write_text("mine")
    told = zoo(tmp_path, "sample yeast --out . --count 2 --frames 2", code=2).stderr
    assert told.startswith("Error: yeast0001_mask.tif exists")
    assert files(tmp_path) == ["yeast0001_mask.tif"]
    zoo(tmp_path, "sample yeast --out . --count 2 --frames 2 --overwrite")
    assert len(files(tmp_path)) == 5


def test_predict_leaves_labels_measurements_and_a_report(home, classical):
    assert files(classical) == [
        "embryo00.tif",
        "embryo00_criteria.csv",
        "embryo01.tif",
        "embryo01_criteria.csv",
        "provenance.json",
        "report.html",
    ]
    labels = read_labels(classical / "embryo00.tif")
    image = read_image(home / "sample" / "Images" / "embryo00.tif")
    assert labels.spacing == pytest.approx(UM)
    assert labels.frames.shape == image.frames.shape
    assert labels.frames.dtype == np.uint8
    nuclei = rows(classical / "embryo00_criteria.csv")
    assert [int(row["label"]) for row in nuclei] == [i for i in np.unique(labels.frames) if i]
    first = labels.frames[0] == int(nuclei[0]["label"])
    assert float(nuclei[0]["volume_um3"]) == pytest.approx(first.sum() * np.prod(UM), rel=1e-4)
    assert float(nuclei[0]["mean_intensity"]) == pytest.approx(image.frames[0][first].mean(), rel=1e-4)
    page = (classical / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") >= 6
    assert "://" not in page  # one file, that needs no network
    assert "embryo01.tif" in page


def test_predict_refuses_to_replace_its_results(home, classical):
    before = (classical / "embryo00.tif").stat().st_mtime_ns
    told = zoo(home, "predict classical sample/Images --out classical", code=2).stderr
    assert told.startswith("Error: classical/report.html and 5 more exist")
    assert (classical / "embryo00.tif").stat().st_mtime_ns == before
    zoo(home, "predict classical sample/Images --out classical --overwrite")
    assert (classical / "embryo00.tif").stat().st_mtime_ns > before


def test_one_bad_image_does_not_stop_the_others(home, tmp_path):
    bad = home / "bad.tif"
    bad.write_text("no image")
    images = "sample/Images/embryo00.tif bad.tif sample/Images/embryo01.tif"
    told = zoo(home, f"predict classical {images} --out {tmp_path}/some", code=2).stderr
    bad.unlink()
    assert told.splitlines()[-1].startswith("Error: bad.tif is not a TIFF")
    assert "(2 other images done; --resume leaves them out)" in told
    (failed,) = json.loads((tmp_path / "some" / "provenance.json").read_text())["failed"]
    assert failed.startswith("bad.tif is not a TIFF")
    assert files(tmp_path / "some") == [
        "embryo00.tif",
        "embryo00_criteria.csv",
        "embryo01.tif",
        "embryo01_criteria.csv",
        "provenance.json",
        "report.html",
    ]


def test_names_are_taken_as_they_are(home, tmp_path):
    write_image(tmp_path / "cell[red] 1.tif", phantom.embryo(3, nuclei=2, shape=SMALL).image, UM)
    told = zoo(tmp_path, "predict classical 'cell[red] 1.tif' --out out").stderr
    assert "cell[red] 1.tif: 2 nuclei" in told
    assert "cell[red] 1.tif" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_voxel_size_given_or_default(tmp_path):
    image = phantom.embryo(3, nuclei=2, shape=SMALL).image
    np.save(tmp_path / "image.npy", image)
    told = zoo(tmp_path, "predict classical image.npy --out a").stderr
    assert "image.npy: voxels of 1.75 x 0.8 x 0.8 um (z, y, x), the default" in told
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "the file does not tell its voxel size: 1.75 x 0.8 x 0.8 um was taken" in page
    assert "zoo predict classical image.npy" in page
    told = zoo(tmp_path, "predict classical image.npy --out b --spacing 2 1 1").stderr
    assert "image.npy: voxels of 2 x 1 x 1 um (z, y, x), as given" in told
    assert read_labels(tmp_path / "b" / "image.tif").spacing == pytest.approx((2, 1, 1))


def test_brighter_image_same_labels(home, classical, tmp_path):
    image = read_image(home / "sample" / "Images" / "embryo00.tif")
    write_image(tmp_path / "brighter.tif", (image.frames[0] * 2.5).astype(np.float32), UM)
    zoo(tmp_path, "predict classical brighter.tif --out out")
    before = read_labels(classical / "embryo00.tif").frames[0]
    after = read_labels(tmp_path / "out" / "brighter.tif").frames[0]
    assert before.max() >= 4
    np.testing.assert_array_equal(after, before)


def test_measure(home, classical):
    zoo(home, "measure classical/embryo00.tif --out plain.csv")
    zoo(home, "measure classical/embryo00.tif --image sample/Images/embryo00.tif --out lit.csv")
    assert rows(home / "lit.csv") == rows(classical / "embryo00_criteria.csv")
    plain = rows(home / "plain.csv")
    assert {row["mean_intensity"] for row in plain} == {""}
    assert [row["volume_um3"] for row in plain] == [row["volume_um3"] for row in rows(home / "lit.csv")]


def test_measure_says_what_it_takes_where_no_voxel_size_is_known(tmp_path):
    np.save(tmp_path / "labels.npy", phantom.embryo(3, nuclei=2, shape=SMALL).labels)
    told = zoo(tmp_path, "measure labels.npy --out new/folder/m.csv").stderr
    assert "taking 1 x 1 x 1 um" in told
    assert "2 nuclei in new/folder/m.csv" in told
    for row in rows(tmp_path / "new" / "folder" / "m.csv"):
        assert float(row["volume_um3"]) == float(row["voxels"])


def test_score_of_label_images(home, classical):
    for name in ("embryo00", "embryo01"):
        labels = read_labels(classical / f"{name}.tif").frames[0].copy()
        labels[labels == 1] = 0  # so that a true nucleus is missed, and truth and prediction are no equals
        write_labels(home / "edited" / f"{name}.tif", labels, UM)
    names = ",".join(METRICS)
    command = (
        f"eval --pred edited --truth sample/GroundTruth_QCANet --metric {names} --json s.json --csv s.csv"
    )
    table = zoo(home, command).stdout
    scored = json.loads((home / "s.json").read_text(encoding="utf-8"))
    assert scored["meta"]["truth"] == "sample/GroundTruth_QCANet"
    assert scored["meta"]["definition"] == "standard"
    assert "numpy" in scored["meta"]
    assert [volume["nuclei"] for volume in scored["volumes"]] == [4, 3]
    for volume, line in zip(scored["volumes"], rows(home / "s.csv"), strict=True):
        pred, truth = (
            read_labels(folder / f"{volume['name']}.tif").frames[0]
            for folder in (home / "edited", home / "sample" / "GroundTruth_QCANet")
        )
        expected = score(truth, pred, METRICS, spacing=UM)
        assert expected["seg"] < expected["mucov"]
        assert volume["values"] == pytest.approx(expected)
        assert {metric: float(line[metric]) for metric in METRICS} == pytest.approx(expected)
        shown = next(row for row in table.splitlines() if volume["name"] in row)
        assert [cell.strip() for cell in shown.split("│")[3:-1]] == [f"{v:.3f}" for v in expected.values()]
        shared = (truth > 0) & (pred > 0)
        assert expected["iou"] == pytest.approx(shared.sum() / ((truth > 0) | (pred > 0)).sum())
    assert "--overwrite" in zoo(home, command, code=2).stderr


@pytest.mark.parametrize("width", [80, 100])
def test_scores_in_a_terminal_keep_their_digits(width):
    metrics = METRICS[: (width - 40) // 10]  # folded, a metric takes 10 columns
    console = Console(width=width, file=io.StringIO())
    console.print(table("scores", [Row("Emb04_t001", "Emb04", 12, dict.fromkeys(metrics, 0.123), 1.5)]))
    text = console.file.getvalue()
    assert text.count("0.123") == 4 * len(metrics)  # the volume, its stage, 4 and more, all
    assert "…" not in text


@pytest.fixture(scope="module")
def trained(home) -> dict[str, Result]:
    """The training of both networks, each a second's work, into runs/ of the folder."""
    return {
        name: zoo(home, f"train {name} --data sample --validate embryo01 {TINY}")
        for name in ("qcanet_nsn", "qcanet_ndn")
    }


@pytest.mark.parametrize("name", ["qcanet_nsn", "qcanet_ndn"])
def test_train_leaves_a_run(home, trained, name):
    run = home / "runs" / name
    told = trained[name].stderr
    assert "sample: BBBC050, 2 volumes, groups embryo00, embryo01" in told
    assert "1 volumes train, 1 validate (embryo01)" in told
    assert "epoch 2/2" in told
    assert f"weights and curves are in runs/{name}" in told
    settings = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert settings["entry"] == name
    assert settings["recipe"]["patch"] == [16, 16, 16]
    assert (settings["train"], settings["validation"]) == (["embryo00"], ["embryo01"])
    history = rows(run / "history.csv")
    assert [float(row["epoch"]) for row in history] == [1, 2]
    assert all(float(row["loss"]) > 0 and row["val_iou"] for row in history)
    assert {"best.weights.h5", "last-0002.weights.h5", "learning_curve.png"} <= set(files(run))


@pytest.mark.usefixtures("trained")
def test_a_finished_run_is_not_trained_again(home):
    before = (home / "runs" / "qcanet_nsn" / "history.csv").read_bytes()
    assert "--resume" in zoo(home, f"train qcanet_nsn --data sample {TINY}", code=2).stderr
    assert "after epoch 2 of 2" in zoo(home, "train qcanet_nsn --resume").stderr
    assert (home / "runs" / "qcanet_nsn" / "history.csv").read_bytes() == before


@pytest.mark.usefixtures("trained")
def test_predict_with_the_networks(home, tmp_path):
    write_image(tmp_path / "small.tif", phantom.embryo(4, nuclei=3, shape=SMALL).image, UM)
    runs = home / "runs"
    weights = f"--weights nsn={runs}/qcanet_nsn --weights ndn={runs}/qcanet_ndn"
    zoo(tmp_path, f"predict qcanet small.tif --out pipeline {weights}")
    zoo(tmp_path, f"predict qcanet_nsn small.tif --out network --weights {runs}/qcanet_nsn")
    for folder in ("pipeline", "network"):
        assert read_labels(tmp_path / folder / "small.tif").frames.shape == (1, *SMALL)
    page = (tmp_path / "pipeline" / "report.html").read_text(encoding="utf-8")
    for step in ("Input", "NSN", "NDN", "Distance", "Labels", str(runs / "qcanet_ndn")):
        assert step in page


@pytest.mark.usefixtures("trained")
def test_eval_runs_and_scores_beside_the_baseline(home):
    command = "eval qcanet --data sample --embryos embryo01 --metric iou,seg,mucov --json e.json --out scored"
    shown = zoo(home, command).stdout
    assert files(home / "scored") == ["labels/embryo01.tif", "provenance.json", "report.html"]
    scored = json.loads((home / "e.json").read_text(encoding="utf-8"))
    labels = read_labels(home / "scored" / "labels" / "embryo01.tif")
    truth = read_labels(home / "sample" / "GroundTruth_QCANet" / "embryo01.tif")
    assert labels.spacing == pytest.approx(UM)
    expected = score(truth.frames[0], labels.frames[0], ("iou", "seg", "mucov"), spacing=UM)
    assert scored["volumes"][0]["values"] == pytest.approx(expected)
    assert scored["meta"]["weights of qcanet_nsn"] == "runs/qcanet_nsn"
    (baseline,) = scored["compared"]["classical"]["volumes"]
    assert baseline["values"]["iou"] > 0.6
    assert "| qcanet | 1 |" in shown
    assert f"| classical | 1 | {baseline['values']['iou']:.3f} |" in shown
    page = (home / "scored" / "report.html").read_text(encoding="utf-8")
    assert "classical" in page
    assert "Truth" in page


@pytest.mark.usefixtures("trained")
def test_eval_of_metrics_alone_takes_the_built_in_sample_and_runs(home):
    result = zoo(home, "eval --metric seg,mucov --csv built_in.csv")
    assert "no --data: scoring on built-in synthetic nuclei" in result.stderr
    found = rows(home / "built_in.csv")
    assert [row["method"] for row in found] == ["qcanet"] * 6 + ["classical"] * 6
    assert [int(row["nuclei"]) for row in found] == 2 * [2, 4, 8, 12, 16, 24]
    assert list(found[0]) == ["method", "name", "group", "stage", "nuclei", "seg", "mucov", "seconds"]
    assert "| classical | 6 |" in result.stdout


def test_doctor(tmp_path):
    told = zoo(tmp_path, "doctor").stdout
    for line in ("tensorflow 2.", "keras 3.", "CPU cores: ", "GPU: ", "precision auto: "):
        assert f"\n{line}" in told


@pytest.mark.parametrize("entry", registry.entries(), ids=lambda entry: entry.name)
def test_list_and_info_name_every_entry(tmp_path, entry):
    assert entry.summary in zoo(tmp_path, "list").stdout
    told = zoo(tmp_path, f"info {entry.name}").stdout
    assert entry.source.paper in told
    for name in entry.recipes:
        assert f"recipe {name}: " in told


def parse(words: list[str]) -> tuple[str, dict[str, object]]:
    """Have click read a command line without running it: the command, and its options."""
    name, *rest = words
    return name, main.commands[name].make_context(name, rest).params


def test_commands_of_the_demonstration_are_valid():
    made = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = made.stdout.replace("\\\n", " ").splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.split(" ")[0].endswith("/zoo")]
    parsed = [parse(words) for words in commands]
    ((name, options),) = parsed
    assert (name, options["name"]) == ("eval", "qcanet")
    parse_metrics(str(options["metrics"]))
    assert all(registry.get(part).pretrained for part in registry.get("qcanet").needs.values())
    assert options["overwrite"]  # so that 'make demo' can be run twice
