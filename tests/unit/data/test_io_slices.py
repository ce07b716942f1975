"""Two-dimensional files: a folder of slices is a stack, a flat file one plane where asked for."""

import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from stacks import refused, write_slices

from zoo.data.io import list_images, read_image, read_labels
from zoo.errors import InputError

# folders


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".png"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_folder_of_slices_is_one_stack_in_natural_order(tmp_path, voxels, suffix, dtype):
    planes = voxels.reshape(15, 10, 12).astype(dtype)
    write_slices(tmp_path / "s", planes, suffix)  # z8, z9, z10, ...: by letters z10 would come first
    (tmp_path / "s" / "notes.txt").write_text("x")
    (tmp_path / "s" / f".z8{suffix}").write_bytes(b"left by a file manager")
    stack = read_image(tmp_path / "s")
    np.testing.assert_array_equal(stack.frames, planes[np.newaxis])
    assert stack.frames.dtype == dtype
    assert (stack.spacing, stack.series, stack.source) == (None, False, tmp_path / "s")
    assert list_images([tmp_path / "s"]) == [tmp_path / "s"]
    np.testing.assert_array_equal(read_labels(tmp_path / "s").frames[0], planes)


def test_ome_slices_tell_the_voxel_size(tmp_path, voxels):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 3}
    for z in range(3):
        tifffile.imwrite(tmp_path / f"{z}.ome.tif", voxels[0, z], ome=True, metadata=metadata)
    assert read_image(tmp_path).spacing == (3, 0.25, 0.5)


def test_a_folder_of_stacks_is_its_files(tmp_path, voxels):
    for name in ("t10.tif", "t2.tif"):
        tifffile.imwrite(tmp_path / name, voxels[0])
    np.save(tmp_path / "t1.npy", voxels[0])
    (tmp_path / "preview.png").write_bytes(b"a picture beside the stacks")
    (tmp_path / "deeper").mkdir()
    assert list_images([tmp_path]) == [tmp_path / n for n in ("t1.npy", "t2.tif", "t10.tif")]
    refused(tmp_path, "one by one")


def test_files_and_folders_keep_the_order_given(tmp_path, voxels):
    write_slices(tmp_path / "s", voxels[0])
    np.save(tmp_path / "b.npy", voxels[0])
    given = [tmp_path / "s", str(tmp_path / "b.npy")]
    assert list_images(given) == [tmp_path / "s", tmp_path / "b.npy"]


def test_slices_must_be_alike(tmp_path, voxels):
    write_slices(tmp_path, voxels[0])
    tifffile.imwrite(tmp_path / "z20.tif", voxels[0, 0, :9])
    refused(tmp_path, "z20.tif", "(9, 12)", "(10, 12)")
    tifffile.imwrite(tmp_path / "z20.tif", voxels[0, 0].astype(np.uint8))
    refused(tmp_path, "z20.tif", "uint8", "uint16")
    tifffile.imwrite(tmp_path / "z20.tif", voxels[0])
    refused(tmp_path, "z20.tif", "no 2-D slice")
    (tmp_path / "z20.tif").unlink()
    np.save(tmp_path / "z20.npy", voxels[0, 0])
    refused(tmp_path, "z20.npy", "no 2-D slice")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_rgb_slices_are_refused(tmp_path, suffix):
    write_slices(tmp_path, np.zeros((3, 10, 12, 3), np.uint8), suffix)
    refused(tmp_path, "RGB", "greyscale")


def test_a_single_slice_is_no_stack(tmp_path, voxels):
    write_slices(tmp_path, voxels[0, :1])
    refused(tmp_path, "only slice")
    write_slices(tmp_path / "png", voxels[0, :1], ".png")
    refused(tmp_path / "png", "only slice")


def test_slices_have_no_channels_and_no_frames(tmp_path, voxels):
    write_slices(tmp_path, voxels[0])
    refused(tmp_path, "no channel 1", channel=1)
    with pytest.raises(InputError, match="frames"):
        read_image(tmp_path, frames="1")
    np.testing.assert_array_equal(read_image(tmp_path, channel=0, frames="0").frames[0], voxels[0])


def test_damaged_png_slices_are_refused(tmp_path, voxels):
    write_slices(tmp_path, voxels[0], ".png")
    whole = (tmp_path / "z9.png").read_bytes()
    for end in (0, 5, 20, 50, len(whole) // 2, len(whole) - 20):
        (tmp_path / "z9.png").write_bytes(whole[:end])
        refused(tmp_path / "z9.png", read=lambda _: read_image(tmp_path))


def test_a_png_that_claims_more_than_the_machine_holds(tmp_path, voxels):
    write_slices(tmp_path, voxels[0], ".png")
    whole = (tmp_path / "z8.png").read_bytes()
    (tmp_path / "z8.png").write_bytes(whole[:16] + struct.pack(">II", 2**31 - 1, 2**31 - 1) + whole[24:])
    refused(tmp_path / "z8.png", "memory", read=lambda _: read_image(tmp_path))


def test_a_png_alone_is_two_dimensional(tmp_path, voxels):
    write_slices(tmp_path, voxels[0], ".png")
    refused(tmp_path / "z8.png", "2-D", "folder")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (16, 0, "declares 10 x 0 pixels"),
        (16, 40_000_000, "cannot hold"),
        (24, 17, "17 bits"),
        (25, 9, "colour type 9"),
    ],
)
def test_png_whose_head_lies_is_refused_before_libpng_sees_it(tmp_path, capfd, place, value, words):
    encoded = bytearray(imagecodecs.png_encode(np.ones((10, 12), np.uint8)))
    encoded[place : place + (4 if place < 24 else 1)] = value.to_bytes(4 if place < 24 else 1, "big")
    for z in range(2):
        (tmp_path / f"z{z}.png").write_bytes(encoded)
    with pytest.raises(InputError) as caught:
        read_image(tmp_path)
    message = str(caught.value)
    assert words in message
    assert capfd.readouterr().err == ""


# one plane


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".png"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_flat_file_is_a_stack_of_one_plane_where_that_is_asked_for(tmp_path, voxels, suffix, dtype):
    planes = voxels[0, :2].astype(dtype)
    write_slices(tmp_path, planes, suffix)  # the other one beside it is not read
    path = tmp_path / f"z9{suffix}"
    for read in (read_image, read_labels):
        stack = read(path, flat=True)
        np.testing.assert_array_equal(stack.frames, planes[np.newaxis, 1:])
        assert stack.frames.dtype == dtype
        assert (stack.spacing, stack.times, stack.series) == (None, (0,), False)
        assert stack.source == path
        refused(path, "2-D", read=read)


def test_a_flat_file_tells_its_voxel_size(tmp_path, voxels):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 3}
    tifffile.imwrite(tmp_path / "i.ome.tif", voxels[0, 0], ome=True, metadata=metadata)
    assert read_image(tmp_path / "i.ome.tif", flat=True).spacing == (3, 0.25, 0.5)


@pytest.mark.parametrize(
    "told",
    [
        {"imagej": True, "resolution": (5.0, 4.0), "metadata": {"unit": "um"}},
        {"ome": True, "metadata": {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.25}},
    ],
)
def test_pixels_are_enough_for_a_slice_alone_and_not_for_a_stack(told, tmp_path, voxels):
    (tmp_path / "stack").mkdir()
    for name in ("0.tif", "1.tif"):
        tifffile.imwrite(tmp_path / "stack" / name, voxels[0, 0].astype(np.uint16), **told)
    alone = read_image(tmp_path / "stack" / "0.tif", flat=True)
    assert alone.spacing == pytest.approx((0.25, 0.25, 0.2))
    assert read_image(tmp_path / "stack").spacing is None


def test_a_flat_mask_is_labels_zero_and_one(tmp_path, voxels):
    tifffile.imwrite(tmp_path / "l.tif", voxels[0, 0] > 30_000)
    stack = read_labels(tmp_path / "l.tif", flat=True)
    assert stack.frames.dtype == np.uint8
    np.testing.assert_array_equal(stack.frames[0, 0], voxels[0, 0] > 30_000)


def test_stacks_and_folders_are_read_as_ever_where_flat_files_may_be(tmp_path, voxels):
    tifffile.imwrite(tmp_path / "i.tif", voxels)
    np.save(tmp_path / "i.npy", voxels)
    write_slices(tmp_path / "s", voxels[0])
    np.testing.assert_array_equal(read_image(tmp_path / "i.tif", flat=True).frames, voxels)
    np.testing.assert_array_equal(read_image(tmp_path / "i.npy", flat=True).frames, voxels)
    np.testing.assert_array_equal(read_image(tmp_path / "s", flat=True).frames[0], voxels[0])


def test_what_is_refused_of_stacks_is_refused_of_flat_files(tmp_path, voxels):
    plane = voxels[0, 0]
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((10, 12, 3), np.uint8), photometric="rgb")
    refused(tmp_path / "rgb.tif", "RGB", flat=True)
    tifffile.imwrite(tmp_path / "even.tif", np.full((10, 12), 7, np.uint8))
    refused(tmp_path / "even.tif", "constant", "7", flat=True)
    tifffile.imwrite(tmp_path / "mask.tif", plane > 30_000)
    refused(tmp_path / "mask.tif", "bool", flat=True)
    tifffile.imwrite(tmp_path / "float.tif", plane.astype(np.float32))
    refused(tmp_path / "float.tif", "float32", read=read_labels, flat=True)
    tifffile.imwrite(tmp_path / "i.tif", plane)
    refused(tmp_path / "i.tif", "no channel 1", channel=1, flat=True)
    with pytest.raises(InputError, match="frames"):
        read_image(tmp_path / "i.tif", frames="1", flat=True)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "i.tif").read_bytes()[:150])
    refused(tmp_path / "cut.tif", flat=True)
    np.save(tmp_path / "i.npy", plane)
    refused(tmp_path / "i.npy", "2 dimensions", flat=True)
    write_slices(tmp_path / "s", voxels[0, :1])
    refused(tmp_path / "s", "only slice", flat=True)


def test_an_omezarr_is_told_where_it_is_read(tmp_path):
    (tmp_path / "volume.ome.zarr").mkdir()
    refused(tmp_path / "volume.ome.zarr", "is an OME-Zarr", "zoo convert")
    with pytest.raises(InputError, match="where --out is one too"):
        list_images([tmp_path / "volume.ome.zarr"])
