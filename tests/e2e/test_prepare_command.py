"""``zoo prepare yeast``, as a user types it, and what it refuses."""

import json
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from refusal import UM, bad, check_refused
from test_cli_light import run

from zoo.cli import main
from zoo.data.io import read_image
from zoo.data.layouts import find
from zoo.data.prepared import read_settings, read_split
from zoo.data.write import write_image, write_labels

SHAPE = (6, 8, 10, 12)  # t, z, y, x


def zoo(folder: Path, command: str) -> Result:
    """Run a command in a folder and see that it ends well."""
    with chdir(folder):
        result = CliRunner().invoke(main, shlex.split(command), prog_name="zoo")
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout == ""
    return result


def movie(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros(shape, bool)
    mask[1:, :, 2:7, 3:8] = True
    noise = np.random.default_rng(seed).integers(90, 110, shape)
    return (noise + 400 * mask).astype(np.uint16), mask


def write_movie(folder: Path, name: str, **given: np.ndarray) -> None:
    """Write a movie; ``image`` and ``mask`` replace its own."""
    image, mask = movie()
    write_image(folder / f"{name}.tif", given.get("image", image), UM)
    write_labels(folder / f"{name}_mask.tif", given.get("mask", mask), UM)


@pytest.fixture
def home(tmp_path) -> Path:
    """Four movies of two sizes."""
    for number in range(4):
        image, mask = movie((6, 8, 10 + 4 * (number % 2), 12), number)
        write_movie(tmp_path / "movies", f"cell{number}", image=image, mask=mask)
    return tmp_path


def test_movies_become_a_data_set(home):
    told = zoo(home, "prepare yeast movies --out new/data --fit resize").stderr.splitlines()
    assert told == [
        "24 volumes of 4 movies, 4 without a patch: 12 to train, 6 to validate, 6 to test",
        "data set in new/data",
    ]
    found = find(home / "new" / "data")
    assert found.groups == ("cell0", "cell1", "cell2", "cell3")
    loaded = found.samples[8].load()
    assert loaded.name == "cell1_t002"
    assert loaded.image.shape == (32, 32, 32)
    assert loaded.spacing == pytest.approx((UM[0] * 8 / 32, UM[1] * 14 / 32, UM[2] * 12 / 32))
    settings = read_settings(home / "new" / "data")
    assert [settings[key] for key in ("size", "frames", "fit", "scaling", "split", "seed", "spacing")] == [
        [32, 32, 32],
        "middle:20",
        "resize",
        "percentile",
        "movie",
        0,
        None,
    ]


def test_movies_are_cut_to_their_cells_where_nothing_else_is_asked(home):
    """The bright block, of 5 x 5 voxels in y and x, is the cell here."""
    told = zoo(home, "prepare yeast movies --out data").stderr.splitlines()
    assert told[0].startswith("24 volumes of 4 movies")
    settings = read_settings(home / "data")
    assert settings["fit"] == "cell"
    for name, kept in settings["movies"].items():
        (top, bottom), (low_y, high_y), (low_x, high_x) = kept["box"]
        assert (top, bottom) == (0, 8), name
        assert 0 <= low_y <= 2 < 7 <= high_y < kept["shape"][2]
        assert 0 <= low_x <= 3 < 8 <= high_x < kept["shape"][3]
    volume = find(home / "data").samples[1].load()
    (_, (low_y, high_y), (low_x, high_x)) = settings["movies"]["cell0"]["box"]
    edges = (UM[0] * 8 / 32, UM[1] * (high_y - low_y) / 32, UM[2] * (high_x - low_x) / 32)
    assert volume.spacing == pytest.approx(edges)
    assert volume.mask.mean() == pytest.approx(25 / ((high_y - low_y) * (high_x - low_x)), rel=0.1)


def test_all_options_count(home):
    command = (
        "prepare yeast movies --out data --size 8 16 12 --frames weighted:2 --fit pad --scaling max "
        "--split frame --spacing 1 2 3 --seed 5"
    )
    told = zoo(home, command).stderr.splitlines()
    assert told[0].startswith("warning: --split frame leaks")
    assert told[-2].startswith("8 volumes of 4 movies: 6 to train, 1 to validate, 1 to test")
    settings = read_settings(home / "data")
    assert settings == settings | {
        "size": [8, 16, 12],
        "frames": "weighted:2",
        "fit": "pad",
        "scaling": "max",
        "split": "frame",
        "spacing": [1, 2, 3],
        "seed": 5,
    }
    for volume in read_split(home / "data"):
        stack = read_image(home / "data" / "images" / f"{volume}.tif")
        assert stack.frames.shape == (1, 8, 16, 12)
        assert stack.frames.max() <= 1
        assert stack.spacing == pytest.approx((1, 2, 3))
    check_refused(command, ("data exists", "--overwrite"), home, home)
    zoo(home, f"{command} --overwrite --frames all")
    assert len(read_split(home / "data")) == 24


def test_what_is_left_out_or_assumed_is_said(home):
    movies = home / "movies"
    write_movie(movies, "dark", mask=np.zeros(SHAPE, bool))
    write_movie(movies, "wide", image=movie((2, 8, 10, 33))[0], mask=movie((2, 8, 10, 33))[1])
    (movies / "bare.tif").write_bytes((movies / "cell0.tif").read_bytes())
    image, mask = movie()
    tifffile.imwrite(movies / "cell3.tif", image[2])
    write_labels(movies / "cell3_mask.tif", mask[2], UM)
    told = zoo(home, "prepare yeast movies --out data --fit pad").stderr.splitlines()
    assert told == [
        "left out: 1 movie without a mask file: bare",
        "left out: 1 movie with a mask that is empty in all frames: dark",
        "left out: 1 movie larger than 32 x 32 x 32 voxels (give a larger --size, or --fit cell): wide",
        "3-D files, taken as movies of one frame: cell3",
        "no voxel size in 1 movie: taking 0.25 x 0.13 x 0.13 um, or give --spacing Z Y X",
        told[-2],
        "data set in data",
    ]
    assert told[-2].startswith("19 volumes of 4 movies, 3 without a patch: ")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    image, mask = movie()
    write_movie(folder / "good", "a")
    write_movie(folder / "shapes", "a")
    write_movie(folder / "shapes", "b", mask=mask[:, :, :8])
    write_movie(folder / "shapes", "c", mask=mask[:5])
    write_movie(folder / "dark", "a", mask=np.zeros(SHAPE, bool))
    write_movie(folder / "dark", "b", mask=np.zeros(SHAPE, bool))
    write_image(folder / "bare" / "a.tif", image, UM)
    write_labels(folder / "lonely" / "a_mask.tif", mask, UM)
    write_movie(folder / "flat", "a", image=image[:, :1], mask=mask[:, :1])
    write_movie(folder / "plane", "a")
    tifffile.imwrite(folder / "plane" / "a.tif", image[0, 0])
    write_movie(folder / "text", "a")
    (folder / "text" / "a.tif").write_text("this is a letter, not a movie\n")
    write_movie(folder / "floats", "a")
    tifffile.imwrite(folder / "floats" / "a_mask.tif", mask.astype(np.float32), metadata={"axes": "TZYX"})
    write_movie(folder / "negative", "a", image=(-image.astype(np.float32)))
    blank = image.copy()
    blank[4] = 7
    write_movie(folder / "blank", "a", image=blank)
    (folder / "nothing").mkdir()
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{}")
    write_movie(folder / "mine", "a")
    (folder / "mine" / "prepared.json").write_text(json.dumps({}))
    return folder


GOOD = "prepare yeast @/good --out data"
REFUSED = [
    bad("no kind", "prepare", "yeast", "zoo prepare --help"),
    bad("unknown kind", "prepare yaest @/good --out data", "'yaest'", "'yeast'"),
    bad("no movies", "prepare yeast --out data", "MOVIES"),
    bad("no out", "prepare yeast @/good", "--out"),
    bad("no such folder", "prepare yeast @/gone --out data", "@/gone is not a folder"),
    bad("a file", "prepare yeast @/good/a.tif --out data", "@/good/a.tif is not a folder"),
    bad("empty folder", "prepare yeast @/nothing --out data", "@/nothing holds no movie", "NAME_mask.tif"),
    bad("masks alone", "prepare yeast @/lonely --out data", "1 masks", "a_mask.tif"),
    bad("images alone", "prepare yeast @/bare --out data", "none of the movies", "without a mask file: a"),
    bad("masks empty", "prepare yeast @/dark --out data", "none of the movies", "empty in all frames: a, b"),
    bad(
        "all too large",
        "prepare yeast @/good --out data --fit pad --size 8 10 11",
        "none of the movies",
        "1 movie larger than 8 x 10 x 11",
        "--size",
    ),
    bad(
        "other shapes",
        "prepare yeast @/shapes --out data",
        "2 movies cannot be used",
        "@/shapes/b_mask.tif (shape (6, 8, 8, 12)) must have the shape of @/shapes/b.tif, (6, 8, 10, 12)",
        "@/shapes/c_mask.tif (shape (5, 8, 10, 12))",
    ),
    bad("one slice", "prepare yeast @/flat --out data", "@/flat/a.tif is 2-D", "6 time points", "3-D stack"),
    bad("a plane", "prepare yeast @/plane --out data", "@/plane/a.tif is 2-D", "3-D stack"),
    bad("no TIFF", "prepare yeast @/text --out data", "@/text/a.tif", "not a TIFF"),
    bad("mask of floats", "prepare yeast @/floats --out data", "@/floats/a_mask.tif", "float32", "integers"),
    bad("blank frame", "prepare yeast @/blank --out data", "@/blank/a.tif, frame 4, is constant"),
    bad(
        "nothing above 0",
        "prepare yeast @/negative --out data --scaling max",
        "@/negative/a.tif: the largest value is -",
        "'percentile'",
    ),
    bad("unknown frames", f"{GOOD} --frames last:3", "'last:3'", "middle:20"),
    bad("no frames", f"{GOOD} --frames middle:0", "'middle:0'"),
    bad("size of two", f"{GOOD} --size 32 32", "--size"),
    bad("size too small", f"{GOOD} --size 1 32 32", "--size", "2<=x<=1024"),
    bad("unknown fit", f"{GOOD} --fit crop", "'crop'", "'cell'", "'pad'"),
    bad("unknown scaling", f"{GOOD} --scaling minmax", "'minmax'", "'percentile'"),
    bad("unknown split", f"{GOOD} --split cell", "'cell'", "'movie'"),
    bad("zero spacing", f"{GOOD} --spacing 1 0 1", "0.0", "positive"),
    bad("negative seed", f"{GOOD} --seed -1", "--seed", "-1"),
    bad("out is there", "prepare yeast @/good --out @/run", "@/run exists", "--overwrite"),
    bad("out is a file", "prepare yeast @/good --out @/text/a.tif --overwrite", "@/text/a.tif is a file"),
    bad("out below a file", "prepare yeast @/good --out @/text/a.tif/b", "@/text/a.tif is a file"),
    bad(
        "out is another's", "prepare yeast @/good --out @/run --overwrite", "no prepared.json", "not removed"
    ),
    bad("out is the movies", "prepare yeast @/mine --out @/mine --overwrite", "@/mine holds the movies"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


def test_help_imports_nothing_heavy():
    ends, heavy = run(["prepare", "--help"])
    assert ends == ["done"]
    assert heavy == set()


def test_needs_no_tensorflow(files, tmp_path):
    arguments = ["prepare", "yeast", str(files / "good"), "--out", str(tmp_path / "data")]
    program = (
        f"import sys; from zoo.cli import main; main({arguments}, standalone_mode=False);"
        "print({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
