"""``zoo fuse``, as a user types it, and what it refuses."""

import csv
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from refusal import SHAPE, UM, bad, check_refused, volume
from test_cli_light import run

from zoo.cli import main
from zoo.data.io import read_image, read_labels
from zoo.data.write import write_image, write_labels

RESULTS = [
    "consensus.tif",
    "consensus.tif.provenance.json",
    "consensus_agreement.csv",
    "consensus_uncertainty.tif",
]


def zoo(folder: Path, command: str) -> Result:
    """Run a command in a folder and see that it ends well."""
    with chdir(folder):
        result = CliRunner().invoke(main, shlex.split(command), prog_name="zoo")
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout == ""
    return result


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def home(tmp_path) -> Path:
    """Two inputs that agree on two nuclei, one with the voxel size; a third has one of them and one more."""
    _, labels = volume()
    third = labels * (labels == 1)
    third[1:3, 1:4, 20:26] = 7
    np.save(tmp_path / "a.npy", labels)
    write_labels(tmp_path / "b.tif", labels.astype(np.uint16) * 300, UM)
    tifffile.imwrite(tmp_path / "c.tif", third)
    return tmp_path


@pytest.mark.parametrize("how", ["", "--volume", "--slices", "--slices --slice-fusion blob --radius-um 4"])
def test_three_label_images(home, how):
    told = zoo(home, f"fuse a.npy b.tif c.tif --out new/consensus.tif {how}").stderr.splitlines()
    assert told == [
        "2 objects; on average 2.50 of 3 label images share one, mean IoU of their outlines 1.000",
        "labels in new/consensus.tif, votes in new/consensus_agreement.csv, "
        "uncertainty in new/consensus_uncertainty.tif",
    ]
    assert sorted(path.name for path in (home / "new").iterdir()) == RESULTS
    found = read_labels(home / "new" / "consensus.tif")
    assert found.spacing == pytest.approx(UM)
    assert not found.series
    np.testing.assert_array_equal(found.frames[0], volume()[1])
    uncertainty = read_image(home / "new" / "consensus_uncertainty.tif")
    assert uncertainty.frames.dtype == np.float32
    assert uncertainty.spacing == pytest.approx(UM)
    unequal = (volume()[1] == 2) | (np.load(home / "a.npy") != tifffile.imread(home / "c.tif"))
    np.testing.assert_allclose(uncertainty.frames[0], unequal * np.float32(8 / 9), rtol=1e-6)
    voxel = np.prod(UM)
    one, two = rows(home / "new" / "consensus_agreement.csv")
    assert list(one) == ["frame", "label", "votes", "share", "mean_iou", "volume_um3", "z_um", "y_um", "x_um"]
    assert list(one.values())[:5] == ["0", "1", "3", "1", "1"]
    assert list(two.values())[:5] == ["0", "2", "2", "0.666667", "1"]
    assert float(two["volume_um3"]) == pytest.approx(4 * 6 * 10 * voxel, rel=1e-5)
    place = [float(two[axis]) for axis in ("z_um", "y_um", "x_um")]
    assert place == pytest.approx([3.5 * 1.75, 16.5 * 0.8, 18.5 * 0.8], rel=1e-5)


def test_scores_and_spacing_count(home):
    narrow, wide = volume()[1], volume()[1]
    narrow[:, :5] = 0
    np.save(home / "narrow.npy", narrow)
    np.save(home / "wide.npy", wide)
    for scores, expected in (("0.9,0.8", narrow), ("0.8,0.9", wide)):
        told = zoo(
            home, f"fuse narrow.npy wide.npy --scores {scores} --spacing 2 1 1 --out {scores}.tif"
        ).stderr
        assert "no voxel size" not in told
        found = read_labels(home / f"{scores}.tif")
        assert found.spacing == (2, 1, 1)
        np.testing.assert_array_equal(found.frames[0], expected)
    assert "no voxel size in the files: taking 1 x 1 x 1 um" in (
        zoo(home, "fuse narrow.npy wide.npy --out plain.tif").stderr
    )


def test_results_are_replaced_when_asked(home):
    zoo(home, "fuse a.npy b.tif --out consensus.tif")
    before = (home / "consensus_agreement.csv").read_bytes()
    check_refused(
        "fuse a.npy c.tif --out consensus.tif",
        ("consensus.tif and 3 more exist", "--overwrite"),
        home,
        home,
    )
    zoo(home, "fuse a.npy c.tif --out consensus.tif --overwrite")
    assert (home / "consensus_agreement.csv").read_bytes() != before


def test_frames_of_a_series_vote_on_their_own(tmp_path):
    _, labels = volume()
    empty = np.zeros_like(labels)
    write_labels(tmp_path / "a.tif", np.stack([labels, labels, empty]), UM)
    write_labels(tmp_path / "b.tif", np.stack([labels, labels * (labels == 2), empty]), UM)
    told = zoo(tmp_path, "fuse a.tif b.tif --out film.ome.tif").stderr
    assert "4 objects; on average 1.75 of 2 " in told
    found = read_labels(tmp_path / "film.ome.tif")
    assert found.series
    assert [frame.max() for frame in found.frames] == [2, 2, 0]
    assert read_image(tmp_path / "film_uncertainty.tif", frames="1").frames.shape == (1, *SHAPE)
    table = rows(tmp_path / "film_agreement.csv")
    assert [(row["frame"], row["votes"]) for row in table] == [("0", "2"), ("0", "2"), ("1", "1"), ("1", "2")]
    assert table[2]["mean_iou"] == ""


@pytest.mark.parametrize("how", ["", "--slices"])
def test_single_slices_give_a_result_in_two_dimensions(tmp_path, how):
    plane = volume()[1][3]
    tifffile.imwrite(tmp_path / "a.tif", plane)
    write_labels(tmp_path / "b.tif", plane[np.newaxis], UM)
    told = zoo(tmp_path, f"fuse a.tif b.tif --out flat.tif {how}").stderr
    assert "one slice only: the vote and its result are 2-D" in told
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "flat.tif"), plane)
    assert len(rows(tmp_path / "flat_agreement.csv")) == 2
    # and it can be an input again
    zoo(tmp_path, f"fuse a.tif flat.tif --out again.tif {how}")


def test_nothing_agreed_is_an_empty_result(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(SHAPE, np.uint8))
    np.save(tmp_path / "b.npy", np.zeros(SHAPE, np.uint8))
    told = zoo(tmp_path, "fuse a.npy b.npy --out none.tif").stderr
    assert "no object that at least half of 2 label images share" in told
    assert not read_labels(tmp_path / "none.tif").frames.any()
    assert rows(tmp_path / "none_agreement.csv") == []


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    image, labels = volume()
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", labels)
    write_labels(folder / "a.tif", labels, UM)
    write_labels(folder / "coarse.tif", labels, (3.5, 0.8, 0.8))
    write_labels(folder / "series.tif", np.stack([labels] * 3), UM)
    np.save(folder / "narrow.npy", labels[:, 2:])
    np.save(folder / "float.npy", labels.astype(np.float32))
    np.save(folder / "negative.npy", labels.astype(int) - 1)
    write_image(folder / "flat.tif", image[:1].astype(np.float32), UM)
    tifffile.imwrite(folder / "rgb.tif", np.zeros((24, 28, 3), np.uint8), photometric="rgb")
    (folder / "text.tif").write_text("this is a letter, not an image\n")
    (folder / "slices").mkdir()
    for z, plane in enumerate(labels):
        tifffile.imwrite(folder / "slices" / f"z{z}.tif", plane)
    for name in ("old", "old_uncertainty"):
        write_labels(folder / f"{name}.tif", labels, UM)
    return folder


AB = "fuse @/a.npy @/b.npy"
REFUSED = [
    bad("no image", "fuse --out c.tif", "LABELS", "zoo fuse --help"),
    bad("no out", AB, "--out"),
    bad("one image", "fuse @/a.npy --out c.tif", "1 label image", "two or more"),
    bad("one image twice", "fuse @/a.npy @/slices/../a.npy --out c.tif", "given twice", "--scores"),
    bad("no such file", "fuse @/a.npy @/gone.tif --out c.tif", "@/gone.tif does not exist"),
    bad("no image file", "fuse @/a.npy @/text.tif --out c.tif", "@/text.tif", "not a TIFF"),
    bad("floats", "fuse @/a.npy @/float.npy --out c.tif", "@/float.npy", "float32", "integers"),
    bad("floats of a slice", "fuse @/flat.tif @/b.npy --out c.tif", "@/flat.tif has the type float"),
    bad("RGB", "fuse @/rgb.tif @/a.npy --out c.tif", "@/rgb.tif", "RGB"),
    bad("negative labels", "fuse @/a.npy @/negative.npy --out c.tif", "@/negative.npy", "label -1"),
    bad(
        "other shape",
        "fuse @/a.npy @/b.npy @/narrow.npy --out c.tif",
        "@/narrow.npy (shape (1, 8, 22, 28)",
        "@/a.npy, (1, 8, 24, 28)",
    ),
    bad("volume and series", "fuse @/a.npy @/series.tif --out c.tif", "(3, 8, 24, 28)", "(1, 8, 24, 28)"),
    bad(
        "other voxels",
        "fuse @/b.npy @/a.tif @/coarse.tif --out c.tif",
        "@/a.tif has voxels of 1.75 x 0.8 x 0.8 um, @/coarse.tif of 3.5 x 0.8 x 0.8 um",
        "--spacing",
    ),
    bad("zero spacing", f"{AB} --spacing 1 0 1 --out c.tif", "0.0", "positive"),
    bad("a score too many", f"{AB} --out c.tif --scores 1,1,1", "3 scores for 2 label images"),
    bad("a score too few", f"{AB} --out c.tif --scores 1", "1 scores for 2 label images"),
    bad("score of 0", f"{AB} --out c.tif --scores 1,0", "scores 1, 0", "above 0"),
    bad("score no number", f"{AB} --out c.tif --scores 1,high", "'1,high'", "0.9,0.8,0.95"),
    bad("score missing", f"{AB} --out c.tif --scores 1,", "'1,'"),
    bad("negative radius", f"{AB} --out c.tif --slices --radius-um -1", "--radius-um", "-1"),
    bad("unknown join", f"{AB} --out c.tif --slices --slice-fusion blub", "'blub'", "'blob'"),
    bad("radius of a volume", f"{AB} --out c.tif --radius-um 6", "--slices"),
    bad("join of a volume", f"{AB} --out c.tif --volume --slice-fusion blob", "--slices"),
    bad("out of another type", f"{AB} --out c.npy", "c.npy", ".tif"),
    bad("out is there", f"{AB} --out @/old.tif", "@/old.tif and 1 more exist", "--overwrite"),
    bad("out below a file", f"{AB} --out @/text.tif/c.tif", "@/text.tif is a file"),
    bad("out is an input", "fuse @/a.npy @/a.tif --out @/a.tif --overwrite", "change the input @/a.tif"),
    bad(
        "uncertainty is an input",
        "fuse @/a.npy @/old_uncertainty.tif --out @/old.tif --overwrite",
        "change the input @/old_uncertainty.tif",
    ),
    bad("out among slices", "fuse @/a.npy @/slices --out @/slices/c.tif", "change the input @/slices"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


def test_floats_of_single_slices_are_no_labels(files, tmp_path):
    (tmp_path / "copy.tif").write_bytes((files / "flat.tif").read_bytes())
    says = ("float32", "integers")
    check_refused(f"fuse @/flat.tif {tmp_path}/copy.tif --out c.tif", says, files, tmp_path, news=True)


def test_help_imports_nothing_heavy():
    ends, heavy = run(["fuse", "--help"])
    assert ends == ["done"]
    assert heavy == set()


def test_needs_no_tensorflow(files, tmp_path):
    arguments = ["fuse", str(files / "a.npy"), str(files / "b.npy"), "--out", str(tmp_path / "c.tif")]
    program = (
        f"import sys; from zoo.cli import main; main({arguments}, standalone_mode=False);"
        "print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
