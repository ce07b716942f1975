import errno
import json
import os
import resource
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import ome_zarr_models
import ome_zarr_models.v04 as v04
import ome_zarr_models.v05 as v05
import pytest
import zarr
from volume_files import UM, VERSIONS, noise, write

from zoo.data.omezarr import add_labels, boxes, build_pyramid, create, is_omezarr, new_group
from zoo.errors import InputError


def level(path, number):
    return zarr.open_array(str(path / str(number)), mode="r")


def multiscale(path):
    """Read the metadata with the models of NGFF, written by others."""
    return ome_zarr_models.open_ome_zarr(zarr.open_group(str(path), mode="r")).ome_attributes.multiscales[0]


def transforms(path):
    told = [d.coordinateTransformations for d in multiscale(path).datasets]
    return [(t[0].scale, t[1].translation if len(t) > 1 else None) for t in told]


@VERSIONS
def test_an_image_with_labels_is_valid_ngff(tmp_path, version):
    models = v04 if version == "0.4" else v05
    image = tmp_path / "image.ome.zarr"
    write(image, noise((3, 300, 20)), version=version, name="a")
    for name in ("nuclei", "cells", "nuclei"):
        add_labels(image, name)
    for name in ("nuclei", "cells"):
        write(image / "labels" / name, noise((3, 300, 20), np.uint32), version=version, labels=True)

    def read(path):
        return ome_zarr_models.open_ome_zarr(zarr.open_group(str(path), mode="r"))

    assert isinstance(read(image), models.Image)
    assert isinstance(read(image / "labels" / "nuclei"), models.ImageLabel)
    labels = models.Labels.from_zarr(zarr.open_group(str(image / "labels"), mode="r"))
    assert list(labels.ome_attributes.labels) == ["nuclei", "cells"]
    assert multiscale(image).name == "a"
    array = level(image, 0)
    assert array.metadata.zarr_format == (2 if version == "0.4" else 3)
    assert (image / "0" / ("0/0/0" if version == "0.4" else "c/0/0/0")).is_file()
    assert version == "0.4" or array.metadata.dimension_names == ("z", "y", "x")


@VERSIONS
def test_axes_and_units(tmp_path, version):
    write(tmp_path / "a", noise((2, 3, 4, 5)), version=version)
    write(tmp_path / "b", noise((3, 4, 5)), None, version=version)
    told = [(a.name, a.type, a.unit) for a in multiscale(tmp_path / "a").axes]
    assert told == [("t", "time", None), *((a, "space", "micrometer") for a in "zyx")]
    assert transforms(tmp_path / "a") == [([1, *UM], None)]
    assert [a.unit for a in multiscale(tmp_path / "b").axes] == [None] * 3
    assert transforms(tmp_path / "b") == [([1, 1, 1], None)]


def test_z_is_halved_once_voxels_are_about_cubes(tmp_path):
    create(tmp_path / "a", (200, 1600, 1500), np.uint8, (2.0, 0.5, 0.5))
    shapes = [level(tmp_path / "a", n).shape for n in range(4)]
    # x is 0.5, 1.0, 2.0: from there on voxels are cubes
    assert shapes == [(200, 1600, 1500), (200, 800, 750), (200, 400, 375), (100, 200, 188)]
    assert [t[0] for t in transforms(tmp_path / "a")] == [[2, 0.5, 0.5], [2, 1, 1], [2, 2, 2], [4, 4, 4]]
    create(tmp_path / "b", (600, 256, 256), np.uint8, (1.0, 1.0, 1.0))
    assert [level(tmp_path / "b", n).shape for n in range(3)] == [
        (600, 256, 256),
        (300, 128, 128),
        (150, 64, 64),
    ]
    create(tmp_path / "c", (256, 256, 256), np.uint8, UM)
    assert sorted(os.listdir(tmp_path / "c")) == ["0", "zarr.json"]


def naive_mean(array, step):
    shape = [-(-n // s) for n, s in zip(array.shape, step, strict=True)]
    out = np.zeros(shape)
    for at in np.ndindex(*shape):
        out[at] = array[tuple(slice(i * s, i * s + s) for i, s in zip(at, step, strict=True))].mean()
    return out


@VERSIONS
@pytest.mark.parametrize("chunks", [None, (2, 3, 50)])
def test_levels_of_an_image_are_means_at_odd_edges_too(tmp_path, version, chunks):
    array = noise((5, 7, 301), high=65536)
    write(tmp_path / "a", array, (1.0, 1.0, 1.0), version=version, chunks=chunks)
    made = level(tmp_path / "a", 1)[:]
    assert made.dtype == np.uint16
    assert np.abs(made - naive_mean(array, (2, 2, 2))).max() <= 0.5
    assert np.array_equal(level(tmp_path / "a", 0)[:], array)


def test_a_level_of_whole_means_is_exact_and_does_not_overflow(tmp_path):
    array = np.full((2, 2, 300), 65535, np.uint16)
    array[0, 0, :2] = [65533, 65527]
    write(tmp_path / "a", array, (1.0, 1.0, 1.0))
    assert level(tmp_path / "a", 1)[0, 0, :2].tolist() == [65534, 65535]  # 8 voxels lack 2 + 8 in all: 1.25


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_levels_of_other_types(tmp_path, dtype):
    array = (noise((4, 6, 300)).astype(float) - 30000).astype(dtype)
    array[0] += dtype(0.25) if np.dtype(dtype).kind == "f" else dtype(0)
    write(tmp_path / "a", array, (4.0, 1.0, 1.0))
    made = level(tmp_path / "a", 1)[:]
    assert made.dtype == dtype
    tolerance = 0.5 if np.dtype(dtype).kind == "i" else 0.01
    np.testing.assert_allclose(made, naive_mean(array, (1, 2, 2)), rtol=0, atol=tolerance)


def test_levels_of_labels_hold_their_first_voxels(tmp_path):
    array = noise((5, 7, 601), np.uint32, 2**32)
    write(tmp_path / "a", array, (1.0, 1.0, 1.0), labels=True)
    assert np.array_equal(level(tmp_path / "a", 1)[:], array[::2, ::2, ::2])
    assert np.array_equal(level(tmp_path / "a", 2)[:], array[::4, ::4, ::4])
    assert [t[1] for t in transforms(tmp_path / "a")] == [None] * 3


def test_time_points_are_not_mixed(tmp_path):
    array = noise((3, 2, 4, 300))
    write(tmp_path / "a", array, (9.0, 1.0, 1.0), chunks=(2, 4, 100))
    made = level(tmp_path / "a", 1)
    assert made.shape == (3, 2, 2, 150)
    assert made.chunks == (1, 2, 2, 100)
    assert np.abs(made[:] - naive_mean(array, (1, 1, 2, 2))).max() <= 0.5


def test_centres_of_coarse_voxels_lie_amid_the_fine_ones(tmp_path):
    create(tmp_path / "a", (8, 8, 1000), np.uint8, (1.0, 1.0, 0.5))
    for number, (scale, shift) in enumerate(transforms(tmp_path / "a")):
        for axis, size in enumerate((1.0, 1.0, 0.5)):
            spans = round(scale[axis] / size)
            centre = np.mean(size * (3 * spans + np.arange(spans)))  # of voxel 3
            assert 3 * scale[axis] + (shift[axis] if shift else 0) == pytest.approx(centre), number
    assert len(transforms(tmp_path / "a")) == 3


def test_boxes_cover_every_voxel_once():
    seen = np.zeros((5, 7, 4), int)
    for box in boxes(seen.shape, (2, 3, 4)):
        seen[box] += 1
    assert (seen == 1).all()
    assert len(list(boxes(seen.shape, (2, 3, 4)))) == 3 * 3 * 1


def test_empty_chunks_take_no_room(tmp_path):
    array = create(tmp_path / "a", (64, 10**5, 10**5), np.uint32, UM)  # 2.5 TB
    array[:, :128, :128] = 7
    files = [p for p in (tmp_path / "a" / "0").rglob("*") if p.is_file() and p.name != "zarr.json"]
    assert [p.relative_to(tmp_path / "a" / "0").as_posix() for p in files] == ["c/0/0/0"]


@pytest.mark.parametrize(
    ("shape", "dtype", "spacing", "chunks", "said"),
    [
        ((4, 5), np.uint8, UM, None, "give (Z, Y, X)"),
        ((4, 0, 5), np.uint8, UM, None, "give (Z, Y, X)"),
        ((4, 5, 6), bool, UM, None, "of type bool"),
        ((4, 5, 6), np.complex64, UM, None, "of type complex64"),
        ((4, 5, 6), np.uint8, (1.0, 0.0, 1.0), None, "not a voxel size"),
        ((4, 5, 6), np.uint8, (1.0, np.nan, 1.0), None, "not a voxel size"),
        ((4, 5, 6), np.uint8, UM, (0, 1, 1), "no shape of a chunk"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, shape, dtype, spacing, chunks, said):
    with pytest.raises(InputError) as fault:
        create(tmp_path / "a", shape, dtype, spacing, chunks=chunks)
    assert said in str(fault.value)
    assert os.listdir(tmp_path) == []


def test_an_image_is_not_made_on_top_of_another(tmp_path):
    write(tmp_path / "a", noise((3, 4, 5)))
    with pytest.raises(InputError, match="not empty"):
        create(tmp_path / "a", (3, 4, 5), np.uint8, UM)


@VERSIONS
def test_is_omezarr_looks_into_the_folder(tmp_path, version):
    write(tmp_path / "image", noise((3, 4, 5)), version=version)
    (tmp_path / "empty.ome.zarr").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "zarr.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "zarr.json").write_text(json.dumps({"attributes": ["ome"]}))
    zarr.create_group(str(tmp_path / "plain"))
    assert is_omezarr(tmp_path / "image")
    assert is_omezarr(str(tmp_path / "image"))
    for name in ("image/0", "empty.ome.zarr", "torn", "odd", "plain", "missing"):
        assert not is_omezarr(tmp_path / name), name


@pytest.mark.parametrize("work", [build_pyramid, lambda path: add_labels(path, "a")])
def test_what_is_no_image_gets_no_levels_and_no_labels(tmp_path, work):
    with pytest.raises(InputError, match="no OME-Zarr image"):
        work(tmp_path)
    assert os.listdir(tmp_path) == []


# new_group


def test_a_group_appears_only_at_the_end(tmp_path):
    target = tmp_path / "new" / "a.ome.zarr"
    with new_group(target, overwrite=False) as part:
        write(part, noise((3, 4, 5)))
        assert not target.parent.exists()
    assert is_omezarr(target)
    assert os.listdir(tmp_path) == ["new"]
    assert os.listdir(tmp_path / "new") == ["a.ome.zarr"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, InputError])
def test_a_group_that_is_not_finished_leaves_the_old_one(tmp_path, stop):
    target = tmp_path / "a"
    write(target, noise((3, 4, 5)))

    def write_half():
        with new_group(target, overwrite=True) as part:
            write(part, noise((6, 7, 8)))
            raise stop

    with pytest.raises(stop):
        write_half()
    assert level(target, 0).shape == (3, 4, 5)
    assert os.listdir(tmp_path) == ["a"]


def test_a_group_is_replaced_only_when_told(tmp_path):
    target = tmp_path / "a"
    write(target, noise((3, 4, 5)))
    with pytest.raises(InputError, match="--overwrite"), new_group(target, overwrite=False):
        pytest.fail("went on")
    with new_group(target, overwrite=True) as part:
        write(part, noise((6, 7, 8)), version="0.4")
    assert level(target, 0).shape == (6, 7, 8)
    assert not (target / "zarr.json").exists()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_text("notes")])
def test_other_folders_and_files_are_never_removed(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(InputError, match="not removed"), new_group(tmp_path / "a", overwrite=True):
        pytest.fail("went on")
    assert os.listdir(tmp_path) == ["a"]


@contextmanager
def files_no_larger_than(size):
    """Let the system refuse larger files, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@VERSIONS
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, version):
    target = tmp_path / "a"
    with (
        pytest.raises(InputError, match="free some space"),
        files_no_larger_than(20000),
        new_group(target, overwrite=False) as part,
    ):
        write(part, noise((64, 128, 128)), version=version)
    assert os.listdir(tmp_path) == []


def test_a_place_that_may_not_be_written_to_is_told(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match="Read-only"), new_group(tmp_path / "a", overwrite=False):
        pytest.fail("went on")


def test_every_corner_of_a_mean_counts(tmp_path):
    for corner in product((0, 1), repeat=3):
        array = np.zeros((2, 2, 258), np.float32)
        array[corner] = 8
        path = tmp_path / "".join(map(str, corner))
        write(path, array, (1.0, 1.0, 1.0))
        assert level(path, 1)[0, 0, 0] == 1, corner
