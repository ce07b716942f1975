"""Boxes of volumes in TIFF and .npy, and volumes in other processes."""

import multiprocessing
import os
import pickle

import numpy as np
import pytest
import tifffile
import tifffile.zarr
from volume_files import BOX, UM, WHOLE, noise, refusal, write

from zoo.data import volumes
from zoo.data.io import read_image
from zoo.data.volumes import open_volume
from zoo.data.write import write_image
from zoo.errors import InputError

# TIFF

LAYOUTS = {
    "plain": {"metadata": {"axes": "TZCYX"}},
    "imagej": {"imagej": True, "metadata": {"axes": "TZCYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TZCYX"}},
    "big_endian": {"imagej": True, "metadata": {"axes": "TZCYX"}, "byteorder": ">"},
    "zlib": {"ome": True, "compression": "zlib", "metadata": {"axes": "TZCYX"}},
    "zlib_big_endian": {"compression": "zlib", "byteorder": ">", "metadata": {"axes": "TZCYX"}},
    "strips": {"compression": "lzw", "rowsperstrip": 7, "predictor": True, "metadata": {"axes": "TZCYX"}},
    "tiles": {"compression": "zlib", "tile": (16, 32), "bigtiff": True, "metadata": {"axes": "TZCYX"}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_box_of_a_tiff_is_what_read_image_reads(tmp_path, layout):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((3, 6, 2, 40, 50)), photometric="minisblack", **LAYOUTS[layout])
    for time in (0, 2):
        stack = read_image(path, channel=1, frames=str(time))
        volume = pickle.loads(pickle.dumps(open_volume(path, channel=1, time=time)))
        assert (volume.shape, volume.times, volume.series) == ((6, 40, 50), 3, True)
        for box in (BOX, WHOLE):
            read = volume.read(box)
            assert read.dtype == np.dtype("=u2")
            assert np.array_equal(read, stack.frames[0][box])
    assert "has 2 channels" in refusal(path)
    assert "has no time point 3" in refusal(path, channel=0, time=3)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])  # an ImageJ hyperstack and a compressed OME-TIFF
def test_what_zoo_writes_has_its_voxel_size(tmp_path, dtype):
    write_image(tmp_path / "a.tif", noise(dtype=np.int64).astype(dtype), UM)
    volume = open_volume(tmp_path / "a.tif")
    assert volume.spacing == pytest.approx(UM)
    assert (volume.times, volume.series) == (1, False)


def test_only_the_planes_of_a_box_are_decoded(tmp_path, monkeypatch):
    path, array = tmp_path / "a.tif", noise((40, 64, 64))
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib", rowsperstrip=16)
    fetched = []
    get = tifffile.zarr.ZarrTiffStore.get

    async def count(self, key, *args, **kwargs):
        fetched.append(key)
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(tifffile.zarr.ZarrTiffStore, "get", count)
    read = open_volume(path).read((slice(10, 12), slice(20, 40), slice(0, 64)))
    assert np.array_equal(read, array[10:12, 20:40])
    assert sorted(key for key in fetched if "z" not in key) == ["10.1.0", "10.2.0", "11.1.0", "11.2.0"]


def test_a_damaged_strip_is_named_and_the_others_are_read(tmp_path, capfd):
    path, array = tmp_path / "a.tif", noise((8, 64, 64))
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib", rowsperstrip=16)
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[5].dataoffsets[2]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * 64)
    volume = open_volume(path)
    with pytest.raises(
        InputError, match=r"a\.tif, the part z 5 to 5, y 32 to 47, x 0 to 63, cannot be decoded"
    ):
        volume.read((slice(0, 8), slice(0, 64), slice(0, 64)))
    assert np.array_equal(volume.read((slice(0, 5), slice(0, 64), slice(0, 64))), array[:5])
    assert np.array_equal(volume.read((slice(5, 8), slice(0, 32), slice(0, 64))), array[5:, :32])
    assert capfd.readouterr() == ("", "")


def test_bad_tiffs_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((40, 50)))
    assert "is 2-D" in refusal(path)
    tifffile.imwrite(path, noise((4, 40, 50, 3), np.uint8), photometric="rgb")
    assert "RGB" in refusal(path)
    tifffile.imwrite(path, noise((4, 40, 50)) > 9, photometric="minisblack")
    assert "has the type bool" in refusal(path)
    tifffile.imwrite(path, noise(), photometric="minisblack")
    os.truncate(path, path.stat().st_size // 2)
    assert "truncated or damaged" in refusal(path)
    assert "unknown suffix" in refusal(path.rename(tmp_path / "a.czi"))


# .npy


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_box_of_an_npy(tmp_path, order):
    array = np.asarray(noise((3, 6, 40, 50)), order=order)
    np.save(tmp_path / "a.npy", array)
    volume = open_volume(tmp_path / "a.npy", time=1)
    assert (volume.shape, volume.times, volume.series, volume.spacing) == ((6, 40, 50), 3, True, None)
    assert np.array_equal(volume.read(BOX), array[1][BOX])
    assert np.array_equal(volume.at(2).read(BOX), array[2][BOX])
    with pytest.raises(InputError, match="no time point 3"):
        volume.at(3)


def test_bad_npys_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    for array, said in ((noise((4, 5)), "has the shape"), (noise((1, 4, 5)), "has the shape")):
        np.save(path, array)
        assert said in refusal(path)
    path.write_bytes(b"no array")
    assert "is not a .npy" in refusal(path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "i.npy")
    with pytest.raises(InputError, match="pipe"):
        open_volume(tmp_path / "i.npy")


# in other processes


def test_volumes_go_to_other_processes(tmp_path):
    """Those that have been read too: nothing that is open goes along."""
    array = noise()
    write(tmp_path / "a.zarr", array)
    np.save(tmp_path / "a.npy", array)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", compression="zlib")
    opened = [open_volume(tmp_path / name) for name in ("a.zarr", "a.npy", "a.tif")]
    for volume in opened:
        volume.read(BOX)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        read = pool.starmap(volumes.Volume.read, [(volume, BOX) for volume in opened])
    assert all(np.array_equal(part, array[BOX]) for part in read)
