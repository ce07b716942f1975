"""Is a TIFF file whole? Decided from its directories alone, before anything is decoded or allocated.

tifffile, like most readers, answers a file that was cut off with fewer planes or with zeros and a line in
its log. A stack that lost its deepest slices must not be measured, so the chain of directories is walked
here and every strip and tile has to lie inside the file.
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from zoo.errors import InputError

# TIFF 6.0, section 2 and section 8: the tags that place the pixels
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _PLANAR = 256, 257, 258, 259, 277, 284
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_DEPTH, _TILE_DEPTH = 32997, 32998
_DESCRIPTION, _PREDICTOR, _SAMPLE_FORMAT = 270, 317, 339

# compression -> pixels' bytes that a byte can stand for at most: PackBits 128 for 2; LZW a string of 4096 for
# 9 bits; deflate 258 for 2 bits; zstd a block of 128 KB for 3. The others have no such limit.
_RATIO = {1: 1, 5: 4096, 8: 1032, 32773: 64, 32946: 1032, 50000: 1 << 16}
_LARGEST_TILE = 4096  # pixels an edge, where the page is smaller; ours: writers take 128 to 1024

# type of a tag's values -> struct code (text and undefined bytes are only skipped over)
_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 7: "s", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}


class Page(NamedTuple):
    """What the pages of one image have in common, as a page declares it."""

    width: int
    length: int
    depth: int
    bits: int
    samples: int
    compression: int
    predictor: int
    kind: int  # of samples: integers, floats


class _Form(NamedTuple):
    """How numbers are laid out: classic TIFF or BigTIFF, little or big end first."""

    order: str
    offset_code: str
    count_code: str
    entry_code: str


class _File(NamedTuple):
    handle: BinaryIO
    size: int
    form: _Form
    path: Path


def check_structure(path: Path) -> list[Page]:
    """Refuse a file that is no TIFF, or whose directories or pixels do not lie inside it.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    list of Page
        Its pages, in their order.

    Raises
    ------
    InputError
        If it cannot be read, is empty, is no TIFF, has no page, is truncated or damaged, or declares more
        pixels than its bytes can hold.
    """
    try:
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            return _walk(handle, size, path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): check its name and permissions"
        ) from error


def _walk(handle: BinaryIO, size: int, path: Path) -> list[Page]:
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy or export it again")
    form, offset = _header(handle.read(16), path)
    file = _File(handle, size, form, path)
    seen: set[int] = set()
    pages: list[Page] = []
    while offset:
        if offset in seen:
            _damaged(file, "its pages form a loop")
        seen.add(offset)
        tags, offset = _directory(file, offset)
        pages.append(_check_page(file, tags, len(seen)))
    if not seen:
        _damaged(file, "it has no page")
    return pages


def _damaged(file: _File, what: str) -> NoReturn:
    raise InputError(f"{file.path} is truncated or damaged ({what}): copy or export it again")


def _header(start: bytes, path: Path) -> tuple[_Form, int]:
    order = {b"II": "<", b"MM": ">"}.get(start[:2])
    if order and len(start) >= 8:
        version, offset = struct.unpack(f"{order}HI", start[2:8])
        if version == 42:
            return _Form(order, "I", "H", "HHI4s"), offset
        if version == 43 and len(start) == 16:
            return _Form(order, "Q", "Q", "HHQ8s"), struct.unpack(f"{order}Q", start[8:])[0]
    raise InputError(f"{path} is not a TIFF (it starts with {start[:4]!r}): export it as TIFF or .npy")


def _read(file: _File, offset: int, count: int, what: str) -> bytes:
    if offset + count > file.size:
        _damaged(file, f"{what} would lie at byte {offset} of {file.size}")
    file.handle.seek(offset)
    return file.handle.read(count)


def _directory(file: _File, offset: int) -> tuple[dict[int, tuple[int, ...]], int]:
    """Read the page directory at `offset`: its tags' values, and where the next directory lies."""
    order, offset_code, count_code, entry_code = file.form
    count_bytes, offset_bytes = struct.calcsize(count_code), struct.calcsize(offset_code)
    entry_bytes = struct.calcsize(order + entry_code)
    (count,) = struct.unpack(order + count_code, _read(file, offset, count_bytes, "a page directory"))
    raw = _read(file, offset + count_bytes, count * entry_bytes + offset_bytes, "a page directory")
    tags = {
        code: _values(file, kind, number, inline)
        for code, kind, number, inline in struct.iter_unpack(order + entry_code, raw[:-offset_bytes])
        if code in _NEEDED
    }
    return tags, struct.unpack(order + offset_code, raw[-offset_bytes:])[0]


_NEEDED = {
    _WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, _PLANAR, _STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES,
    _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _TILE_BYTES, _DEPTH, _TILE_DEPTH, _DESCRIPTION,
    _PREDICTOR, _SAMPLE_FORMAT,
}  # fmt: skip


def _values(file: _File, kind: int, number: int, inline: bytes) -> tuple[int, ...]:
    """Read the values of one tag, from the entry itself or from where it points; () for text."""
    if kind not in _CODES:
        _damaged(file, f"a tag of the unknown type {kind}")
    code = _CODES[kind]
    length = number * struct.calcsize(code)
    if length > len(inline):
        (offset,) = struct.unpack(file.form.order + file.form.offset_code, inline)
        inline = _read(file, offset, length, "the values of a tag")
    if code == "s":
        return ()
    return struct.unpack(f"{file.form.order}{number}{code}", inline[:length])


def _check_page(file: _File, tags: dict[int, tuple[int, ...]], number: int) -> Page:
    """See that each strip or tile of a page is there, inside the file and long enough."""

    def one(tag: int, default: int) -> int:
        return (tags.get(tag) or (default,))[0]

    page = Page(
        one(_WIDTH, 0), one(_LENGTH, 0), one(_DEPTH, 1), one(_BITS, 1), one(_SAMPLES, 1),
        one(_COMPRESSION, 1), one(_PREDICTOR, 1), one(_SAMPLE_FORMAT, 1),
    )  # fmt: skip
    width, length, depth = page.width, page.length, page.depth
    if not width or not length:
        _damaged(file, f"page {number} has the size {length} x {width}")
    if _TILE_OFFSETS in tags:
        offsets, lengths = tags[_TILE_OFFSETS], tags.get(_TILE_BYTES, ())
        tile = [
            max(one(_TILE_WIDTH, width), 1),
            max(one(_TILE_LENGTH, length), 1),
            max(one(_TILE_DEPTH, 1), 1),
        ]
        edges = (width, length, depth)
        if any(t > max(edge + 15, _LARGEST_TILE) for t, edge in zip(tile, edges, strict=True)):
            _damaged(file, f"page {number}, {length} x {width}, has tiles of {tile[1]} x {tile[0]}")
        parts = math.prod(math.ceil(edge / t) for t, edge in zip(tile, edges, strict=True))
    else:
        offsets, lengths = tags.get(_STRIP_OFFSETS, ()), tags.get(_STRIP_BYTES, ())
        parts = math.ceil(length / max(min(one(_ROWS_PER_STRIP, length), length), 1)) * depth
    if one(_PLANAR, 1) == 2:
        parts *= page.samples
    needed = width * length * depth * page.samples * page.bits // 8
    if page.compression == 1 and len(offsets) == 1:
        # the one length that old writers leave out or get wrong, and which readers therefore compute
        lengths = (needed,)
    if min(len(offsets), len(lengths)) < parts:
        _damaged(file, f"page {number} has {min(len(offsets), len(lengths))} of its {parts} strips or tiles")
    _check_pieces(file, page, number, list(zip(offsets, lengths, strict=False)), parts, needed)
    return page


def _check_pieces(
    file: _File, page: Page, number: int, pieces: list[tuple[int, int]], parts: int, needed: int
) -> None:
    """See that the strips or tiles of a page, byte and length each, can hold the bytes of pixels needed."""
    if any(start == 0 or count == 0 for start, count in pieces[:parts]):
        _damaged(file, f"page {number} has strips or tiles without pixels")
    end = max(start + count for start, count in pieces)
    if end > file.size:
        _damaged(file, f"the pixels of page {number} end at byte {end}, the file at {file.size}")
    held = sum(count for _, count in pieces)
    ratio = _RATIO.get(page.compression)
    if ratio is not None and held * ratio < needed:
        _damaged(
            file,
            f"page {number} needs {needed} bytes of pixels, its strips hold "
            + (f"{held}" if ratio == 1 else f"{held * ratio} at most, unpacked"),
        )
