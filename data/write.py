"""Volumes and labels onto the disk: whole or not at all, and readable in Fiji and napari."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

from zoo.errors import InputError

# ImageJ's offsets have 32 bits; 32 MB are kept for what is not pixels, the allowance tifffile makes too.
CLASSIC_BYTES = 2**32 - 2**25

NAMES = "backslashreplace"  # how texts hold names of files that are no UTF-8, as Linux lets them be
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ERRNO = re.compile(r"errno = (\d+)")
_IMAGEJ_TYPES = {"uint8", "uint16", "float32"}
_OME_TYPES = {"int8", "int16", "int32", "uint32", "float64"}
_MICROMETRE_PER_CENTIMETRE = 1e4


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary file to write, which becomes `path` only when the block ends well.

    The temporary file is hidden, lies in the folder of `path` (a rename is atomic only within one file
    system) and keeps all its suffixes, so that writers which look at them choose the same format.
    Whatever stops the block, an error or Ctrl-C, removes it and leaves an older `path` as it was.

    Parameters
    ----------
    path
        The file to be written or replaced. Missing folders above it are made.

    Yields
    ------
    Path
        The temporary file: it exists and is empty.

    Raises
    ------
    InputError
        If the folder cannot be made or written to, `path` is a folder, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file to write")
    temporary = path.with_name(f".{secrets.token_hex(4)}{''.join(path.suffixes)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): choose a folder that you may write to"
        ) from error
    try:
        with _full_disk_told(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a hidden folder to fill, which becomes `path`, or replaces it, only when the block ends well.

    Whatever stops the block, an error or Ctrl-C, removes it and leaves an older `path` as it was.

    Parameters
    ----------
    path
        The folder to be made or replaced. Missing folders above it are made at the end.

    Yields
    ------
    Path
        The hidden folder: it exists and is empty.

    Raises
    ------
    InputError
        If the folder cannot be made, or the disk is full.
    """
    path = path.absolute()
    # beside `path`, or above it where its own parents are missing: those are made when all is well
    home = next(above for above in path.parents if above.exists())
    part, old = (home / f".{secrets.token_hex(4)}" for _ in range(2))
    try:
        part.mkdir()
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}): choose a folder that you may write to"
        ) from error
    try:
        with _full_disk_told(path):
            yield part
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                os.replace(path, old)
            os.replace(part, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _full_disk_told(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # the second by h5py, which tells the number in its text only
        number = error.errno if isinstance(error, OSError) else int((_ERRNO.findall(str(error)) or [0])[0])
        if number in DISK_FULL:
            raise InputError(
                f"{path} cannot be written ({os.strerror(number)}): free some space or choose another disk"
            ) from error
        raise


def smallest_unsigned(largest: int) -> np.dtype:
    """Find the smallest unsigned type that holds a label.

    Parameters
    ----------
    largest
        The largest label, 0 or more.

    Returns
    -------
    numpy.dtype
        uint8, uint16 or uint32: what TIFF readers know.

    Raises
    ------
    InputError
        If `largest` is negative or beyond uint32.
    """
    for name in ("uint8", "uint16", "uint32"):
        if 0 <= largest <= np.iinfo(name).max:
            return np.dtype(name)
    raise InputError(f"label {largest} cannot be written: labels go from 0 to {2**32 - 1}; renumber them")


def write_labels(path: Path, labels: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Write a label image in the smallest unsigned type that holds its largest label.

    uint8 and uint16 become an ImageJ hyperstack, uint32 (which ImageJ's format lacks) an OME-TIFF.

    Parameters
    ----------
    path
        The file, replaced if it exists; ``.tif`` is the suffix that all readers know.
    labels : (Z, Y, X) or (T, Z, Y, X) integers or booleans, 0 or more; 0 is background
        The labels.
    spacing : (z, y, x) um
        The size of a voxel.

    Raises
    ------
    InputError
        If the array is not such a label image, or the file cannot be written.
    """
    if labels.dtype.kind not in "biu":
        raise InputError(f"labels of type {labels.dtype} cannot be written: convert them to integers")
    _check(labels, spacing)
    smallest, largest = int(labels.min()), int(labels.max())
    if smallest < 0:
        raise InputError(f"label {smallest} cannot be written: labels are 0 or more; renumber them")
    _write(path, labels.astype(smallest_unsigned(largest), copy=False), spacing, (0, max(largest, 1)))


def write_image(path: Path, image: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Write an image in its own type.

    uint8, uint16 and float32 become an ImageJ hyperstack, other types an OME-TIFF.

    Parameters
    ----------
    path
        The file, replaced if it exists; ``.tif`` is the suffix that all readers know.
    image : (Z, Y, X) or (T, Z, Y, X)
        Grey values: 8 to 32-bit integers, float32 or float64.
    spacing : (z, y, x) um
        The size of a voxel.

    Raises
    ------
    InputError
        If the array is not such an image, or the file cannot be written.
    """
    allowed = _IMAGEJ_TYPES | _OME_TYPES
    if image.dtype.name not in allowed:
        raise InputError(
            f"an image of type {image.dtype} cannot be written: convert it to one of "
            f"{', '.join(sorted(allowed))}"
        )
    _check(image, spacing)
    _write(path, image, spacing, (float(image.min()), float(image.max())))


def _check(array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    if array.ndim not in (3, 4) or array.size == 0:
        raise InputError(f"an array of shape {array.shape} cannot be written: give (Z, Y, X) or (T, Z, Y, X)")
    if len(spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"spacing {spacing} is not a voxel size: give three positive numbers, z y x in um")


def _write(
    path: Path, array: np.ndarray, spacing: tuple[float, float, float], display: tuple[float, float]
) -> None:
    """Write `array` as the format that Fiji and napari open with all axes and the voxel size.

    ImageJ reads its own hyperstacks as one block of raw pixels, so these stay uncompressed (tifffile:
    "ImageJ hyperstacks do not support BigTIFF or compression"). What that format cannot hold, other types
    and more than 4 GB, goes into an OME-TIFF, which Bio-Formats (in Fiji) and tifffile (in napari) read with
    deflate. No predictor: runs of equal labels pack better without.
    """
    z, y, x = (float(s) for s in spacing)
    axes = "TZYX"[-array.ndim :]
    with atomic(path) as temporary:
        # a single column is none to tifffile's ImageJ writer: it takes it for the samples of a pixel
        if array.dtype.name in _IMAGEJ_TYPES and array.nbytes <= CLASSIC_BYTES and array.shape[-1] > 1:
            # min and max: else Fiji scales the display by the first slice, often empty, and shows black
            low, high = display
            tifffile.imwrite(
                temporary,
                array,
                imagej=True,
                photometric="minisblack",
                resolution=(1 / x, 1 / y),
                metadata={"axes": axes, "spacing": z, "unit": "um", "min": low, "max": high},
            )
            return
        tifffile.imwrite(
            temporary,
            array,
            ome=True,
            # not left to tifffile, which never chooses BigTIFF for compressed data
            bigtiff=array.nbytes > CLASSIC_BYTES,
            photometric="minisblack",
            compression="zlib",
            resolution=(_MICROMETRE_PER_CENTIMETRE / x, _MICROMETRE_PER_CENTIMETRE / y),
            resolutionunit="CENTIMETER",
            metadata=ome_metadata(axes, (z, y, x)),
        )


def ome_metadata(axes: str, spacing: tuple[float, float, float] | None) -> dict[str, str | float]:
    """Return what tifffile writes into an OME-TIFF: axes, and the voxel size (z, y, x) in um, if known."""
    metadata: dict[str, str | float] = {"axes": axes}
    for axis, edge in zip("ZYX", spacing or (), strict=False):
        metadata |= {f"PhysicalSize{axis}": float(edge), f"PhysicalSize{axis}Unit": "µm"}
    return metadata
