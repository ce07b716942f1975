"""From yeast movies to a segmented polarity patch, as a user types it, and what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands import zoo
from refusal import bad, check_refused

from zoo.data.io import read_image, read_labels
from zoo.data.write import write_image
from zoo.data.yeast import yeast_movie

TINY = "--set size=16,16,16 --set base=2 --set epochs=2 --set batch=4"
LOW = 0.02  # a threshold at which a network of two epochs leaves something


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """An empty folder in which the README's commands ran one after another."""
    folder = tmp_path_factory.mktemp("home")
    zoo(folder, "sample yeast --out movies --count 6 --frames 6")
    zoo(folder, "prepare yeast movies --out data --size 16 16 16 --frames middle:4")
    zoo(folder, f"train cnn3d_yeast --data data {TINY}")
    return folder


def test_only_the_training_part_is_trained_on(home):
    settings = json.loads((home / "runs" / "cnn3d_yeast" / "run.json").read_text())
    with (home / "data" / "split.csv").open(newline="") as file:
        parts = {row["volume"]: row["part"] for row in csv.DictReader(file)}
    for part, names in (("train", settings["train"]), ("validation", settings["validation"])):
        assert sorted(names) == sorted(name for name in parts if parts[name] == part)
    movies = {
        part: {name.split("_")[0] for name in parts if parts[name] == part} for part in set(parts.values())
    }
    assert not movies["train"] & movies["validation"] | movies["train"] & movies["test"]


def test_the_test_part_is_scored_a_volume_and_over_all_voxels(home):
    result = zoo(home, f"eval cnn3d_yeast --data data --threshold {LOW} --json s.json --out eval")
    assert "scoring the 4 volumes that data keeps for the test" in result.stderr
    assert "all voxels together" in result.stdout
    scores = json.loads((home / "s.json").read_text())
    assert list(scores["together"]) == ["miou", "iou", "dice", "accuracy"]
    names = [volume["name"] for volume in scores["volumes"]]
    true = np.stack([read_labels(home / "data" / "labels" / f"{name}.tif").frames[0] for name in names]) > 0
    found = np.stack([read_labels(home / "eval" / "labels" / f"{name}.tif").frames[0] for name in names]) > 0
    assert found.any()
    both, either = (true & found).sum(), (true | found).sum()
    assert scores["together"]["iou"] == pytest.approx(both / either)
    assert scores["together"]["accuracy"] == pytest.approx((true == found).mean())
    background = (~true & ~found).sum() / (~true | ~found).sum()
    assert scores["together"]["miou"] == pytest.approx((both / either + background) / 2)
    assert "All slices" in (home / "eval" / "report.html").read_text()


def test_a_movie_becomes_masks_of_its_own_shape_and_a_table_of_the_patch(home):
    zoo(home, f"predict cnn3d_yeast movies/yeast0000.tif --out found --threshold {LOW}")
    movie, masks = (
        read_image(home / "movies" / "yeast0000.tif"),
        read_labels(home / "found" / "yeast0000.tif"),
    )
    assert masks.frames.shape == movie.frames.shape
    assert masks.spacing == pytest.approx(movie.spacing)
    assert masks.frames.any()
    assert masks.frames.max() == 1
    with (home / "found" / "yeast0000_polarity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(6))
    for row, mask in zip(rows, masks.frames, strict=True):
        assert float(row["volume_um3"]) == pytest.approx(mask.sum() * np.prod(movie.spacing), rel=1e-5)
    names = {path.name for path in (home / "found").iterdir()}
    assert names == {
        "yeast0000.tif",
        "yeast0000_polarity.csv",
        "yeast0000_polarity.png",
        "provenance.json",
        "report.html",
    }


def test_some_frames_are_marked_as_in_the_whole_movie(home):
    """The range of brightness is that of all frames, whichever are asked for."""
    zoo(home, f"predict cnn3d_yeast movies/yeast0001.tif --out whole --threshold {LOW}")
    zoo(home, f"predict cnn3d_yeast movies/yeast0001.tif --out some --threshold {LOW} --frames 1,4")
    whole, some = (read_labels(home / out / "yeast0001.tif").frames for out in ("whole", "some"))
    np.testing.assert_array_equal(some, whole[[1, 4]])


def test_the_threshold_that_validation_found_can_be_taken(home):
    found = json.loads((home / "runs" / "cnn3d_yeast" / "threshold.json").read_text())
    assert found["iou"] >= found["iou_at_default"]
    zoo(home, "predict cnn3d_yeast movies/yeast0002.tif --out auto --threshold auto --frames 5")
    zoo(
        home,
        f"predict cnn3d_yeast movies/yeast0002.tif --out same --threshold {found['threshold']} --frames 5",
    )
    auto, same = (read_labels(home / out / "yeast0002.tif").frames for out in ("auto", "same"))
    np.testing.assert_array_equal(auto, same)


def test_a_single_stack_is_a_movie_of_one_frame(home, tmp_path):
    made = yeast_movie(3, frames=4)
    write_image(tmp_path / "cell.tif", made.image[-1], made.spacing)
    weights = home / "runs" / "cnn3d_yeast"
    result = zoo(tmp_path, f"predict cnn3d_yeast cell.tif --out o --weights {weights} --threshold {LOW}")
    assert "cell.tif: 3-D, taken as a movie of one frame" in result.stderr
    assert read_labels(tmp_path / "o" / "cell.tif").frames.shape == (1, *made.image.shape[1:])
    with (tmp_path / "o" / "cell_polarity.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_padded_movies_are_padded_again_and_cut_back(home, tmp_path):
    zoo(tmp_path, "sample yeast --out m --count 3 --frames 4")
    zoo(tmp_path, "prepare yeast m --out d --fit pad --size 40 72 72 --frames middle:2")
    padded = "--set size=40,72,72 --set fit=pad --set augment=symmetric"
    tiny = f"{padded} --set base=2 --set poolings=2 --set epochs=1"
    zoo(tmp_path, f"train cnn3d_yeast_unet --data d {tiny}")
    large = yeast_movie(9, frames=2, shape=(41, 60, 60))
    write_image(tmp_path / "m" / "large.tif", large.image, large.spacing)
    result = zoo(tmp_path, f"predict cnn3d_yeast_unet m --out o --threshold {LOW}", code=2)
    # the masks are left out, the movie that is too large is named, and the others are done
    assert "left out, as they are masks of other files here: yeast0000_mask.tif" in result.stderr
    assert "large.tif has frames of 41 x 60 x 60 voxels" in result.stderr
    assert (tmp_path / "o" / "report.html").is_file()
    assert (tmp_path / "o" / "yeast0002.tif").is_file()
    assert (
        read_labels(tmp_path / "o" / "yeast0000.tif").frames.shape
        == tifffile.imread(tmp_path / "m" / "yeast0000.tif").shape
    )


def test_without_data_it_trains_and_scores_on_built_in_movies(tmp_path):
    result = zoo(tmp_path, "train cnn3d_yeast --set base=2 --set epochs=1")
    assert "built-in synthetic patches" in result.stderr
    result = zoo(tmp_path, "eval cnn3d_yeast --metric iou")
    assert "all voxels together" in result.stdout


MOVIE, WEIGHTS = "@/movies/yeast0000.tif", "--weights @/runs/cnn3d_yeast"
TRAIN = "train cnn3d_yeast --out r"
NOT_PREPARED = "not made by 'zoo prepare yeast'"


def test_volumes_that_training_saw_are_told(home):
    result = zoo(
        home, f"eval cnn3d_yeast --data data --embryos yeast0000,yeast0001,yeast0002 --threshold {LOW}"
    )
    assert "of these 12 volumes" in result.stderr
    assert "warning: runs/cnn3d_yeast trained on" in result.stderr


REFUSED = [
    bad("raw movies", f"{TRAIN} --data @/movies", "no layout that is known"),
    bad("not prepared", f"{TRAIN} --data @/unprepared", NOT_PREPARED),
    bad("other size", f"{TRAIN} --data @/data", "prepared with size 16,16,16", "--set size=16,16,16"),
    bad("other scaling", f"{TRAIN} --data @/data {TINY} --set scaling=max", "scaling percentile"),
    bad("odd size", f"{TRAIN} --data @/data --set size=12,16,16", "multiples of 8"),
    bad("loss", f"{TRAIN} --data @/data --set loss=bcee", "bce"),
    bad("eval of others", f"eval cnn3d_yeast --data @/unprepared {WEIGHTS}", NOT_PREPARED),
    bad("metric", f"eval cnn3d_yeast --data @/data {WEIGHTS} --metric moiu", "miou"),
    bad("one slice", f"predict cnn3d_yeast @/flat.tif --out o {WEIGHTS}", "@/flat.tif", "3-D stack"),
    bad("frames", f"predict cnn3d_yeast {MOVIE} --out o {WEIGHTS} --frames 9", "beyond the last"),
    bad("threshold", f"predict cnn3d_yeast {MOVIE} --out o {WEIGHTS} --threshold atuo", "atuo"),
    bad("auto", f"predict classical {MOVIE} --out o --threshold auto", "means nothing to classical"),
]


@pytest.fixture(scope="module")
def faulty(home) -> Path:
    """The same folder, with what users get wrong."""
    for path in sorted((home / "data" / "images").iterdir())[:4]:
        for part in ("images", "labels"):
            target = home / "unprepared" / part / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((home / "data" / part / path.name).read_bytes())
    noise = np.random.default_rng(0).integers(0, 99, (5, 24, 24)).astype(np.uint16)
    tifffile.imwrite(home / "flat.tif", noise, imagej=True, metadata={"axes": "TYX"})
    return home


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_line(faulty, case, tmp_path):
    check_refused(case.command, case.says, faulty, tmp_path, news=True)
