"""What is written is read back: every type, every order of axes, every voxel size."""

from shutil import rmtree

import numpy as np
import pytest
import tifffile
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import SEEDS

from zoo.data.io import parse_frames, read_image, read_labels
from zoo.data.omezarr import build_pyramid, create
from zoo.data.volumes import open_volume
from zoo.data.write import ome_metadata, smallest_unsigned, write_image, write_labels

IMAGES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
LABELS = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
SPACINGS = st.tuples(*[st.floats(0.01, 100)] * 3)
SHAPES = st.tuples(st.integers(2, 5), st.integers(1, 9), st.integers(1, 9)).filter(lambda s: s[1] * s[2] > 1)
STACKS = SHAPES | st.tuples(st.integers(1, 3), SHAPES).map(lambda s: (s[0], *s[1]))
ORDERS = st.sampled_from(["ZYX", "TZYX", "CZYX", "TZCYX", "ZCYX", "TCZYX", "ZTYX"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


def filled(seed, shape, dtype):
    """Random voxels over the whole range of a type; no frame is constant."""
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    if kind.kind == "f":
        voxels = (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 6)).astype(kind)
    else:
        voxels = rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape, kind, endpoint=True)
    voxels[..., 0, 0, 0] = 1
    voxels[..., 1, 0, 0] = 2
    return voxels


def as_series(voxels):
    return voxels.reshape(-1, *voxels.shape[-3:])


@given(SEEDS, STACKS, st.sampled_from(IMAGES), SPACINGS)
@example(seed=0, shape=(3, 4, 3), dtype="uint8", spacing=(1.0, 1.0, 1.0))
def test_images_come_back(folder, seed, shape, dtype, spacing):
    image = filled(seed, shape, dtype)
    write_image(folder / "image.tif", image, spacing)
    found = read_image(folder / "image.tif")
    assert found.frames.dtype == image.dtype
    np.testing.assert_array_equal(found.frames, as_series(image))
    assert found.spacing == pytest.approx(spacing, rel=1e-6)


@given(SEEDS, STACKS, st.sampled_from(LABELS), st.integers(0, 2**32 - 1), SPACINGS)
@example(seed=0, shape=(2, 2, 1), dtype="uint8", most=9, spacing=(1.0, 1.0, 1.0))  # a single column
@example(seed=0, shape=(2, 1, 2), dtype="bool", most=0, spacing=(1.0, 1.0, 1.0))
def test_labels_come_back_in_the_smallest_type(folder, seed, shape, dtype, most, spacing):
    most = min(most, 1 if dtype == "bool" else np.iinfo(dtype).max)
    labels = np.random.default_rng(seed).integers(0, most, shape, np.int64, endpoint=True).astype(dtype)
    write_labels(folder / "labels.tif", labels, spacing)
    found = read_labels(folder / "labels.tif")
    np.testing.assert_array_equal(found.frames, as_series(labels))
    assert found.frames.dtype == smallest_unsigned(int(labels.max()))
    assert found.spacing == pytest.approx(spacing, rel=1e-6)


@given(SEEDS, STACKS, st.sampled_from(["uint16", "float64"]), st.data())
def test_views_of_any_layout_are_written_as_what_they_show(folder, seed, shape, dtype, data):
    image = filled(seed, shape, dtype)
    how = data.draw(st.sampled_from(["fortran", "flipped", "big-endian", "transposed"]))
    view = {
        "fortran": np.asfortranarray(image),
        "flipped": np.flip(np.ascontiguousarray(np.flip(image))),
        "big-endian": image.astype(image.dtype.newbyteorder(">")),
        "transposed": np.ascontiguousarray(image.swapaxes(-1, -2)).swapaxes(-1, -2),
    }[how]
    write_image(folder / "view.tif", view, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(read_image(folder / "view.tif").frames, as_series(image))


@given(
    SEEDS,
    ORDERS,
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4), st.integers(2, 6), st.integers(2, 6)),
    st.sampled_from(["uint8", "uint16", "int32", "float32", "float64"]),
    st.sampled_from(["ome", "imagej"]),
    SPACINGS,
)
@example(0, "ZCYX", (1, 2, 3, 4, 5), "uint8", "ome", (1.0, 1.0, 1.0))
def test_axes_come_back_in_any_order(folder, seed, order, lengths, dtype, form, spacing):
    size = dict(zip("TCZYX", lengths, strict=True))
    if form == "imagej":  # it knows one order and three types
        order, dtype = "TZCYX", dtype if dtype in ("uint8", "uint16", "float32") else "uint16"
    full = filled(seed, [size[a] if a in order else 1 for a in "TCZYX"], dtype)
    kept = full[tuple(slice(None) if a in order else 0 for a in "TCZYX")]
    names = [a for a in "TCZYX" if a in order]
    array = np.ascontiguousarray(kept.transpose([names.index(a) for a in order]))
    path = folder / "axes.tif"
    if form == "ome":
        options = {"ome": True, "metadata": ome_metadata(order, spacing)}
    else:
        z, y, x = spacing
        options = {
            "imagej": True,
            "resolution": (1 / x, 1 / y),
            "metadata": {"axes": order, "spacing": z, "unit": "um"},
        }
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    channels = size["C"] if "C" in order else 1
    for channel in range(channels):
        found = read_image(path, channel=channel)
        np.testing.assert_array_equal(found.frames, full[:, channel])
        assert found.spacing == pytest.approx(spacing, rel=1e-6)
        last = open_volume(path, channel=channel, time=len(full) - 1)
        np.testing.assert_array_equal(last.read(tuple(slice(0, n) for n in last.shape)), full[-1, channel])


@given(SEEDS, STACKS, st.sampled_from(IMAGES), st.booleans(), st.sampled_from("<>"))
def test_numpy_files_come_back(folder, seed, shape, dtype, fortran, order):
    image = filled(seed, shape, dtype)
    stored = np.asarray(image, order="F" if fortran else "C")
    np.save(folder / "i.npy", stored.astype(stored.dtype.newbyteorder(order), copy=False))
    found = read_image(folder / "i.npy")
    assert (found.frames.dtype, found.series, found.spacing) == (image.dtype, image.ndim == 4, None)
    np.testing.assert_array_equal(found.frames, as_series(image))


@given(
    SEEDS, STACKS, st.sampled_from(IMAGES), SPACINGS | st.none(), st.sampled_from(["0.4", "0.5"]), st.data()
)
def test_boxes_of_an_omezarr_come_back(folder, seed, shape, dtype, spacing, version, data):
    image = filled(seed, shape, dtype)
    chunks = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    path = folder / "i.ome.zarr"
    rmtree(path, ignore_errors=True)
    level = create(path, shape, dtype, spacing, version=version, chunks=chunks)
    level[...] = image
    build_pyramid(path)
    for time, frame in enumerate(as_series(image)):
        volume = open_volume(path, time=time)
        assert volume.spacing == (None if spacing is None else pytest.approx(spacing))
        ends = [sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2))) for n in frame.shape]
        box = tuple(slice(*side) for side in ends)
        found = volume.read(box)
        assert found.dtype == image.dtype
        np.testing.assert_array_equal(found, frame[box])


@given(st.integers(1, 300), st.data())
def test_chosen_frames_are_those_of_python_slices(count, data):
    parts, expected = [], set()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, count - 1))
        stop, step = data.draw(st.integers(start + 1, count) | st.none()), data.draw(st.integers(1, 40))
        parts.append(f"{start}:{'' if stop is None else stop}:{step}")
        expected |= set(range(count)[start:stop:step])
    found = parse_frames(",".join(parts), count)
    assert found == tuple(sorted(expected))
    assert parse_frames(",".join(map(str, found)), count) == found
