"""What a file holds: no stack, labels, some of its frames; and its voxel size."""

import itertools

import numpy as np
import pytest
import tifffile
from stacks import SHAPE, refused

from zoo.data.io import parse_frames, read_image, read_labels, resolve_spacing
from zoo.errors import InputError

# faults: contents


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.ones((10, 12), np.uint8), {}, ("2-D", "10 x 12 pixels")),
        (np.ones((5, 10, 12), np.uint8), {"metadata": {"axes": "TYX"}}, ("2-D", "5 time points")),
        (
            np.ones((5, 10, 12), np.uint8),
            {"metadata": {"axes": "CYX"}, "imagej": True},
            ("2-D", "5 channels"),
        ),
        (np.ones((1, 10, 12), np.uint8), {}, ("2-D",)),
        (np.ones((10, 12, 3), np.uint8), {"photometric": "rgb"}, ("RGB", "greyscale")),
        (np.ones((5, 10, 12, 3), np.uint8), {"photometric": "rgb"}, ("RGB", "greyscale")),
        (np.ones((5, 10, 12, 4), np.uint8), {"photometric": "rgb"}, ("RGB",)),
        (np.ones((5, 3, 10, 12), np.uint8), {"photometric": "rgb", "planarconfig": "separate"}, ("RGB",)),
        (np.ones((5, 10, 12), np.complex64), {}, ("complex64", "floats")),
        (np.ones((2, 3, 4, 10, 12), np.uint8), {"photometric": "minisblack"}, ("axes", "TZCYX")),
        (np.ones((5, 10, 12), bool), {}, ("bool", "a mask is no image")),
        (np.full((5, 10, 12), 7, np.uint16), {}, ("constant", "7")),
    ],
    ids=str,
)
def test_images_that_are_no_stacks(tmp_path, image, options, words):
    tifffile.imwrite(tmp_path / "i.tif", image, **options)
    refused(tmp_path / "i.tif", *words)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones((10, 12)), "2 dimensions"),
        (np.ones((1, 2, 5, 10, 12)), "5 dimensions"),
        (np.ones((1, 10, 12)), "at least 2 planes"),
        (np.ones((0, 10, 12)), "(0, 10, 12)"),
        (np.ones((5, 10, 0)), "(5, 10, 0)"),
        (np.ones((5, 10, 12), complex), "complex128"),
        (np.ones((5, 10, 12), bool), "bool"),
        (np.ones((5, 10, 12), "U3"), "<U3"),
        (np.ones((5, 10, 12), [("a", int)]), "('a'"),
        (np.full((5, 10, 12), "text", object), "damaged"),
        (np.zeros((5, 10, 12)), "constant"),
    ],
    ids=str,
)
def test_arrays_that_are_no_stacks(tmp_path, array, words):
    np.save(tmp_path / "i.npy", array)
    refused(tmp_path / "i.npy", words)


def test_an_archive_named_npy(tmp_path, voxels):
    np.savez(tmp_path / "i.npz", voxels)
    (tmp_path / "i.npz").rename(tmp_path / "i.npy")
    refused(tmp_path / "i.npy", "not a .npy")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_counted(tmp_path, voxels, bad):
    image = voxels.astype(np.float32)
    image[1, 2, 3, 4:7] = bad
    np.save(tmp_path / "i.npy", image)
    refused(tmp_path / "i.npy", "frame 1", "3 voxels", "NaN or infinite")
    np.testing.assert_array_equal(read_image(tmp_path / "i.npy", frames="0,2").frames, image[[0, 2]])


def test_a_constant_frame_is_named(tmp_path, voxels):
    voxels[2] = 92
    np.save(tmp_path / "i.npy", voxels)
    refused(tmp_path / "i.npy", "frame 2", "constant", "92")


def test_a_file_of_several_images(tmp_path, voxels):
    with tifffile.TiffWriter(tmp_path / "i.tif") as tif:
        tif.write(voxels[0])
        tif.write(voxels[0, :, :5])
    refused(tmp_path / "i.tif", "2 images")


# labels


def test_labels_of_one_value_are_fine(tmp_path):
    np.save(tmp_path / "l.npy", np.zeros((3, 4, 5), np.int16))
    assert not read_labels(tmp_path / "l.npy").frames.any()


def test_labels_keep_their_type(tmp_path, voxels):
    for dtype in (np.uint8, np.uint16, np.uint32, np.int32, np.int64):
        np.save(tmp_path / "l.npy", voxels.astype(dtype))
        stack = read_labels(tmp_path / "l.npy", frames="1")
        assert stack.frames.dtype == dtype
        np.testing.assert_array_equal(stack.frames, voxels[1:2].astype(dtype))


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_a_mask_is_labels_zero_and_one(tmp_path, voxels, suffix):
    mask = voxels[0] > 30_000
    path = tmp_path / f"l{suffix}"
    tifffile.imwrite(path, mask) if suffix == ".tif" else np.save(path, mask)
    stack = read_labels(path)
    assert stack.frames.dtype == np.uint8
    np.testing.assert_array_equal(stack.frames[0], mask)


def test_negative_labels_are_refused(tmp_path):
    labels = np.zeros(SHAPE, np.int32)
    labels[1, 2, 3, 4] = -4
    tifffile.imwrite(tmp_path / "l.tif", labels)
    refused(tmp_path / "l.tif", "-4", "renumber", read=read_labels)


def test_float_labels_are_refused_even_if_whole(tmp_path, voxels):
    tifffile.imwrite(tmp_path / "l.tif", voxels[0].astype(np.float32))
    refused(tmp_path / "l.tif", "float32", "integers", read=read_labels)


# frames, spacing


def test_parse_frames_by_hand():
    assert parse_frames("3", 11) == (3,)
    assert parse_frames("0:10", 11) == tuple(range(10))
    assert parse_frames("0:100:5", 121) == tuple(range(0, 100, 5))
    assert parse_frames("1,4,7", 8) == (1, 4, 7)
    assert parse_frames(" 7, 1 ,0:2", 8) == (0, 1, 7)
    assert parse_frames("8:", 11) == (8, 9, 10)
    assert parse_frames(":", 3) == (0, 1, 2)


def test_parse_frames_is_pythons_slice():
    for start, stop, step in itertools.product(range(7), range(7), range(1, 5)):
        expected = tuple(range(6))[start:stop:step]
        if expected:
            assert parse_frames(f"{start}:{stop}:{step}", 6) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "1.5", "1;2", "0:5:0", "0:5:00", "1:2:3:4", "1,,2", "9" * 5000]
)
def test_parse_frames_refuses_what_is_no_choice(text):
    with pytest.raises(InputError, match="not understood"):
        parse_frames(text, 11)


@pytest.mark.parametrize("text", ["11", "0:12", "0:100:5", "5,11", "0:999999999", "12:13"])
def test_parse_frames_refuses_frames_beyond_the_last(text):
    with pytest.raises(InputError, match="there are 11, allowed: 0 to 10"):
        parse_frames(text, 11)


@pytest.mark.parametrize("text", ["3:3", "5:3", "11:"])
def test_parse_frames_refuses_none(text):
    with pytest.raises(InputError, match="no frame"):
        parse_frames(text, 11)


def test_spacing_given_beats_metadata_beats_default():
    given, told, default = [2, 1, 1], (1.75, 0.8, 0.8), (1.0, 1.0, 1.0)
    assert resolve_spacing(told, given, default) == ((2.0, 1.0, 1.0), "given")
    assert resolve_spacing(told, None, default) == (told, "metadata")
    assert resolve_spacing(None, None, default) == (default, "default")


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, np.inf), (np.nan, 1, 1), (1, 1)])
def test_spacing_that_is_no_size_is_refused(spacing):
    with pytest.raises(InputError, match=r"spacing .*\(given\).*z y x"):
        resolve_spacing((1, 1, 1), spacing, (1, 1, 1))
