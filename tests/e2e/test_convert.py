"""``zoo convert``, as a user types it, and what it refuses."""

import errno
import os
import shlex
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner, Result
from ome_zarr_models import open_ome_zarr

from zoo.cli import convert, main
from zoo.data.io import read_image, read_labels
from zoo.data.ngff import read_attributes
from zoo.data.omezarr import build_pyramid, create
from zoo.data.volumes import open_volume
from zoo.data.write import write_image, write_labels

UM = (1.75, 0.5, 0.25)


def run(folder: Path, command: str) -> Result:
    with chdir(folder):
        return CliRunner().invoke(main, shlex.split(command), prog_name="zoo")


def zoo(folder: Path, command: str) -> list[str]:
    """Run a command in a folder, see that it ends well, and give what it told."""
    result = run(folder, command)
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout == ""
    return result.stderr.splitlines()


def check_refused(folder: Path, command: str, said: str) -> None:
    """See that a command says one line, exits with 2 and leaves nothing behind."""
    before = sorted(folder.rglob("*"))
    result = run(folder, command)
    assert result.exit_code == 2, (result.output, result.exception)
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(folder.rglob("*")) == before


def noise(shape=(5, 40, 300), dtype=np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60000, shape).astype(dtype)


def level(path: Path, number: int = 0) -> np.ndarray:
    return zarr.open_array(str(path / str(number)), mode="r")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_there_and_back(tmp_path, version):
    array = noise()
    write_image(tmp_path / "a.tif", array, UM)
    told = zoo(tmp_path, f"convert a.tif new/a.ome.zarr --version {version} --chunk 2 16 20")
    assert told == ["5 x 40 x 300 voxels in new/a.ome.zarr"]
    made = tmp_path / "new" / "a.ome.zarr"
    assert level(made).chunks == (2, 16, 20)
    assert np.array_equal(level(made)[:], array)
    assert level(made, 1).shape == (5, 20, 150)
    assert open_volume(made).spacing == pytest.approx(UM)
    multiscale = open_ome_zarr(zarr.open_group(str(made), mode="r")).ome_attributes.multiscales[0]
    assert multiscale.name == "a"

    zoo(tmp_path, "convert new/a.ome.zarr back.ome.tif")
    stack = read_image(tmp_path / "back.ome.tif")
    assert np.array_equal(stack.frames[0], array)
    assert stack.frames.dtype == np.uint16
    assert stack.spacing == pytest.approx(UM)
    assert not stack.series
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "back.ome.tif", "new"]


@pytest.mark.parametrize("small_blocks", [False, True])
def test_time_points_are_kept_and_a_channel_is_chosen(tmp_path, monkeypatch, small_blocks):
    if small_blocks:
        monkeypatch.setattr(sys.modules[convert.callback.__module__], "BLOCK_BYTES", 1000)
    array = noise((3, 5, 2, 20, 30))
    for compression in (None, "zlib"):
        tifffile.imwrite(
            tmp_path / "a.tif",
            array,
            compression=compression,
            photometric="minisblack",
            metadata={"axes": "TZCYX"},
        )
        told = zoo(tmp_path, "convert a.tif a.zarr --channel 1 --spacing 2 1 1 --chunk 2 8 8 --overwrite")
        assert told == ["3 x 5 x 20 x 30 voxels in a.zarr"]
        assert np.array_equal(level(tmp_path / "a.zarr")[:], array[:, :, 1])
    zoo(tmp_path, "convert a.zarr b.tif")
    stack = read_image(tmp_path / "b.tif")
    assert stack.series
    assert np.array_equal(stack.frames, array[:, :, 1])
    assert stack.spacing == pytest.approx((2, 1, 1))
    check_refused(tmp_path, "convert a.tif b.zarr", "has 2 channels: give --channel N")


def test_labels_are_never_averaged(tmp_path):
    labels = noise(dtype=np.uint32)
    write_labels(tmp_path / "a.tif", labels, (1.0, 1.0, 1.0))
    zoo(tmp_path, "convert a.tif a.zarr --labels")
    zoo(tmp_path, "convert a.zarr b.zarr --version 0.4")  # labels that say so themselves
    for name in ("a.zarr", "b.zarr"):
        assert "image-label" in read_attributes(tmp_path / name)[1]
        assert np.array_equal(level(tmp_path / name, 1)[:], labels[::2, ::2, ::2])
    np.save(tmp_path / "f.npy", noise(dtype=np.float32))
    check_refused(tmp_path, "convert f.npy f.zarr --labels", "labels are integers")


@pytest.mark.parametrize(("largest", "dtype"), [(255, np.uint8), (70000, np.uint32)])
def test_labels_of_64_bits_become_what_a_tiff_holds(tmp_path, largest, dtype):
    labels = noise((4, 20, 30), np.int64) % 200
    labels[3, 2, 1] = largest
    create(tmp_path / "a.zarr", labels.shape, np.int64, UM, labels=True)[:] = labels
    zoo(tmp_path, "convert a.zarr a.tif")
    stack = read_labels(tmp_path / "a.tif")
    assert stack.frames.dtype == dtype
    assert np.array_equal(stack.frames[0], labels)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_64_bits_that_no_tiff_holds_are_refused(tmp_path, value):
    array = create(tmp_path / "a.zarr", (4, 20, 30), np.int64, UM)
    array[2, 3, 4] = value
    check_refused(tmp_path, "convert a.zarr a.tif", f"label {value} cannot be written")


def test_an_unknown_voxel_size_is_told_and_stays_unknown(tmp_path):
    np.save(tmp_path / "a.npy", noise((4, 20, 30), np.float32))
    assert "no voxel size in a.npy" in zoo(tmp_path, "convert a.npy a.zarr")[0]
    assert open_volume(tmp_path / "a.zarr").spacing is None
    assert "no voxel size in a.zarr" in zoo(tmp_path, "convert a.zarr a.tif")[0]
    assert read_image(tmp_path / "a.tif").spacing is None
    zoo(tmp_path, "convert a.zarr a.tif --overwrite --spacing 3 2 1")
    assert read_image(tmp_path / "a.tif").spacing == pytest.approx((3, 2, 1))


def test_results_are_replaced_only_when_told(tmp_path):
    for name, seed in (("a", 3), ("b", 4)):
        write_image(tmp_path / f"{name}.tif", noise((seed, 20, 30)), UM)
    zoo(tmp_path, "convert a.tif out.zarr")
    zoo(tmp_path, "convert out.zarr out.tif")
    check_refused(tmp_path, "convert b.tif out.zarr", "--overwrite")
    check_refused(tmp_path, "convert b.tif out.tif", "--overwrite")
    zoo(tmp_path, "convert b.tif out.zarr --overwrite")
    zoo(tmp_path, "convert out.zarr out.tif --overwrite")
    assert open_volume(tmp_path / "out.tif").shape == (4, 20, 30)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("convert a.tif b.czi", "allowed are .zarr, .tif"),
        ("convert c.tif b.zarr", "c.tif does not exist"),
        ("convert a.tif a.tif --overwrite", "would be replaced"),
        ("convert a.zarr a.zarr --overwrite", "would be replaced"),
        ("convert a.zarr/0 a.zarr --overwrite", "would be replaced"),
        ("convert a.tif folder.zarr --overwrite", "is no OME-Zarr, so it is not removed"),
        ("convert a.tif a.tif/b.zarr", "as a.tif is a file"),
        ("convert a.zarr b.tif --labels", "--labels means nothing to a TIFF"),
        ("convert a.zarr b.tif --version 0.4", "--version means nothing to a TIFF"),
        ("convert a.zarr b.tif --chunk 2 2 2", "--chunk means nothing to a TIFF"),
        ("convert a.tif b.zarr --chunk 0 2 2", "--chunk"),
        ("convert a.tif b.zarr --spacing 1 0 1", "three positive numbers"),
        ("convert a.tif b.zarr --channel 1", "has no channel 1"),
        ("convert half.zarr b.tif", "float16, which OME-TIFF lacks"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(tmp_path, command, said):
    write_image(tmp_path / "a.tif", noise((4, 20, 30)), UM)
    zoo(tmp_path, "convert a.tif a.zarr")
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr" / "notes.txt").write_text("mine")
    create(tmp_path / "half.zarr", (4, 20, 30), np.float16, UM)
    check_refused(tmp_path, command, said)


@pytest.mark.parametrize("out", ["b.tif", "b.zarr"])
def test_a_damaged_chunk_stops_it_and_leaves_nothing(tmp_path, out):
    array = noise((4, 20, 30))
    create(tmp_path / "a.zarr", array.shape, array.dtype, UM, chunks=(2, 20, 30))[:] = array
    build_pyramid(tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr" / "0" / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-5])
    check_refused(tmp_path, f"convert a.zarr {out}", "0/c/1/0/0 (z 2 to 3, ")


@pytest.mark.parametrize("out", ["b.tif", "b.zarr"])
def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch, out):
    write_image(tmp_path / "a.tif", noise(), UM)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tifffile, "imwrite", full)
    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    check_refused(tmp_path, f"convert a.tif {out}", "free some space")


MEASURE = """
import re, sys
from pathlib import Path
from zoo.cli import main
import numpy, rich.progress, tifffile, zarr, zoo.data.volumes

def peak():  # not getrusage, which counts the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

sys.modules["zoo.cli.convert"].BLOCK_BYTES = 4e6
before = peak()
main.main(sys.argv[1:], standalone_mode=False)
print(peak() - before)
"""


def test_memory_stays_below_the_size_of_the_volume(tmp_path):
    shape = (256, 512, 512)  # 128 MB
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint16, shape)
    array[200, 400, 300] = 7
    del array
    for command in ("a.npy a.zarr --chunk 32 128 128", "a.zarr a.tif"):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, "convert", *command.split(), "--spacing", "1", "1", "1"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert float(done.stdout) < 80, command
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].shape == shape
        assert tif.pages[200].asarray()[400, 300] == 7
