"""Hostile .npy files and PNG slices."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from hostile import Hostile
from refusal import volume

ON_ARRAYS = (
    "measure @/bad.npy --out m.csv",
    "predict classical @/bad.npy --out out",
    "convert @/bad.npy out.zarr",
    "fuse @/bad.npy @/good.npy --out out.tif",
    "track @/bad.npy --out out",
    "eval --pred @/bad.npy --truth @/good.npy",
)
ON_SLICES = ("measure @/slices --out m.csv", "predict classical @/slices --out out")
RAN = "pickle-ran"  # what a pickle would leave, were it loaded


class _Runs:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"open({RAN!r}, 'w').write('')",)


def _npy(header: str, body: bytes = b"\0" * 10_752, version: bytes = b"\1\0") -> bytes:
    text = header.encode("latin1").ljust(118) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + body


def _told(shape: str, descr: str = "'<u2'", order: str = "False", rest: str = "") -> bytes:
    return _npy(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {rest}}}")


def _arrays() -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, volume()[1])
    good = buffer.getvalue()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../stack.npy", good)
        archive.writestr("bomb.npy", b"\0" * (64 << 20))
    nested = "(" * 300 + ")" * 300
    return {
        **{f"cut to {left} bytes": good[:left] for left in (0, 5, 9, 40, 127, 128, 4000, len(good) - 1)},
        "zeros": b"\0" * 4096,
        "version 9": good[:6] + b"\x09\x00" + good[8:],
        "header of 65535 bytes that are not there": good[:8] + b"\xff\xff" + good[10:],
        "header of 4 GB": good[:6] + b"\2\0" + b"\xff" * 4 + good[12:],
        "header that is no dictionary": _npy("[1, 2, 3]"),
        "header with code": _npy(f"__import__('os').system('touch {RAN}')"),
        "header that is nested deeply": _npy(f"{{'descr': {nested}}}"),
        "header of endless digits": _told(f"({'9' * 60},)"),
        "header without a shape": _npy("{'descr': '<u2', 'fortran_order': False}"),
        "header with a key too many": _told("(8, 24, 28)", rest="'more': 1"),
        "shape larger than the file": _told("(8, 24, 2800)"),
        "shape of 1 TB": _told("(1000, 1000, 500000)"),
        "shape beyond 2^63": _told("(4294967296, 4294967296, 4294967296)"),
        "shape that overflows to a small one": _told("(4294967296, 4294967296, 2)"),
        "shape below 0": _told("(-8, 24, 28)"),
        "shape of two numbers below 0": _told("(-8, -24, 28)"),
        "shape with 0": _told("(8, 0, 28)"),
        "shape of words": _told("('8', '24', '28')"),
        "shape of floats": _told("(8.0, 24.0, 28.0)"),
        "shape that is no tuple": _told("5376"),
        "a hundred dimensions": _told(f"({'1, ' * 30}8, 24, 28)"),
        "two dimensions": _told("(192, 28)"),
        "order that is a word": _told("(8, 24, 28)", order="'C'"),
        "objects": _told("(8, 24, 28)", "'|O'"),
        "objects with a pickle": _npy(
            "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2, 2), }", pickle.dumps([_Runs()] * 8)
        ),
        "text": _told("(8, 24, 28)", "'<U1'"),
        "raw bytes": _told("(8, 24, 28)", "'|V2'"),
        "fields": _told("(8, 24, 14)", "[('a', '<u2'), ('b', '<u2')]"),
        "dates": _told("(8, 24, 7)", "'<M8[s]'"),
        "complex numbers": _told("(8, 24, 7)", "'<c8'"),
        "a type of 2 GB": _told("(8, 24, 28)", "'|V2147483647'"),
        "unknown type": _told("(8, 24, 28)", "'<q9'"),
        "a bare pickle": pickle.dumps(_Runs()),
        "an .npz by the name of an .npy": held.getvalue(),
    }


def _put_array(folder: Path, data: bytes) -> None:
    (folder / "bad.npy").write_bytes(data)
    np.save(folder / "good.npy", volume()[1])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int = 28, height: int = 24, bits: int = 8, colour: int = 0, pixels: bytes | None = None
) -> bytes:
    """Write a PNG by hand."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\7" * 28) * 24) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _pictures() -> dict[str, bytes]:
    good = png()
    spoilt = bytearray(good)
    spoilt[50] ^= 0xFF
    return {
        **{f"cut to {left} bytes": good[:left] for left in (0, 8, 20, 33, 45, len(good) - 20)},
        "no PNG": b"GIF89a" + good[6:],
        "checksum that is wrong": bytes(spoilt),
        "size of 0": png(0, 24),
        "1 KB that claims 2^31 x 2^31": png((1 << 31) - 1, (1 << 31) - 1),
        "1 KB that claims 2 GB": png(44_000, 44_000),
        "bomb of 400 MB in 28 x 24": png(pixels=zlib.compress(b"\0" * (400 << 20))),
        "pixels of noise": png(pixels=b"\x55" * 300),
        "17 bits": png(bits=17),
        "unknown colour": png(colour=9),
        "RGB": png(8, 24, colour=2, pixels=zlib.compress((b"\0" + b"\7" * 24) * 24)),
    }  # fmt: skip


def _put_slices(folder: Path, data: bytes) -> None:
    (folder / "slices").mkdir()
    (folder / "slices" / "z1.png").write_bytes(png())
    (folder / "slices" / "z2.png").write_bytes(data)


def cases() -> list[Hostile]:
    """Return all cases, one command each in turn."""
    found = []
    for number, (name, data) in enumerate(_arrays().items()):
        command = ON_ARRAYS[number % len(ON_ARRAYS)]
        found.append(Hostile(f"npy: {name}", command, partial(_put_array, data=data)))
    for number, (name, data) in enumerate(_pictures().items()):
        command = ON_SLICES[number % len(ON_SLICES)]
        certain = "bomb" not in name  # libpng leaves what is too much, and says so
        found.append(Hostile(f"png: {name}", command, partial(_put_slices, data=data), certain))
    return found
