"""Images as other programs write them: what is read of TIFF, ImageJ, OME and .npy."""

import itertools
import logging

import numpy as np
import pytest
import tifffile
from stacks import SHAPE, refused

from zoo.data.io import list_images, read_image, read_labels

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


@pytest.mark.parametrize("names", [["a.ome.tif"], ["a.ome.tif", "b.ome.tif"]])
def test_ome_that_lists_endless_planes(tmp_path, voxels, names):
    xml = ome_xml(1, names).replace('PlaneCount="1"', 'PlaneCount="1000000000"')
    assert "1000000000" in xml
    tifffile.imwrite(tmp_path / "a.ome.tif", voxels[0, 0], description=xml, metadata=None)
    refused(tmp_path / "a.ome.tif", "000000 planes", "truncated")


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
