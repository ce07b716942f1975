"""Tissue as a user makes it: an OME-Zarr with its truth, whole or not at all."""

import shlex
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from commands import zoo

from zoo.cli import main
from zoo.data.tissue import Tissue

zarr = pytest.importorskip("zarr")

# Larger than a chunk along two axes, and no multiple of one
COMMAND = "sample tissue --out made --seed 3 --shape 70 40 140 --spacing 1.5 1 1"
WHOLE = np.s_[:, :, :]


def state(folder: Path) -> dict[Path, bytes]:
    """Return what every file of a folder holds, but for the record, which tells the time."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if not path.name.endswith("provenance.json")}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    assert "tissue03.ome.zarr of 70 x 40 x 140 voxels in made" in zoo(folder, COMMAND).stderr
    return folder


def test_image_and_labels_are_those_of_the_tissue_with_its_voxel_size(home):
    names = {path.name for path in (home / "made").iterdir()}
    assert names == {"tissue03.ome.zarr", "tissue03.ome.zarr.provenance.json"}
    group = zarr.open_group(home / "made" / "tissue03.ome.zarr", mode="r")
    tissue = Tissue(3, (70, 40, 140), (1.5, 1.0, 1.0))
    np.testing.assert_array_equal(group["0"][:], tissue.image(WHOLE))
    np.testing.assert_array_equal(group["labels/nuclei/0"][:], tissue.labels(WHOLE))
    assert group["labels"].attrs["ome"]["labels"] == ["nuclei"]
    for part in (group, group["labels/nuclei"]):
        [multiscale] = part.attrs["ome"]["multiscales"]
        [scale] = multiscale["datasets"][0]["coordinateTransformations"]
        assert scale == {"type": "scale", "scale": [1.5, 1, 1]}
        assert {axis["unit"] for axis in multiscale["axes"]} == {"micrometer"}


def test_tissue_is_not_replaced_unasked_and_one_seed_is_one_tissue(home):
    before = state(home)
    assert "--overwrite" in zoo(home, COMMAND, code=2).stderr
    assert state(home) == before
    zoo(home, f"{COMMAND} --overwrite")
    assert state(home) == before


def test_all_levels_are_filled(tmp_path):
    zoo(tmp_path, "sample tissue --out . --shape 8 16 300 --spacing 2 1 1")
    group = zarr.open_group(tmp_path / "tissue00.ome.zarr", mode="r")
    for part in (group, group["labels/nuclei"]):
        assert part["1"].shape == (8, 8, 150)
        assert part["1"][:].any()
    np.testing.assert_array_equal(group["labels/nuclei/1"][:], group["labels/nuclei/0"][:, ::2, ::2])


def test_what_stops_the_writing_leaves_nothing(tmp_path, monkeypatch):
    def stop(tissue, box):
        raise KeyboardInterrupt

    monkeypatch.setattr(Tissue, "labels", stop)
    with chdir(tmp_path):
        assert CliRunner().invoke(main, shlex.split(COMMAND)).exit_code != 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--spacing 5 1 1", "at most 2.4 um"),
        ("--shape 0 9 9", "--shape"),
        ("--shape 9 9", "--shape"),
        ("--nuclei 4", "--nuclei means nothing to tissue"),
        ("--frames 4", "--frames means nothing to tissue"),
        ("--count 4", "--count means nothing to tissue"),
    ],
)
def test_what_tissue_cannot_be_is_refused(tmp_path, options, says):
    assert says in zoo(tmp_path, f"sample tissue --out made {options}", code=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--shape 9 9 9", "--spacing 1 1 1"])
@pytest.mark.parametrize("kind", ["embryo", "series", "yeast"])
def test_the_others_have_no_shape_or_voxel_size_to_give(tmp_path, kind, option):
    told = zoo(tmp_path, f"sample {kind} --out made {option}", code=2).stderr
    assert f"{option.split()[0]} means nothing to {kind}" in told
    assert not list(tmp_path.iterdir())
