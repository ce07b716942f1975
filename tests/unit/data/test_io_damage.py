"""Files that are missing, cut, damaged, or lie about what they hold."""

import os
import random
import struct

import numpy as np
import pytest
import tifffile
from stacks import refused, write_slices

from zoo.data import memory
from zoo.data.io import Stack, list_images, read_image, read_labels
from zoo.errors import InputError

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


@pytest.mark.parametrize("shape", ["(4294967296, 4294967296, 2)", "(4294967296, 4294967296, 4294967296)"])
def test_npy_of_a_shape_beyond_all_numbers(tmp_path, shape):
    header = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (tmp_path / "i.npy").write_bytes(b"\x93NUMPY\1\0v\0" + header.encode())
    refused(tmp_path / "i.npy", "damaged")


def test_pipes_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "i.tif")
    refused(tmp_path / "i.tif", "pipe")
