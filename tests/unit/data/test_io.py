import itertools
import logging
import os
import random
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile

from zoo.data import memory
from zoo.data.io import Stack, list_images, parse_frames, read_image, read_labels, resolve_spacing
from zoo.errors import InputError

SHAPE = (3, 5, 10, 12)  # t, z, y, x; no z of 3 or 4, which tifffile writes as RGB


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(0, 60_000, SHAPE).astype(np.uint16)


def refused(path, *words, read=read_image, **options):
    """See that a file is refused in one line which names it and says `words`."""
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message
    return message


# plain TIFF


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
def test_pages_without_metadata_are_z(tmp_path, voxels, byteorder, dtype):
    image = voxels[0].astype(dtype)
    tifffile.imwrite(tmp_path / "i.tif", image, byteorder=byteorder, metadata=None)
    stack = read_image(tmp_path / "i.tif")
    np.testing.assert_array_equal(stack.frames, image[np.newaxis])
    # native byte order: scipy and scikit-image do not take another
    assert stack.frames.dtype == np.dtype(dtype)
    assert stack.frames.dtype.isnative
    assert (stack.spacing, stack.times, stack.series) == (None, (0,), False)
    assert stack.source == tmp_path / "i.tif"


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"compression": "zlib", "rowsperstrip": 3},
        {"rowsperstrip": 3},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "lzw"},
        {"bigtiff": True},
        {"bigtiff": True, "compression": "zlib", "byteorder": ">"},
        {"photometric": "miniswhite"},
    ],
    ids=str,
)
def test_every_storage_gives_the_same_voxels(tmp_path, voxels, options):
    tifffile.imwrite(tmp_path / "i.tif", voxels, **{"photometric": "minisblack"} | options)
    stack = read_image(tmp_path / "i.tif")
    np.testing.assert_array_equal(stack.frames, voxels)
    assert (stack.times, stack.series) == ((0, 1, 2), True)


def test_frames_are_ours_to_write_to(tmp_path, voxels):
    for name, write in (("i.tif", tifffile.imwrite), ("i.npy", np.save)):
        write(tmp_path / name, voxels)
        before = (tmp_path / name).read_bytes()
        read_image(tmp_path / name).frames[...] = 7
        assert (tmp_path / name).read_bytes() == before


def test_one_frame_with_a_time_axis_is_still_a_series(tmp_path, voxels):
    tifffile.imwrite(tmp_path / "i.tif", voxels[:1], metadata={"axes": "TZYX"})
    stack = read_image(tmp_path / "i.tif")
    assert stack.series
    np.testing.assert_array_equal(stack.frames, voxels[:1])


def test_tifffiles_own_metadata_tell_the_voxel_size(tmp_path, voxels):
    tifffile.imwrite(
        tmp_path / "i.tif", voxels[0], resolution=(2, 4), metadata={"axes": "ZYX", "spacing": 3, "unit": "um"}
    )
    assert read_image(tmp_path / "i.tif").spacing == (3, 0.25, 0.5)


# ImageJ


def test_imagej_hyperstack_with_channels(tmp_path, voxels):
    both = np.stack([voxels, voxels[::-1] // 2], axis=2)  # t, z, c, y, x
    tifffile.imwrite(tmp_path / "i.tif", both, imagej=True, metadata={"axes": "TZCYX"})
    message = refused(tmp_path / "i.tif", "2 channels", "--channel")
    assert "0" in message
    refused(tmp_path / "i.tif", "no channel 2", "0 to 1", channel=2)
    refused(tmp_path / "i.tif", "no channel -1", channel=-1)
    refused(tmp_path / "i.tif", "2 channels", read=read_labels)
    for channel in (0, 1):
        stack = read_image(tmp_path / "i.tif", channel=channel, frames="0,2")
        np.testing.assert_array_equal(stack.frames, both[[0, 2], :, channel])
        assert stack.times == (0, 2)


def test_the_only_channel_may_be_named(tmp_path, voxels):
    for name, write in (("i.tif", tifffile.imwrite), ("i.npy", np.save)):
        write(tmp_path / name, voxels)
        np.testing.assert_array_equal(read_image(tmp_path / name, channel=0).frames, voxels)
        refused(tmp_path / name, "no channel 1", channel=1)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("um", 1), ("micron", 1), ("microns", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3), ("cm", 1e4)],
)
def test_imagej_units_become_micrometres(tmp_path, voxels, unit, factor):
    tifffile.imwrite(
        tmp_path / "i.tif",
        voxels[0],
        imagej=True,
        resolution=(2, 4),
        metadata={"axes": "ZYX", "spacing": 3, "unit": unit},
    )
    assert read_image(tmp_path / "i.tif").spacing == pytest.approx((3 * factor, 0.25 * factor, 0.5 * factor))


@pytest.mark.parametrize(
    ("told", "spacing"),
    [
        ({"unit": "um"}, (1, 0.25, 0.5)),  # ImageJ leaves out a depth of 1
        ({"unit": "um", "spacing": -3}, (3, 0.25, 0.5)),
        ({"unit": "um", "yunit": "nm", "zunit": "mm", "spacing": 3}, (3000, 0.25e-3, 0.5)),
        ({"unit": "pixel", "spacing": 3}, None),
        ({"spacing": 3}, None),
        ({"unit": "um", "spacing": 0}, None),
        ({"unit": "um", "spacing": "nan"}, None),
    ],
    ids=str,
)
def test_imagej_voxel_size_is_what_fiji_would_show(tmp_path, voxels, told, spacing):
    metadata = {"axes": "ZYX", **told}
    tifffile.imwrite(tmp_path / "i.tif", voxels[0], imagej=True, resolution=(2, 4), metadata=metadata)
    assert read_image(tmp_path / "i.tif").spacing == (None if spacing is None else pytest.approx(spacing))


def test_imagej_without_a_resolution_tells_no_size(tmp_path, voxels):
    tifffile.imwrite(
        tmp_path / "i.tif",
        voxels[0],
        imagej=True,
        resolution=(0, 0),
        metadata={"axes": "ZYX", "spacing": 3, "unit": "um"},
    )
    assert read_image(tmp_path / "i.tif").spacing is None


# OME


@pytest.mark.parametrize("axes", ["".join(p) + "YX" for p in itertools.permutations("TZC")])
def test_ome_axes_in_any_order(tmp_path, voxels, axes):
    both = np.stack([voxels, voxels[::-1] // 2], axis=2)  # t, z, c, y, x
    stored = both.transpose([*("TZC".index(a) for a in axes[:3]), 3, 4])
    tifffile.imwrite(tmp_path / "i.tif", stored, ome=True, photometric="minisblack", metadata={"axes": axes})
    np.testing.assert_array_equal(read_image(tmp_path / "i.tif", channel=1).frames, both[:, :, 1])


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("µm", 1), ("nm", 1e-3), ("mm", 1e3), (None, 1), ("pixel", None), ("reference frame", None)],
)
def test_ome_units_become_micrometres(tmp_path, voxels, unit, factor):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 3}
    if unit:
        metadata |= {f"PhysicalSize{a}Unit": unit for a in "XYZ"}
    tifffile.imwrite(tmp_path / "i.tif", voxels[0], ome=True, photometric="minisblack", metadata=metadata)
    expected = None if factor is None else pytest.approx((3 * factor, 0.25 * factor, 0.5 * factor))
    assert read_image(tmp_path / "i.tif").spacing == expected


def test_ome_that_tells_only_two_sizes_tells_none(tmp_path, voxels):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    tifffile.imwrite(tmp_path / "i.tif", voxels[0], ome=True, photometric="minisblack", metadata=metadata)
    assert read_image(tmp_path / "i.tif").spacing is None


def ome_xml(planes, files):
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(files)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:0"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
        f'SizeX="12" SizeY="10" SizeZ="{planes}" SizeC="1" SizeT="1"><Channel ID="Channel:0" '
        f'SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
    )


def test_ome_over_several_files(tmp_path, voxels):
    names = ["a.ome.tif", "b.ome.tif", "c.ome.tif"]
    for number, name in enumerate(names):
        xml = ome_xml(3, names).replace('UUID="urn:uuid:0"', f'UUID="urn:uuid:{number}"', 1)
        tifffile.imwrite(tmp_path / name, voxels[0, number], description=xml, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / names[0]).frames[0], voxels[0, :3])
    (tmp_path / names[2]).unlink()
    refused(tmp_path / names[0], "3 planes", "2 are there")


def test_ome_that_declares_more_planes_than_there_are(tmp_path, voxels):
    # a list of a planet's size would be made for these
    xml = ome_xml(10**12, ["a.ome.tif"])
    tifffile.imwrite(tmp_path / "a.ome.tif", voxels[0, 0], description=xml, metadata=None)
    refused(tmp_path / "a.ome.tif", "1000000000000 planes", "truncated")


# .npy


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f4", "int64"])
def test_npy(tmp_path, voxels, order, dtype):
    for image in (voxels[0], voxels):
        np.save(tmp_path / "i.npy", np.asarray(image, dtype, order=order))
        stack = read_image(tmp_path / "i.npy")
        np.testing.assert_array_equal(stack.frames, image.reshape(-1, *SHAPE[1:]))
        assert stack.frames.dtype.isnative
        assert stack.series == (image.ndim == 4)
        assert stack.spacing is None


def test_npy_frames(tmp_path, voxels):
    np.save(tmp_path / "i.npy", voxels)
    stack = read_image(tmp_path / "i.npy", frames="1:")
    np.testing.assert_array_equal(stack.frames, voxels[1:])
    assert stack.times == (1, 2)


# folders


def write_slices(folder, planes, suffix=".tif", start=8):
    folder.mkdir(exist_ok=True)
    for number, plane in enumerate(planes, start):
        path = folder / f"z{number}{suffix}"
        if suffix == ".png":
            path.write_bytes(imagecodecs.png_encode(plane))
        else:
            tifffile.imwrite(path, plane)


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


# faults: files


def test_text_named_tif(tmp_path):
    (tmp_path / "i.tif").write_text("this is no image")
    refused(tmp_path / "i.tif", "not a TIFF")
    refused(tmp_path / "i.tif", "not a TIFF", read=lambda path: list_images([path.parent]))


@pytest.mark.parametrize(
    "start", [b"I", b"II*\0", b"MM\0*\0", b"II+\0\x08\0\0\0\x10", b"II\x2c\0\x08\0\0\0\0\0"]
)
def test_a_header_and_no_more(tmp_path, start):
    (tmp_path / "i.tif").write_bytes(start)
    refused(tmp_path / "i.tif", "not a TIFF")


def test_a_tiff_without_a_page(tmp_path):
    (tmp_path / "i.tif").write_bytes(b"II*\0\0\0\0\0")
    refused(tmp_path / "i.tif", "no page")


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_empty_file(tmp_path, suffix):
    (tmp_path / f"i{suffix}").touch()
    refused(tmp_path / f"i{suffix}")


@pytest.mark.parametrize("name", ["i.lif", "i", "i.txt"])
def test_unknown_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    refused(tmp_path / name, "suffix", ".tif", ".npy")


def test_missing_file(tmp_path):
    for path in (tmp_path / "i.tif", tmp_path / "no" / "i.npy", tmp_path / ("x" * 300 + ".tif")):
        refused(path)
        refused(path, read=read_labels)
        refused(path, read=lambda p: list_images([p]))


def test_empty_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    refused(tmp_path, "empty folder")
    refused(tmp_path, "empty folder", read=lambda path: list_images([path]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_permission_denied(tmp_path, voxels, suffix):
    path = tmp_path / f"i{suffix}"
    tifffile.imwrite(path, voxels) if suffix == ".tif" else np.save(path, voxels)
    path.chmod(0)
    refused(path, "Permission denied")


STORAGES = {
    "plain": {"metadata": None},
    "tifffile": {},
    "imagej": {"imagej": True, "metadata": {"axes": "TZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TZYX"}},
    "bigtiff": {"bigtiff": True},
    "deflate": {"compression": "zlib", "rowsperstrip": 3},
    "lzw": {"compression": "lzw", "metadata": None},
    "tiles": {"tile": (16, 16), "compression": "zstd"},
    "one page for all": {"truncate": True},
}


@pytest.fixture(params=STORAGES.values(), ids=STORAGES)
def stored(request, tmp_path, voxels):
    tifffile.imwrite(tmp_path / "whole.tif", voxels, photometric="minisblack", **request.param)
    return tmp_path / "whole.tif"


def test_cut_anywhere_a_tiff_is_refused(tmp_path, stored):
    whole = stored.read_bytes()
    draw = random.Random(0)
    # the last bytes may be those of a tag that no reader needs
    for end in [draw.randrange(16, len(whole) - 40) for _ in range(10)]:
        (tmp_path / "cut.tif").write_bytes(whole[:end])
        refused(tmp_path / "cut.tif", "truncated")


def test_bytes_changed_anywhere_never_raise_anything_else(tmp_path, stored):
    whole = stored.read_bytes()
    draw = random.Random(0)
    outcomes = set()
    for _ in range(60):
        damaged = bytearray(whole)
        start = draw.choice([0, max(len(whole) - 600, 0)])
        for _ in range(draw.choice([1, 3])):
            damaged[draw.randrange(start, min(start + 600, len(whole)))] = draw.randrange(256)
        (tmp_path / "damaged.tif").write_bytes(damaged)
        try:
            outcomes.add(type(read_image(tmp_path / "damaged.tif")))
        except InputError as error:
            outcomes.add("in one line" if "\n" not in str(error) else str(error))
    assert outcomes == {Stack, "in one line"}


def test_cut_anywhere_a_npy_is_refused(tmp_path, voxels):
    np.save(tmp_path / "i.npy", voxels)
    whole = (tmp_path / "i.npy").read_bytes()
    for end in (0, 4, 9, 60, 128, 200, len(whole) - 1):
        (tmp_path / "i.npy").write_bytes(whole[:end])
        refused(tmp_path / "i.npy", "damaged")


def handmade(path, tags, pixels=b"\1" * 64, next_page=0):
    """Write a TIFF of one page from its tags, all LONG; pixels lie at byte 8."""
    offset = 8 + len(pixels)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    path.write_bytes(
        struct.pack("<2sHI", b"II", 42, offset)
        + pixels
        + struct.pack("<H", len(tags))
        + entries
        + struct.pack("<I", next_page)
    )


PAGE = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}


def test_the_handmade_page_is_read(tmp_path):
    handmade(tmp_path / "i.tif", PAGE)
    refused(tmp_path / "i.tif", "2-D", "8 x 8 pixels")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({256: 2**20, 257: 2**20}, "truncated"),  # claims 1 TB in a file of 200 bytes
        ({256: 2**20, 257: 2**20, 278: 2**20, 259: 34925}, "memory"),  # LZMA packs without limit
        ({256: 2**20, 257: 2**20, 278: 2**20, 259: 8}, "at most, unpacked"),  # deflate to 1 : 1032
        ({256: 90, 257: 90, 278: 90, 259: 32773}, "needs 8100 bytes of pixels, its strips hold 4096 at most"),
        ({256: 0}, "8 x 0"),
        ({257: 0}, "0 x 8"),
        ({273: 0}, "without pixels"),
        ({273: 10**6}, "the file at"),
        ({259: 8, 279: 0}, "without pixels"),
        ({259: 8, 279: 10**6}, "the file at"),
        ({278: 4}, "1 of its 2 strips"),
        ({259: 8, 278: 4}, "1 of its 2 strips"),
    ],
    ids=str,
)
def test_pages_whose_pixels_cannot_be_there(tmp_path, change, words):
    # two pages, else the complaint would be that it is 2-D
    handmade(tmp_path / "one.tif", PAGE | change)
    page = (tmp_path / "one.tif").read_bytes()
    second = bytearray(page[72:])
    (tmp_path / "i.tif").write_bytes(page[:-4] + struct.pack("<I", len(page)) + second)
    refused(tmp_path / "i.tif", words)


def test_pages_in_a_loop(tmp_path):
    handmade(tmp_path / "i.tif", PAGE, next_page=72)
    refused(tmp_path / "i.tif", "loop")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("pages", [1, 5])
@pytest.mark.parametrize("planes", [10, 10**12])
@pytest.mark.parametrize(
    "description",
    [
        "ImageJ=1.53t\nimages={n}\nslices={n}\n",
        "ImageJ=1.53t\nimages={n}\nchannels=2\nslices={n}\n",
        '{{"shape": [{n}, 10, 12]}}',
        '{{"shape": [{n}, 10, 12], "axes": "ZYX", "truncated": true}}',
    ],
)
def test_a_description_that_claims_more_than_there_is(
    tmp_path, voxels, description, planes, pages, compression
):
    with tifffile.TiffWriter(tmp_path / "i.tif") as tif:
        for number, page in enumerate(voxels[0, :pages]):
            text = description.format(n=planes) if number == 0 else None
            tif.write(page, description=text, metadata=None, compression=compression)
    refused(tmp_path / "i.tif", "again", channel=0)


def test_a_npy_that_claims_a_terabyte(tmp_path):
    with (tmp_path / "i.npy").open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": (10**4, 10**4, 10**4)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 100)
    refused(tmp_path / "i.npy", "damaged")


def test_more_than_the_machine_holds(tmp_path, voxels, monkeypatch):
    np.save(tmp_path / "i.npy", voxels)
    tifffile.imwrite(tmp_path / "i.tif", voxels)
    tifffile.imwrite(tmp_path / "deflated.tif", voxels, compression="zlib")
    write_slices(tmp_path / "tif", voxels[0])
    write_slices(tmp_path / "png", voxels[0], ".png")
    sizes = {"SC_PHYS_PAGES": voxels[0].nbytes // 10, "SC_PAGE_SIZE": 10}
    monkeypatch.setattr(memory.os, "sysconf", sizes.get)
    for name in ("i.npy", "i.tif", "deflated.tif"):
        refused(tmp_path / name, "memory", "--frames")
        np.testing.assert_array_equal(read_image(tmp_path / name, frames="1").frames[0], voxels[1])
    sizes["SC_PHYS_PAGES"] -= 1
    for name in ("tif", "png"):
        refused(tmp_path / name, "memory")


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
    with pytest.raises(InputError, match="there are 11, allowed are 0 to 10"):
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


# manners


def test_tifffile_is_quiet_while_we_read_and_only_then(tmp_path, voxels, caplog):
    xml = ome_xml(5, ["a.ome.tif", "b.ome.tif"])
    tifffile.imwrite(tmp_path / "a.ome.tif", voxels[0, 0], description=xml, metadata=None)
    refused(tmp_path / "a.ome.tif")
    assert not caplog.records
    assert not logging.getLogger("tifffile").disabled
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        assert tif.series
    assert caplog.records


# real data


@pytest.mark.real
def test_bbbc050_is_read(real_data):
    folder = real_data / "bbbc050" / "train"
    files = list_images([folder / "Images"])
    assert len(files) == 121
    assert files[0].name == "Emb01_t001.tif"
    for path in files[::20]:
        image = read_image(path)
        labels = read_labels(folder / "GroundTruth_QCANet" / path.name)
        assert image.frames.dtype == np.uint16
        assert labels.frames.dtype == np.uint8
        assert image.frames.shape == labels.frames.shape
        assert image.frames.shape[:2] == (1, 51)
        assert image.spacing is None
        np.testing.assert_array_equal(image.frames[0], tifffile.imread(path))


@pytest.mark.real
def test_qcanet_example_is_read(real_data):
    folder = real_data / "qcanet_example"
    image = read_image(folder / "images_raw" / "16_cell_stage.tif")
    assert image.frames.shape == (1, 51, 120, 122)
    assert image.spacing is None  # ImageJ metadata, but no unit
    for name in ("images_nsn", "images_ndn", "published_output"):
        labels = read_labels(folder / name / "16_cell_stage.tif")
        assert labels.frames.shape == image.frames.shape
        assert labels.frames.any()


# pages and metadata that lie


def test_a_tile_far_larger_than_its_page(tmp_path):
    tags = {k: v for k, v in PAGE.items() if k not in (273, 278, 279)} | {259: 34712, 324: 8, 325: 64}
    handmade(tmp_path / "i.tif", tags | {322: 4096, 323: 4096})  # small tiles of one size are common
    refused(tmp_path / "i.tif", "2-D")
    handmade(tmp_path / "i.tif", tags | {322: 40_000, 323: 40_000})
    refused(tmp_path / "i.tif", "page 1, 8 x 8, has tiles of 40000 x 40000")


@pytest.mark.parametrize("change", [{}, {258: 16}, {259: 5}, {317: 2}, {339: 2}], ids=str)
def test_pages_that_declare_other_pixels_than_the_first(tmp_path, change):
    tags = PAGE | {317: 1, 339: 1}
    handmade(tmp_path / "one.tif", tags, pixels=bytes(range(128)))
    handmade(tmp_path / "two.tif", tags | change | {279: 128}, pixels=bytes(range(128)))
    one, two = ((tmp_path / name).read_bytes()[136:-4] for name in ("one.tif", "two.tif"))
    whole = (tmp_path / "one.tif").read_bytes()[:136]
    for number, page in enumerate([one, one, one, two, *[one] * 6], 1):  # tifffile looks at some of them
        whole += page + struct.pack("<I", (136 + number * (len(page) + 4)) * (number < 10))
    (tmp_path / "i.tif").write_bytes(whole)
    if change:
        refused(tmp_path / "i.tif", "the first and page 4")
    else:
        assert read_image(tmp_path / "i.tif").frames.shape == (1, 10, 8, 8)


def test_samples_of_a_kind_that_does_not_exist(tmp_path):
    handmade(tmp_path / "i.tif", PAGE | {339: 77}, pixels=b"\1" * 4096)  # as float64 there are bytes enough
    refused(tmp_path / "i.tif", "8 bits of the kind 77")


@pytest.mark.parametrize("names", [["a.ome.tif"], ["a.ome.tif", "b.ome.tif"]])
def test_ome_that_lists_endless_planes(tmp_path, voxels, names):
    xml = ome_xml(1, names).replace('PlaneCount="1"', 'PlaneCount="1000000000"')
    assert "1000000000" in xml
    tifffile.imwrite(tmp_path / "a.ome.tif", voxels[0, 0], description=xml, metadata=None)
    refused(tmp_path / "a.ome.tif", "000000 planes", "truncated")


@pytest.mark.parametrize("shape", ["(4294967296, 4294967296, 2)", "(4294967296, 4294967296, 4294967296)"])
def test_npy_of_a_shape_beyond_all_numbers(tmp_path, shape):
    header = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "i.npy").write_bytes(b"\x93NUMPY\1\0v\0" + header.encode())
    refused(tmp_path / "i.npy", "damaged")


def test_pipes_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "i.tif")
    refused(tmp_path / "i.tif", "pipe")


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
