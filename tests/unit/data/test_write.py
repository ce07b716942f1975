import errno
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from zoo.data import write
from zoo.data.io import read_image, read_labels
from zoo.data.write import atomic, smallest_unsigned, write_image, write_labels
from zoo.errors import InputError

SPACING = (1.75, 0.8, 0.123456789)


def volume(dtype, shape=(3, 4, 5, 6)):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


# atomic


def test_atomic_file_appears_only_at_the_end(tmp_path):
    target = tmp_path / "a.csv"
    with atomic(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
    assert target.read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_atomic_keeps_every_suffix(tmp_path):
    with atomic(tmp_path / "run.weights.h5") as temporary:
        assert temporary.suffixes == [".weights", ".h5"]


@pytest.mark.parametrize("stop", [ValueError("broken"), KeyboardInterrupt(), SystemExit(1)])
def test_atomic_stopped_leaves_the_older_file_and_nothing_else(tmp_path, stop):
    target = tmp_path / "a.txt"
    target.write_text("older")

    def write_half():
        with atomic(target) as temporary:
            temporary.write_text("half")
            raise stop

    with pytest.raises(type(stop)):
        write_half()
    assert target.read_text() == "older"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_atomic_makes_missing_folders(tmp_path):
    with atomic(tmp_path / "new" / "deeper" / "a.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "new" / "deeper" / "a.txt").read_text() == "x"


def test_atomic_gives_the_permissions_of_a_usual_file(tmp_path):
    with atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    usual = tmp_path / "b.txt"
    usual.write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == usual.stat().st_mode


def test_atomic_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"), atomic(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not run")


def test_atomic_onto_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"), atomic(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_atomic_in_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"), atomic(tmp_path / "a.txt"):
        pytest.fail("the block must not run")


def test_atomic_disk_full_is_one_line(tmp_path):
    with pytest.raises(InputError, match="free some space"), atomic(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_atomic_disk_full_as_hdf5_tells_it(number, tmp_path):
    with pytest.raises(InputError, match="free some space"), atomic(tmp_path / "a.h5"):
        raise RuntimeError(f"Can't decrement id ref count (file write failed, errno = {number}, error ...)")
    with pytest.raises(RuntimeError, match="other"), atomic(tmp_path / "a.h5"):
        raise RuntimeError("other")
    assert os.listdir(tmp_path) == []


def test_atomic_other_errors_of_the_block_stay_themselves(tmp_path):
    with pytest.raises(FileNotFoundError), atomic(tmp_path / "a.txt"):
        (tmp_path / "missing").read_text()


# labels


@pytest.mark.parametrize(
    ("largest", "name"),
    [
        (0, "uint8"),
        (255, "uint8"),
        (256, "uint16"),
        (65_535, "uint16"),
        (65_536, "uint32"),
        (2**32 - 1, "uint32"),
    ],
)
def test_smallest_unsigned_at_its_borders(largest, name):
    assert smallest_unsigned(largest) == np.dtype(name)


@pytest.mark.parametrize("largest", [-1, 2**32])
def test_smallest_unsigned_refuses_what_no_type_holds(largest):
    with pytest.raises(InputError, match=str(largest)):
        smallest_unsigned(largest)


@pytest.mark.parametrize("largest", [1, 255, 256, 65_535, 65_536, 2**32 - 1])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
def test_labels_come_back_in_the_smallest_type(tmp_path, largest, shape):
    labels = np.zeros(shape, np.int64)
    labels[..., 1, 2, 3] = largest
    labels[..., 2, 0, 0] = 1
    write_labels(tmp_path / "l.tif", labels, SPACING)
    stack = read_labels(tmp_path / "l.tif")
    assert stack.frames.dtype == smallest_unsigned(largest)
    np.testing.assert_array_equal(stack.frames.reshape(shape), labels)
    assert stack.series == (len(shape) == 4)
    assert stack.spacing == pytest.approx(SPACING, rel=1e-6)


def test_seventy_thousand_labels_do_not_wrap(tmp_path):
    labels = np.arange(70_000).reshape(7, 100, 100)
    write_labels(tmp_path / "l.tif", labels, SPACING)
    stack = read_labels(tmp_path / "l.tif")
    assert stack.frames.dtype == np.uint32
    np.testing.assert_array_equal(stack.frames[0], labels)


def test_a_mask_is_written_as_labels_zero_and_one(tmp_path):
    mask = volume(int) % 3 == 0
    write_labels(tmp_path / "m.tif", mask, SPACING)
    stack = read_labels(tmp_path / "m.tif")
    assert stack.frames.dtype == np.uint8
    np.testing.assert_array_equal(stack.frames, mask)


def test_labels_without_any_object_are_written(tmp_path):
    write_labels(tmp_path / "l.tif", np.zeros((3, 4, 5), int), SPACING)
    assert not read_labels(tmp_path / "l.tif").frames.any()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.full((2, 3, 4), -7), "-7"),
        (np.zeros((2, 3, 4), np.float32), "float32"),
        (np.zeros((3, 4), int), r"\(3, 4\)"),
        (np.zeros((0, 3, 4), int), r"\(0, 3, 4\)"),
        (np.full((2, 3, 4), 2**32), "4294967296"),
    ],
)
def test_what_is_no_label_image_is_refused_and_nothing_is_left(tmp_path, labels, words):
    with pytest.raises(InputError, match=words):
        write_labels(tmp_path / "l.tif", labels, SPACING)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("spacing", [(1, 0, 1), (1, -1, 1), (1, np.nan, 1), (np.inf, 1, 1), (1, 1)])
def test_what_is_no_voxel_size_is_refused(tmp_path, spacing):
    with pytest.raises(InputError, match="voxel size"):
        write_labels(tmp_path / "l.tif", np.ones((2, 3, 4), int), spacing)


# images


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "float32", "int8", "int16", "int32", "uint32", "float64", ">u2", ">f4"]
)
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (3, 5, 3), (4, 5, 4)])
def test_images_come_back_as_they_were(tmp_path, dtype, shape):
    # the last two shapes are what a careless writer takes for RGB and RGBA
    image = volume(dtype, shape)
    write_image(tmp_path / "i.tif", image, SPACING)
    stack = read_image(tmp_path / "i.tif")
    assert stack.frames.dtype == image.dtype.newbyteorder("=")
    np.testing.assert_array_equal(stack.frames.reshape(shape), image)
    assert stack.frames.shape[1:] == shape[-3:]
    assert stack.spacing == pytest.approx(SPACING, rel=1e-6)


@pytest.mark.parametrize(
    "spacing", [(1e-3, 2e-3, 3e-3), (1234.5, 0.0654321, 98765.4), (1 / 3, 1 / 7, 22 / 7)]
)
@pytest.mark.parametrize("dtype", ["uint16", "float64"])
def test_spacing_is_kept_to_a_millionth(tmp_path, spacing, dtype):
    write_image(tmp_path / "i.tif", volume(dtype), spacing)
    assert read_image(tmp_path / "i.tif").spacing == pytest.approx(spacing, rel=1e-6)


@pytest.mark.parametrize("dtype", ["bool", "int64", "uint64", "float16", "complex64"])
def test_types_that_fiji_does_not_read_are_refused(tmp_path, dtype):
    with pytest.raises(InputError, match=f"{dtype}.*uint16"):
        write_image(tmp_path / "i.tif", volume(dtype), SPACING)


def test_a_view_that_is_not_contiguous_is_written_right(tmp_path):
    image = volume("uint16", (6, 8, 10))[::2, ::-1, 1::3]
    write_image(tmp_path / "i.tif", image, SPACING)
    np.testing.assert_array_equal(read_image(tmp_path / "i.tif").frames[0], image)


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def half(path, *_args, **_kwargs):
        Path(path).write_bytes(b"II*\0")
        raise KeyboardInterrupt

    monkeypatch.setattr(tifffile, "imwrite", half)
    with pytest.raises(KeyboardInterrupt):
        write_labels(tmp_path / "l.tif", np.ones((2, 3, 4), int), SPACING)
    assert os.listdir(tmp_path) == []


# what other programs see


def test_imagej_finds_the_raw_block_where_it_looks(tmp_path):
    """ImageJ takes the first page's offset and reads all planes from there, as they lie, uncompressed."""
    labels = volume("uint16", (2, 3, 4, 5)) * 3
    write_labels(tmp_path / "l.tif", labels, SPACING)
    raw = (tmp_path / "l.tif").read_bytes()
    tags, order = first_directory(raw)
    text = raw[tags[270] :].split(b"\0")[0].decode("ascii")
    lines = dict(line.split("=") for line in text.splitlines())
    assert tags[259] == 1  # no compression
    assert lines["ImageJ"]
    assert (lines["images"], lines["slices"], lines["frames"]) == ("6", "3", "2")
    assert "channels" not in lines
    assert (lines["unit"], float(lines["spacing"])) == ("um", 1.75)
    assert (float(lines["min"]), float(lines["max"])) == (0, labels.max())
    block = np.frombuffer(raw, f"{order}u2", labels.size, tags[273])
    np.testing.assert_array_equal(block.reshape(labels.shape), labels)
    x_pixels, x_um = struct.unpack_from(f"{order}II", raw, tags[282])
    assert x_um / x_pixels == pytest.approx(SPACING[2], rel=1e-6)


def first_directory(raw):
    """Read the tags of the first page by hand: tag -> value, or offset to it."""
    order = {b"II": "<", b"MM": ">"}[raw[:2]]
    (offset,) = struct.unpack_from(f"{order}I", raw, 4)
    (count,) = struct.unpack_from(f"{order}H", raw, offset)
    tags = {}
    for i in range(count):
        tag, kind, _number, value = struct.unpack_from(f"{order}HHI4s", raw, offset + 2 + 12 * i)
        tags[tag] = struct.unpack(f"{order}H" if kind == 3 else f"{order}I", value[: 2 if kind == 3 else 4])[
            0
        ]
    return tags, order


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32"])
def test_another_reader_sees_the_same_planes(tmp_path, dtype):
    image = volume(dtype, (2, 3, 14, 15))
    write_image(tmp_path / "i.tif", image, SPACING)
    with Image.open(tmp_path / "i.tif") as opened:
        planes = []
        for number in range(opened.n_frames):
            opened.seek(number)
            planes.append(np.asarray(opened))
    np.testing.assert_array_equal(np.reshape(planes, image.shape), image)


def test_more_than_four_gigabytes_would_be_an_ome_bigtiff(tmp_path, monkeypatch):
    image = volume("uint16")
    monkeypatch.setattr(write, "CLASSIC_BYTES", image.nbytes - 1)
    write_image(tmp_path / "i.tif", image, SPACING)
    with tifffile.TiffFile(tmp_path / "i.tif") as tif:
        assert tif.is_bigtiff
        assert tif.is_ome
        assert tif.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    stack = read_image(tmp_path / "i.tif")
    np.testing.assert_array_equal(stack.frames, image)
    assert stack.spacing == pytest.approx(SPACING, rel=1e-6)


def test_up_to_four_gigabytes_is_not_bigtiff(tmp_path):
    write_labels(tmp_path / "l.tif", np.full((2, 3, 4), 70_000), SPACING)
    with tifffile.TiffFile(tmp_path / "l.tif") as tif:
        assert tif.is_ome
        assert not tif.is_bigtiff
        assert 'PhysicalSizeXUnit="µm"' in tif.ome_metadata
