"""Boxes of volumes in OME-Zarr, as zoo and as others write it; what is refused."""

import json
import shutil
import sys

import numpy as np
import psutil
import pytest
import zarr
from volume_files import BOX, UM, VERSIONS, WHOLE, noise, refusal, write

from zoo.data.omezarr import add_labels, create
from zoo.data.volumes import open_volume
from zoo.errors import InputError


def write_group(path, array, axes, scales=(), units=None, version="0.5", levels=None, outer=None):
    """Write an OME-Zarr as other programs do: any axes, any transformations."""
    group = zarr.create_group(str(path), zarr_format=3 if version == "0.5" else 2)
    for number, level in enumerate(levels or [array]):
        group.create_array(str(number), data=level, chunks=tuple(min(n, 16) for n in level.shape))
    kinds = {"t": "time", "c": "channel"}
    units = units or {}
    told = [
        {"name": a, "type": kinds.get(a.lower(), "space")} | ({"unit": units[a]} if a in units else {})
        for a in axes
    ]
    transforms = [{"type": "scale", "scale": list(scale)} for scale in scales]
    multiscale = {
        "axes": told,
        "datasets": [
            {"path": str(n), "coordinateTransformations": transforms} for n in range(len(levels or [array]))
        ],
    }
    if outer:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": list(outer)}]
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    else:
        group.attrs["multiscales"] = [{"version": "0.4", **multiscale}]
    return path


@VERSIONS
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float32])
def test_a_box_of_an_omezarr_is_that_of_the_array(tmp_path, version, dtype):
    array = noise(dtype=dtype)
    volume = open_volume(write(tmp_path / "a", array, version=version, chunks=(4, 16, 16)))
    assert (volume.shape, volume.dtype, volume.spacing) == ((6, 40, 50), np.dtype(dtype), UM)
    assert (volume.times, volume.series, volume.source) == (1, False, tmp_path / "a")
    for box in (BOX, WHOLE):
        read = volume.read(box)
        assert read.dtype == dtype
        assert read.flags.c_contiguous
        assert read.flags.writeable
        assert np.array_equal(read, array[box])


@VERSIONS
def test_labels_inside_an_image_are_a_volume(tmp_path, version):
    write(tmp_path / "a", noise(), version=version)
    add_labels(tmp_path / "a", "nuclei")
    labels = noise(dtype=np.uint32)
    write(tmp_path / "a" / "labels" / "nuclei", labels, version=version, labels=True)
    assert np.array_equal(open_volume(tmp_path / "a" / "labels" / "nuclei").read(BOX), labels[BOX])
    assert "give one of them, such as" in refusal(tmp_path / "a" / "labels")


@VERSIONS
@pytest.mark.parametrize("axes", ["tczyx", "czyx", "tzyx", "zyx", "cztyx", "xyz", "TCZYX"])
def test_axes_may_come_in_any_order(tmp_path, version, axes):
    sizes = {"t": 3, "c": 2, "z": 4, "y": 5, "x": 6}
    names = axes.lower()
    array = noise([sizes[a] for a in names])
    scale = [{"z": 2.0, "y": 0.5, "x": 0.25}.get(a, 1.0) for a in names]
    path = write_group(tmp_path / "a", array, axes, [scale], dict.fromkeys(axes, "micrometer"), version)
    channel = 1 if "c" in names else None
    time = 2 if "t" in names else 0
    volume = open_volume(path, channel=channel, time=time)
    index = {"t": time, "c": channel, "z": slice(1, 3), "y": slice(0, 4), "x": slice(2, 6)}
    wanted = array[tuple(index[a] for a in names)]
    left = [a for a in names if a in "zyx"]
    wanted = np.moveaxis(wanted, [left.index(a) for a in "zyx"], [0, 1, 2])
    assert np.array_equal(volume.read((index["z"], index["y"], index["x"])), wanted)
    assert (volume.shape, volume.spacing) == ((4, 5, 6), (2.0, 0.5, 0.25))
    assert (volume.times, volume.series) == ((3, True) if "t" in names else (1, False))
    if "t" in names:
        frames = [volume.at(t).read((slice(0, 4), slice(0, 5), slice(0, 6))) for t in range(3)]
        direct = [
            open_volume(path, channel=channel, time=t).read(tuple(map(slice, [0] * 3, (4, 5, 6))))
            for t in range(3)
        ]
        assert np.array_equal(frames, direct)
        assert len({frame.tobytes() for frame in frames}) == 3


@pytest.mark.parametrize(
    ("units", "scales", "outer", "spacing"),
    [
        ("micrometer", [(2, 0.5, 0.25)], None, (2.0, 0.5, 0.25)),
        ("nanometer", [(2000, 500, 250)], None, (2.0, 0.5, 0.25)),
        ("millimeter", [(0.002, 0.0005, 0.00025)], None, (2.0, 0.5, 0.25)),
        ("angstrom", [(20000, 5000, 2500)], None, (2.0, 0.5, 0.25)),
        ("micrometer", [(1, 1, 1)], (2, 0.5, 0.25), (2.0, 0.5, 0.25)),
        ("micrometer", [(2, 2, 2)], (1, 0.25, 0.125), (2.0, 0.5, 0.25)),
        ("micrometer", [], None, None),
        ("micrometer", [(0, 1, 1)], None, None),
        ("inch", [(2, 0.5, 0.25)], None, None),
        (None, [(2, 0.5, 0.25)], None, None),
    ],
)
def test_voxel_sizes_become_um_or_are_unknown(tmp_path, units, scales, outer, spacing):
    told = {} if units is None else dict.fromkeys("zyx", units)
    volume = open_volume(write_group(tmp_path / "a", noise(), "zyx", scales, told, outer=outer))
    assert volume.spacing == (None if spacing is None else pytest.approx(spacing))


def test_a_written_volume_without_a_voxel_size_has_none(tmp_path):
    assert open_volume(write(tmp_path / "a", noise(), None)).spacing is None


@VERSIONS
@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_chunk_is_named_and_the_others_are_read(tmp_path, version, damage):
    array = noise()
    path = write(tmp_path / "a", array, version=version, chunks=(4, 16, 16))
    chunk = path / "0" / ("1/2/0" if version == "0.4" else "c/1/2/0")
    stored = bytearray(chunk.read_bytes())
    stored[len(stored) // 2] ^= 0xFF
    chunk.write_bytes({"truncate": stored[:-9], "flip": stored, "empty": b""}[damage])
    volume = open_volume(path)
    with pytest.raises(InputError) as fault:
        volume.read(WHOLE)
    assert f"the chunk {chunk} (z 4 to 5, y 32 to 39, x 0 to 15)" in str(fault.value)
    assert "\n" not in str(fault.value)
    beside = (slice(0, 6), slice(0, 40), slice(16, 50))
    assert np.array_equal(volume.read(beside), array[beside])


def test_a_volume_larger_than_any_memory_is_read_by_boxes(tmp_path):
    array = create(tmp_path / "a", (10**5, 10**5, 10**5), np.uint16, UM)
    array[70000:70002, 90000:90001, 5:9] = 7
    volume = open_volume(tmp_path / "a")
    assert volume.read((slice(69999, 70003), slice(90000, 90002), slice(0, 10))).sum() == 2 * 4 * 7


def test_a_chunk_larger_than_the_memory_is_refused(tmp_path):
    edge = 2 ** (psutil.virtual_memory().total.bit_length() // 3 + 1)
    create(tmp_path / "a", (edge,) * 3, np.uint16, UM, chunks=(edge,) * 3)
    assert "write it anew with smaller ones" in refusal(tmp_path / "a")


def change(path, **changed):
    """Change the OME metadata of a group."""
    told = json.loads((path / "zarr.json").read_text())
    told["attributes"]["ome"] |= changed
    (path / "zarr.json").write_text(json.dumps(told))


def test_what_is_no_readable_image_is_told_in_one_line(tmp_path):
    assert "does not exist" in refusal(tmp_path / "missing.ome.zarr")
    (tmp_path / "empty").mkdir()
    assert "no OME-Zarr image" in refusal(tmp_path / "empty")
    path = write(tmp_path / "a", noise())
    assert "give the folder above" in refusal(path / "0")
    assert "has no time point 1" in refusal(path, time=1)
    assert "has no time point -1" in refusal(path, time=-1)
    assert "has no channel 1" in refusal(path, channel=1)
    change(path, version="0.6")
    assert "NGFF 0.6" in refusal(path)
    change(path, version="0.5", multiscales=[])
    assert "incomplete or damaged" in refusal(path)
    change(path, multiscales=[{"axes": [{"name": a} for a in "zyx"], "datasets": []}])
    assert "incomplete or damaged" in refusal(path)
    change(path, multiscales=[{"axes": ["z", "y", "x"], "datasets": [{"path": "0"}]}])
    assert "incomplete or damaged" in refusal(path)
    (path / "0" / "zarr.json").write_text("{")
    change(path, multiscales=[{"axes": [{"name": a} for a in "zyx"], "datasets": [{"path": "0"}]}])
    assert f"level {path / '0'} cannot be opened" in refusal(path)


def test_older_collections_and_plates_are_told(tmp_path):
    path = write(tmp_path / "a", noise(), version="0.4")
    told = json.loads((path / ".zattrs").read_text())
    told["multiscales"][0]["version"] = "0.3"
    (path / ".zattrs").write_text(json.dumps(told))
    assert "NGFF 0.3" in refusal(path)
    for content, said in (("bioformats2raw.layout", "collection of images"), ("plate", "a plate: give")):
        (path / ".zattrs").write_text(json.dumps({content: 3}))
        assert said in refusal(path)


def test_arrays_that_are_no_volume_are_refused(tmp_path):
    two_channels = write_group(tmp_path / "c", noise((2, 4, 5, 6)), "czyx")
    assert "has 2 channels: give --channel" in refusal(two_channels)
    assert "allowed: 0 to 1" in refusal(two_channels, channel=2)
    assert "is 2-D" in refusal(write_group(tmp_path / "yx", noise((5, 6)), "yx"))
    assert "is 2-D" in refusal(write_group(tmp_path / "1yx", noise((1, 5, 6)), "zyx"))
    assert "has the axes" in refusal(write_group(tmp_path / "w", noise((2, 3, 5, 6)), "wzyx"))
    assert "has the axes" in refusal(write_group(tmp_path / "n", noise((3, 5, 6)), "tzyx"))
    assert "has the type bool" in refusal(write_group(tmp_path / "b", noise((3, 5, 6)) > 9, "zyx"))
    mixed = [noise(), noise((3, 20, 25), np.uint8)]
    assert "different types (uint16, uint8)" in refusal(
        write_group(tmp_path / "m", None, "zyx", levels=mixed)
    )
    path = write(tmp_path / "torn", noise((4, 8, 600)))
    shutil.rmtree(path / "1")
    assert f"level {path / '1'} cannot be opened" in refusal(path)


@pytest.mark.parametrize("box", [(0, 7), (-1, 3), (3, 3), (5, 2)])
def test_boxes_outside_the_volume_are_refused(tmp_path, box):
    volume = open_volume(write(tmp_path / "a", noise()))
    with pytest.raises(InputError, match="is not inside"):
        volume.read((slice(*box), slice(0, 4), slice(0, 4)))


def test_without_zarr_the_extra_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "a", noise())
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert "pip install 'cellzoo[zarr]'" in refusal(path)


@pytest.mark.parametrize("at", ["../other/0", "/etc", "{whole}", "link"])
def test_a_level_outside_of_its_image(tmp_path, at):
    for name in ("a.zarr", "other"):
        level = create(tmp_path / name, (4, 8, 8), np.uint8, (1, 1, 1), version="0.4")
        level[:] = 1
    (tmp_path / "a.zarr" / "link").symlink_to(tmp_path / "other" / "0")
    told = json.loads((tmp_path / "a.zarr" / ".zattrs").read_text())
    told["multiscales"][0]["datasets"][0]["path"] = at.format(whole=tmp_path / "other" / "0")
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps(told))
    with pytest.raises(InputError, match="lies outside of it"):
        open_volume(tmp_path / "a.zarr")


def test_chunks_without_a_voxel(tmp_path):
    create(tmp_path / "a.zarr", (4, 8, 8), np.uint8, (1, 1, 1), version="0.4")
    told = json.loads((tmp_path / "a.zarr" / "0" / ".zarray").read_text())
    (tmp_path / "a.zarr" / "0" / ".zarray").write_text(json.dumps(told | {"chunks": [0, 8, 8]}))
    with pytest.raises(InputError, match="without a voxel"):
        open_volume(tmp_path / "a.zarr")


def test_metadata_nested_too_deep_are_none(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zattrs").write_text("[" * 100_000)
    with pytest.raises(InputError, match="no OME-Zarr image"):
        open_volume(tmp_path / "a.zarr")
