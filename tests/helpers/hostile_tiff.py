"""Hostile TIFFs: cut, patched, looped, bombs, and metadata that lie."""

# ruff: noqa: E501 (a case a line)

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from hostile import Hostile
from refusal import UM, volume

from zoo.data.write import write_image, write_labels

COMMANDS = (
    "measure @/bad.tif --out m.csv",
    "predict classical @/bad.tif --out out",
    "convert @/bad.tif out.zarr",
    "fuse @/bad.tif @/good.tif --out out.tif",
    "track @/bad.tif --out out",
    "eval --pred @/bad.tif --truth @/good.tif",
    "prepare yeast @/ --out out",
    "eval classical --data @/ --out out",
)
_KINDS = {"B": 1, "s": 2, "H": 3, "I": 4, "Q": 16}
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR, FORMAT = 273, 277, 278, 279, 284, 339
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325


# good files to spoil


@cache
def good(kind: str) -> bytes:
    """Return a good label image: ``imagej``, ``ome`` (deflate, a page a slice), ``big``, ``tiled`` or ``motorola``."""
    _, labels = volume()
    told: dict[str, Any] = {
        "imagej": {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 1.75, "unit": "um"}},
        "ome": {"ome": True, "compression": "zlib", "metadata": {"axes": "ZYX"}},
        "big": {"bigtiff": True, "compression": "zlib", "metadata": None, "contiguous": False},
        "tiled": {"tile": (16, 16), "compression": "zlib", "metadata": None},
        "motorola": {"byteorder": ">", "compression": "packbits", "metadata": None},
    }[kind]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels.astype(np.uint16), photometric="minisblack", **told)
    return buffer.getvalue()


def put(folder: Path, data: bytes) -> None:
    """Write the hostile file where each of `COMMANDS` looks, beside good ones."""
    image, labels = volume()
    (folder / "bad.tif").write_bytes(data)
    write_labels(folder / "good.tif", labels, UM)
    (folder / "bad_mask.tif").write_bytes((folder / "good.tif").read_bytes())
    (folder / "good_mask.tif").write_bytes((folder / "good.tif").read_bytes())
    for name in ("images", "labels"):
        (folder / name).mkdir()
        (folder / name / "bad.tif").write_bytes(data)
    write_image(folder / "images" / "good.tif", image, UM)
    write_labels(folder / "labels" / "good.tif", labels, UM)


def patched(data: bytes, tag: int, kind: str, *values: int, count: int | None = None, page: int = 0) -> bytes:
    """Give a tag of a page another type and values, those that do not fit at the end of the file."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2 if data[:2] == b"II" else 3] == 43
    word, entry, first = ("Q", 20, 8) if big else ("I", 12, 4)
    (offset,) = struct.unpack_from(order + word, data, first)
    number_bytes = 8 if big else 2
    changed = bytearray(data)
    for _ in range(page + 1):
        start = offset + number_bytes
        (number,) = struct.unpack_from(order + ("Q" if big else "H"), data, offset)
        (offset,) = struct.unpack_from(order + word, data, start + number * entry)
    for at in range(start, start + number * entry, entry):
        if struct.unpack_from(order + "H", data, at)[0] == tag:
            payload = struct.pack(f"{order}{len(values)}{kind}", *values)
            room = 8 if big else 4
            if len(payload) > room:
                inline = struct.pack(order + word, len(changed))
                changed += payload
            else:
                inline = payload.ljust(room, b"\0")
            head = struct.pack(
                order + "HH" + word, tag, _KINDS[kind], len(values) if count is None else count
            )
            changed[at : at + entry] = head + inline
            return bytes(changed)
    raise AssertionError(f"the file has no tag {tag}")


def made(
    pages: Sequence[dict[int, tuple[str, tuple[int, ...]]]], pixels: bytes = b"\0" * 64, last: int = 0
) -> bytes:
    """Write a classic TIFF by hand: its pixels from byte 8 on, then the pages; ``last`` is what the last names next."""
    body = b"II*\0" + b"\0\0\0\0" + pixels
    links = [4]
    body = bytearray(body)
    for tags in pages:
        entries, extra = b"", b""
        start = len(body)
        after = start + 2 + 12 * len(tags) + 4
        for tag, (kind, values) in sorted(tags.items()):
            payload = struct.pack(f"<{len(values)}{kind}", *values)
            if len(payload) > 4:
                inline, extra = struct.pack("<I", after + len(extra)), extra + payload
            else:
                inline = payload.ljust(4, b"\0")
            entries += struct.pack("<HHI", tag, _KINDS[kind], len(values)) + inline
        body += struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + extra
        struct.pack_into("<I", body, links[-1], start)
        links.append(start + 2 + 12 * len(tags))
    struct.pack_into("<I", body, links[-1], last)
    return bytes(body)


def page(
    width: int = 8, length: int = 8, **changed: int | tuple[int, ...]
) -> dict[int, tuple[str, tuple[int, ...]]]:
    """Return the tags of a page of 8 bits in one strip at byte 8; ``compression=8`` and so on change them."""
    values: dict[str, Any] = {
        "bits": 8, "compression": 1, "photometric": 1, "offsets": 8, "samples": 1, "rows": length,
        "counts": 64, "planar": 1, **changed,
    }  # fmt: skip
    tags: dict[int, tuple[str, tuple[int, ...]]] = {WIDTH: ("I", (width,)), LENGTH: ("I", (length,))}
    for name, value in values.items():
        tag = {"bits": BITS, "compression": COMPRESSION, "photometric": PHOTOMETRIC, "offsets": OFFSETS,
               "samples": SAMPLES, "rows": ROWS, "counts": COUNTS, "planar": PLANAR, "format": FORMAT,
               "tile_width": TILE_WIDTH, "tile_length": TILE_LENGTH}[name]  # fmt: skip
        kind = "H" if name in ("bits", "compression", "photometric", "samples", "planar", "format") else "I"
        tags[tag] = (kind, value if isinstance(value, tuple) else (value,))
    return tags


def described(text: str, shape: tuple[int, ...] = (8, 24, 28), **told: Any) -> bytes:
    """Write a TIFF with a description of its own."""
    buffer = io.BytesIO()
    array = np.zeros(shape, np.uint16)
    array[..., 4:9, 4:9] = 1
    tifffile.imwrite(buffer, array, description=text, metadata=None, photometric="minisblack", **told)
    return buffer.getvalue()


def ome(pixels: str, head: str = "", rest: str = "") -> str:
    """Return OME-XML of one image."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" Type="uint16" {pixels}>{rest or "<TiffData/>"}</Pixels></Image></OME>'
    )


# the cases


def _cuts() -> dict[str, bytes]:
    found = {}
    for kind in ("imagej", "ome", "big", "tiled", "motorola"):
        whole = good(kind)
        for share in (0, 0.001, 0.1, 0.35, 0.6, 0.85, 0.99):
            left = max(int(len(whole) * share), 3 if share else 1)
            found[f"{kind} cut to {share:.1%}"] = whole[:left]
    return found


def _headers() -> dict[str, bytes]:
    imagej, big = good("imagej"), good("big")
    found = {
        "no bytes": b"",
        "zeros": b"\0" * 4096,
        "both byte orders": b"IM" + imagej[2:],
        "other byte order": b"MM" + imagej[2:],
        "version 41": imagej[:2] + b")\0" + imagej[4:],
        "version of BigTIFF alone": imagej[:2] + b"+\0" + imagej[4:],
        "offsets of 4 bytes in BigTIFF": big[:4] + b"\4\0" + big[6:],
        "first page at 0": imagej[:4] + b"\0\0\0\0" + imagej[8:],
        "first page beyond the end": imagej[:4] + struct.pack("<I", len(imagej) + 9) + imagej[8:],
        "first page at the last byte": imagej[:4] + struct.pack("<I", len(imagej) - 1) + imagej[8:],
        "first page inside the header": imagej[:4] + struct.pack("<I", 2) + imagej[8:],
        "BigTIFF's page at 2^63": big[:8] + struct.pack("<Q", 1 << 63) + big[16:],
        "a PNG by the name of a TIFF": b"\x89PNG\r\n\x1a\n" + imagej[8:],
        "65535 tags": b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 1000,
        "BigTIFF of 2^60 tags": b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1 << 60) + b"\0" * 1000,
        "no tag at all": b"II*\0\x08\0\0\0\0\0" + b"\0" * 64,
    }
    return found


def _chains() -> dict[str, bytes]:
    one, two = made([page()]), made([page(), page()])
    (first,) = struct.unpack_from("<I", one, 4)
    (first_of_two,) = struct.unpack_from("<I", two, 4)
    return {
        "page that follows itself": made([page()], last=first),
        "two pages in a circle": made([page(), page()], last=first_of_two),
        "next page inside the pixels": made([page()], last=9),
        "next page beyond the end": made([page(), page()], last=1 << 31),
        "next page at 2^32 - 1": made([page(), page()], last=(1 << 32) - 1),
    }


def _sizes() -> dict[str, bytes]:
    huge, deflated = 1 << 20, zlib.compress(b"\0" * 64)
    told = '{"shape": [1000000, 1000, 1000]}'
    return {
        "1 KB that claims 1 TB": made([page(huge, huge)] * 2),
        "1 KB that claims 1 TB, deflate": made([page(huge, huge, compression=8)] * 2, deflated),
        "1 KB that claims 5 GB, deflate": made([page(50_000, 50_000, compression=8)] * 2, deflated),
        "1 KB that claims 2 GB, deflate": made([page(32_000, 32_000, compression=8)] * 2, deflated),
        "1 KB that claims 5 GB, LZW": made([page(50_000, 50_000, compression=5)] * 2),
        "1 KB that claims 5 GB, packbits": made([page(50_000, 50_000, compression=32773)] * 2),
        "1 KB that claims 5 GB, LZMA": made([page(50_000, 50_000, compression=34925)] * 2),
        "1 KB that claims 5 GB, zstd": made([page(50_000, 50_000, compression=50000)] * 2),
        "1 KB that claims 5 GB, JPEG": made([page(50_000, 50_000, compression=7)] * 2),
        "1 KB that claims 5 GB, JPEG 2000": made([page(50_000, 50_000, compression=34712)] * 2),
        "1 KB that claims 5 GB, WebP": made([page(50_000, 50_000, compression=50001)] * 2),
        "width of 2^32 - 1": made([page((1 << 32) - 1, 8)] * 2),
        "width of 2^32 - 1, deflate": made([page((1 << 32) - 1, 8, compression=8)] * 2, deflated),
        "both edges of 2^32 - 1, deflate": made([page((1 << 32) - 1, (1 << 32) - 1, compression=8)] * 2, deflated),
        "width of 0": made([page(0, 8)] * 2),
        "length of 0": made([page(8, 0)] * 2),
        "65535 samples a pixel": made([page(samples=65535, compression=8)] * 2, deflated),
        "tiles of 2^31": made([page(1000, 1000, tile_width=1 << 31, tile_length=1 << 31, compression=8) | {TILE_OFFSETS: ("I", (8,)), TILE_COUNTS: ("I", (64,))}] * 2, deflated),
        "tiles of 40000 on a page of 8": made([page(8, 8, tile_width=40_000, tile_length=40_000, compression=8) | {TILE_OFFSETS: ("I", (8,)), TILE_COUNTS: ("I", (64,))}] * 2, deflated),
        "tiles of no width": made([page(8, 8, tile_width=0, tile_length=16) | {TILE_OFFSETS: ("I", (8,)), TILE_COUNTS: ("I", (64,))}] * 2),
        "shape of 1 TB in tifffile's description": described(told),
        "shape below 0": described('{"shape": [-8, 24, 28]}'),
        "shape that is a word": described('{"shape": "large"}'),
        "shape nested 5000 deep": described('{"shape": ' + "[" * 5000 + "]" * 5000 + "}"),
    }  # fmt: skip


def _tags() -> dict[str, bytes]:
    ome_tiff, imagej, tiled, big = good("ome"), good("imagej"), good("tiled"), good("big")
    end = len(ome_tiff)
    return {
        "strip beyond the end": patched(ome_tiff, OFFSETS, "I", end, page=3),
        "strip at 0": patched(ome_tiff, OFFSETS, "I", 0, page=3),
        "strip at 2^32 - 1": patched(ome_tiff, OFFSETS, "I", (1 << 32) - 1, page=3),
        "strip in the middle of another": patched(ome_tiff, OFFSETS, "I", 11, page=3),
        "strip of 0 bytes": patched(ome_tiff, COUNTS, "I", 0, page=3),
        "strip of 1 byte": patched(ome_tiff, COUNTS, "I", 1, page=3),
        "strip of 2^32 - 1 bytes": patched(ome_tiff, COUNTS, "I", (1 << 32) - 1, page=3),
        "offsets of one byte each": patched(ome_tiff, OFFSETS, "B", 8, page=3),
        "2^31 offsets": patched(ome_tiff, OFFSETS, "I", 8, count=1 << 31),
        "no offsets": patched(ome_tiff, OFFSETS, "I", 8, count=0),
        "no byte counts": patched(ome_tiff, COUNTS, "I", 8, count=0),
        "ImageJ pixels beyond the end": patched(imagej, OFFSETS, "I", len(imagej) - 100),
        "tiles beyond the end": patched(tiled, TILE_OFFSETS, "I", *[1 << 30] * 4),
        "one tile of four": patched(tiled, TILE_OFFSETS, "I", 8),
        "BigTIFF strip at 2^63": patched(big, OFFSETS, "Q", 1 << 63),
        "BigTIFF strip of 2^63 bytes": patched(big, COUNTS, "Q", 1 << 63),
        "BigTIFF strip and its length pass 2^64": patched(patched(big, OFFSETS, "Q", (1 << 64) - 1), COUNTS, "Q", (1 << 64) - 1),
        "0 bits": patched(ome_tiff, BITS, "H", 0),
        "3 bits": patched(ome_tiff, BITS, "H", 3),
        "65535 bits": patched(ome_tiff, BITS, "H", 65535),
        "1000 bits, plain": patched(imagej, BITS, "H", 1000),
        "bits of no sample": patched(ome_tiff, BITS, "H", 16, count=0),
        "complex numbers": made([page(bits=64, format=6, counts=512)] * 2, b"\1" * 512),
        "floats of 8 bits": made([page(format=3)] * 2),
        "samples of an unknown kind, long enough for others": made([page(format=77)] * 2, b"\1" * 4096),
        "samples of an unknown kind": made([page(format=77)] * 2),
        "0 samples": patched(ome_tiff, SAMPLES, "H", 0),
        "rows of 0": patched(ome_tiff, ROWS, "I", 0),
        "1 row a strip, with one strip": patched(ome_tiff, ROWS, "I", 1),
        "planar of 77": made([page(planar=77, samples=3, counts=192)] * 2, b"\0" * 192),
        "RGB": made([page(photometric=2, samples=3, bits=(8, 8, 8), counts=192)] * 2, b"\0" * 192),
        "first page alone wider": patched(ome_tiff, WIDTH, "I", 56),
        "third page alone higher": patched(good("motorola"), LENGTH, "I", 48, page=2),
        "third page alone of 8 bits": patched(good("motorola"), BITS, "H", 8, page=2),
        **{f"compression {code}": made([page(compression=code)] * 2, b"\x55\xaa" * 32) for code in (0, 99, 9999, 32946, 34712, 34887, 34925, 34933, 50000, 50001, 50002, 65535)},
        "tag of the type 0": _typed(ome_tiff, 0),
        "tag of the type 77": _typed(ome_tiff, 77),
    }  # fmt: skip


def _typed(data: bytes, kind: int) -> bytes:
    """Give the tag of the width a type that TIFF does not have."""
    (offset,) = struct.unpack_from("<I", data, 4)
    changed = bytearray(data)
    for at in range(offset + 2, len(data), 12):
        if struct.unpack_from("<H", data, at)[0] == WIDTH:
            struct.pack_into("<H", changed, at + 2, kind)
            return bytes(changed)
    raise AssertionError("no width")


def _streams() -> dict[str, bytes]:
    """Return what is wrong in the compressed bytes themselves."""
    bomb = zlib.compress(b"\0" * (600 << 20), 9)  # 600 KB
    pages = [page(compression=8, counts=len(bomb))] * 2
    noise = np.random.default_rng(0).bytes(64)
    whole = zlib.compress(bytes(range(64)))
    return {
        "deflate bomb in a strip of 8 x 8": made(pages, bomb),
        "deflate stream of noise": made([page(compression=8)] * 2, noise),
        "deflate stream cut short": made([page(compression=8, counts=20)] * 2, whole[:20]),
        "deflate of fewer pixels": made([page(64, 64, compression=8)] * 2, zlib.compress(b"\1" * 9).ljust(64, b"\0")),
        "deflate with a wrong checksum": made([page(compression=8, counts=len(whole))] * 2, whole[:-4] + b"\0\0\0\0"),
        "LZW of noise": made([page(compression=5)] * 2, noise),
        "packbits that end early": made([page(100, 100, compression=32773, counts=2)] * 2, b"\x81\7"),
        "zstd of a frame of 2^62 bytes": made([page(compression=50000)] * 2, b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 62) + b"\0" * 51),
        "LZMA of a dictionary of 4 GB": made([page(compression=34925)] * 2, b"\x5d\xff\xff\xff\xff" + b"\xff" * 59),
        "JPEG of 65500 x 65500 in a strip of 8 x 8": made([page(compression=7, counts=len(_JPEG))] * 2, _JPEG),
        "JPEG 2000 of 2^31 x 2^31": made([page(compression=34712, counts=len(_J2K))] * 2, _J2K),
        "PNG of 2^31 x 2^31 in a strip": made([page(compression=34933, counts=len(_PNG))] * 2, _PNG),
    }  # fmt: skip


_JPEG = (
    b"\xff\xd8\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 65500, 65500) + b"\x01\x01\x11\x00"
    b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\0" * 64 + b"\xff\xd9"
)
_J2K = (
    b"\xff\x4f\xff\x51\x00\x29\x00\x00" + struct.pack(">8I", *[(1 << 31) - 1] * 2, 0, 0, *[(1 << 31) - 1] * 2, 0, 0)
    + b"\x00\x01\x07\x01\x01\xff\x52\x00\x0c\x00\x00\x00\x01\x00\x01\x04\x04\x00\x01\xff\x5c\x00\x04\x40\x40\xff\x93"
)  # fmt: skip
_PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", *[(1 << 31) - 1] * 2) + b"\x08\0\0\0\0" + b"\0" * 40
)


def _metadata() -> dict[str, bytes]:
    size = 'SizeX="28" SizeY="24" SizeC="1" SizeT="1" DimensionOrder="XYZCT"'
    lol = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    entities = f'<!DOCTYPE OME [<!ENTITY l0 "lol">{lol}]>'
    quadratic = f'<!DOCTYPE OME [<!ENTITY a "{"a" * 50_000}">]>'
    outside = '<!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    flat = (24, 28)
    return {
        "OME of more planes": described(ome(f'SizeZ="80" {size}')),
        "OME of 2^31 planes": described(ome(f'SizeZ="{1 << 31}" {size}')),
        "OME of 10^30 planes": described(ome(f'SizeZ="{10**30}" {size}')),
        "OME of 10^5000 planes": described(ome(f'SizeZ="1{"0" * 5000}" {size}')),
        "OME of -8 planes": described(ome(f'SizeZ="-8" {size}')),
        "OME of 0 planes": described(ome(f'SizeZ="0" {size}')),
        "OME of wide planes": described(ome(f'SizeZ="8" {size}'.replace('"28"', '"2800000"'))),
        "OME of words for sizes": described(ome(f'SizeZ="eight" {size}')),
        "OME of a hundred channels": described(ome(f'SizeZ="8" {size}'.replace('SizeC="1"', 'SizeC="100"'))),
        "OME of unknown axes": described(ome(f'SizeZ="8" {size}'.replace("XYZCT", "XYQQT"))),
        "OME plane beyond the file": described(ome(f'SizeZ="8" {size}', rest='<TiffData IFD="4000000000"/>')),
        "OME of 10^9 planes in TiffData": described(ome(f'SizeZ="8" {size}', rest='<TiffData IFD="0" PlaneCount="1000000000"/>')),
        "OME of a file elsewhere": described(ome(f'SizeZ="8" {size}', rest='<TiffData><UUID FileName="../../../etc/passwd">urn:uuid:1</UUID></TiffData>')),
        "OME of 10^9 planes in a second image": described(ome(f'SizeZ="8" {size}').replace("</OME>", f'<Image ID="Image:1"><Pixels {size} SizeZ="8" Type="uint16"><TiffData IFD="0" PlaneCount="1000000000"/></Pixels></Image></OME>')),
        "OME of 10^9 planes in two files": described(ome(f'SizeZ="1000000000" {size}', rest="".join(f'<TiffData PlaneCount="500000000"><UUID FileName="{n}.tif">urn:uuid:{n}</UUID></TiffData>' for n in "ab"))),
        "OME with a bomb of entities": described(ome(f'SizeZ="&l9;" {size}', entities)),
        "OME with a bomb of entities in text": described(ome(f'SizeZ="8" {size}', entities, "&l9;<TiffData/>")),
        "OME with a quadratic bomb": described(ome(f'SizeZ="8" {size}', quadratic, "&a;" * 20_000)),
        "OME with a file as an entity": described(ome(f'SizeZ="&x;" {size}', outside)),
        "OME nested 100,000 deep": described(ome(f'SizeZ="8" {size}', rest="<a>" * 100_000)),
        "OME cut short": described(ome(f'SizeZ="8" {size}')[:200], flat),
        "ImageJ of more images": described("ImageJ=1.53\nimages=800\nslices=800\n", flat),
        "ImageJ of 10^12 images": described("ImageJ=1.53\nimages=1000000000000\nslices=1000000000000\n", flat),
        "ImageJ of -8 images": described("ImageJ=1.53\nimages=-8\nslices=-8\n", flat),
        "ImageJ of slices that are a word": described("ImageJ=1.53\nimages=many\nslices=many\n", flat),
        "ImageJ whose slices times frames are not its images": described("ImageJ=1.53\nimages=8\nslices=3\nframes=7\nchannels=2\nhyperstack=true\n"),
        "a description that is no text": described("\x01\x02\x03" * 40, flat),
    }  # fmt: skip


# a description of any kind may be taken for none, and the pages for a plain stack
UNCERTAIN = {
    "OME of words for sizes", "OME cut short", "OME of unknown axes", "OME with a bomb of entities in text",
    "OME with a quadratic bomb", "OME of a file elsewhere", "OME nested 100,000 deep", "OME of 0 planes",
    "OME of -8 planes", "shape that is a word", "shape nested 5000 deep", "shape below 0",
    "OME with a file as an entity",
    "ImageJ whose slices times frames are not its images", "strip in the middle of another",
}  # fmt: skip


def cases() -> list[Hostile]:
    """Return all cases, one command each in turn."""
    found: list[Hostile] = []
    families: tuple[Callable[[], dict[str, bytes]], ...] = (
        _cuts, _headers, _chains, _sizes, _tags, _streams, _metadata,
    )  # fmt: skip
    for family in families:
        for number, (name, data) in enumerate(family().items()):
            command = COMMANDS[number % len(COMMANDS)]
            found.append(Hostile(f"tiff: {name}", command, partial(put, data=data), name not in UNCERTAIN))
    return found
