"""A folder of 2-D slices, TIFF or PNG, as one stack."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np

from zoo.data.memory import check_fits
from zoo.data.tiffmeta import voxel_size
from zoo.data.tiffread import open_series, read_planes
from zoo.errors import InputError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEFLATE = 1032  # bytes that one of a PNG's can stand for at most
# colour type -> samples a pixel, bits a sample (PNG 1.2, section 4.1.1)
_PNG_COLOURS = {
    0: (1, (1, 2, 4, 8, 16)),
    2: (3, (8, 16)),
    3: (1, (1, 2, 4, 8)),
    4: (2, (8, 16)),
    6: (4, (8, 16)),
}


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Make a key that sorts z2 before z10.

    Parameters
    ----------
    path
        A file; only its name counts.

    Returns
    -------
    tuple
        The key: the name cut into words and numbers, then the name itself for z1 beside z01.
    """
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def is_slice(path: Path) -> bool:
    """Tell whether a file holds a single plane.

    Parameters
    ----------
    path
        A TIFF, ``.npy`` or PNG. Of a TIFF only the metadata are read; ``.npy`` never counts as a slice.

    Returns
    -------
    bool
        Whether it does, be it grey or RGB.

    Raises
    ------
    InputError
        If it is a TIFF that cannot be read.
    """
    if path.suffix.lower() in (".png", ".npy"):
        return path.suffix.lower() == ".png"
    with open_series(path) as series:
        return not any(n > 1 for axis, n in zip(series.axes, series.shape, strict=True) if axis not in "YXS")


def read_slices(files: Sequence[Path]) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """Read slices into one stack.

    Parameters
    ----------
    files
        The slices, from the first plane to the last.

    Returns
    -------
    volume : (Z, Y, X)
        The voxels in the type of the files.
    spacing : (z, y, x) um or None
        The size of a voxel, where the first slice tells all of it; of a slice alone that of a pixel will do.

    Raises
    ------
    InputError
        If one is no grey 2-D image or cannot be read, or they differ in shape or type.
    """
    first, spacing = _read_slice(files[0], alone=len(files) == 1)
    shape = (len(files), *first.shape)
    check_fits(shape, first.dtype, files[0].parent)
    volume = np.empty(shape, first.dtype)
    volume[0] = first
    for plane, path in zip(volume[1:], files[1:], strict=True):
        pixels, _ = _read_slice(path)
        if pixels.shape != first.shape or pixels.dtype != first.dtype:
            raise InputError(
                f"{path} ({pixels.dtype}, {pixels.shape}) must have the type and shape of {files[0].name}, "
                f"{first.dtype}, {first.shape}: a folder holds the slices of one stack, or stacks"
            )
        plane[...] = pixels
    return volume, spacing


def _read_slice(path: Path, alone: bool = False) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    if path.suffix.lower() == ".png":
        pixels = _read_png(path)
        spacing = None
    elif is_slice(path):
        with open_series(path) as series:
            if dict(zip(series.axes, series.shape, strict=True)).get("S", 1) > 1:
                raise InputError(_not_grey(path))
            pixels = read_planes(series, np.array(0), path)
            spacing = voxel_size(series.parent, slice_alone=alone)
    else:
        raise InputError(
            f"{path} is no 2-D slice as the first file of its folder is: keep stacks and slices apart"
        )
    return pixels, spacing


def _not_grey(path: Path) -> str:
    return f"{path} is an RGB (or RGBA) image: convert it to greyscale, or split its channels"


def _read_png(path: Path) -> np.ndarray:
    try:
        encoded = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    if encoded[:8] != _PNG_SIGNATURE or len(encoded) < 33:
        raise InputError(f"{path} is not a PNG, or truncated: copy or export it again")
    width, height, bits, colour = struct.unpack(">IIBB", encoded[16:26])
    # all before libpng sees it, which writes to the terminal of its own
    samples, depths = _PNG_COLOURS.get(colour, (0, ()))
    if not width or not height or bits not in depths:
        raise InputError(
            f"{path} is truncated or damaged (it declares {height} x {width} pixels of {bits} bits and the "
            f"colour type {colour}): copy or export it again"
        )
    check_fits((height, width), np.dtype(np.uint16), path)
    if height * width * samples * bits // 8 > len(encoded) * _DEFLATE:
        raise InputError(
            f"{path} is truncated or damaged (it declares {height} x {width} pixels, which its "
            f"{len(encoded)} bytes cannot hold): copy or export it again"
        )
    try:
        pixels = imagecodecs.png_decode(encoded)
    except Exception as error:  # its errors share no type of their own
        raise InputError(f"{path} is truncated or damaged ({error}): copy or export it again") from error
    if pixels.ndim != 2:
        raise InputError(_not_grey(path))
    return pixels
