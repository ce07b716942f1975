"""Pixels out of a TIFF: the chosen planes only, and every fault as one line."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile

from zoo.data.memory import check_fits
from zoo.data.tiffcheck import Page, check_structure
from zoo.data.tiffmeta import ome_planes
from zoo.errors import InputError


@contextmanager
def open_series(path: Path) -> Iterator[tifffile.TiffPageSeries]:
    """Open the one image of a TIFF, which is known to be whole.

    tifffile is quiet meanwhile, and what it raises, of whatever type, becomes one line.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    tifffile.TiffPageSeries
        The image; its `parent` is the open file.

    Raises
    ------
    InputError
        If the file is no TIFF, is truncated or damaged, or holds several images.
    """
    pages = check_structure(path)
    logger = logging.getLogger("tifffile")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with tifffile.TiffFile(path) as tif:
            _check_ome(tif, len(pages), path)
            series = _only_series(tif, path)
            _check_alike(series, pages, path)
            yield series
    except InputError:
        raise
    except Exception as error:  # a damaged file makes tifffile and its codecs raise nearly any type
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be decoded ({reason}): copy or export it again") from error
    finally:
        logger.disabled = was_disabled


def _check_ome(tif: tifffile.TiffFile, pages: int, path: Path) -> None:
    # before tifffile makes a list of that length
    declared, present = ome_planes(tif), pages * tif.pages.first.samplesperpixel
    if declared > present:
        raise InputError(
            f"{path} is truncated or damaged (its OME metadata declare {declared} planes, it holds "
            f"{present}): copy or export it again"
        )


def _only_series(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    if len(tif.series) != 1:
        sizes = ", ".join(" x ".join(map(str, s.shape)) for s in tif.series[:4])
        raise InputError(
            f"{path} holds {len(tif.series)} images ({sizes}), not one: save each in a file of its own"
        )
    series = tif.series[0]
    unused = series.kind in ("generic", "uniform") and (tif.is_imagej or tif.is_ome or tif.is_shaped)
    shaped = tif.shaped_metadata if series.kind == "shaped" else None
    if unused or (shaped and math.prod(shaped[0]["shape"]) != math.prod(series.shape)):
        # tifffile then gives the pages as they come, which may take channels for depth, or the first alone
        raise InputError(f"{path} does not hold the planes that its metadata declare: export it again")
    return series


def _check_alike(series: tifffile.TiffPageSeries, pages: Sequence[Page], path: Path) -> None:
    """Refuse pages that declare other pixels than the first: tifffile decodes all of them as the first."""
    if series.keyframe.dtype is None:
        raise InputError(
            f"{path} has pixels of {series.keyframe.bitspersample} bits of the kind "
            f"{series.keyframe.sampleformat}, which TIFF does not have: copy or export it again"
        )
    first = pages[series.keyframe.index]
    for page in series:
        if page is not None and page.parent is series.parent and pages[page.index] != first:
            raise InputError(
                f"{path} has pages of different size, type or compression (the first and page "
                f"{page.index + 1}): save each image in a file of its own"
            )


def read_planes(series: tifffile.TiffPageSeries, planes: np.ndarray, path: Path) -> np.ndarray:
    """Read some planes of a series.

    Parameters
    ----------
    series
        The image, of an open file.
    planes : (...) int
        The positions of the planes in the order of the file.
    path
        The file, for the messages.

    Returns
    -------
    (..., Y, X)
        The pixels, in memory and in the byte order of the machine.

    Raises
    ------
    InputError
        If planes are missing, or the memory does not hold them.
    """
    height, width = (series.shape[series.axes.index(a)] for a in "YX")
    count = math.prod(series.shape) // (height * width)
    dtype = np.dtype(series.dtype).newbyteorder("=")
    out_shape = (*planes.shape, height, width)
    if series.dataoffset is not None and not series.is_multifile:
        tif = series.parent
        end = series.dataoffset + count * height * width * dtype.itemsize
        if end > tif.filehandle.size:
            raise InputError(
                f"{path} is truncated or damaged (its pixels would end at byte {end}, the file does at "
                f"{tif.filehandle.size}): copy or export it again"
            )
        check_fits(out_shape, dtype, path)
        stored = dtype.newbyteorder(tif.byteorder)
        mapped = np.memmap(path, stored, "r", series.dataoffset, (count, height, width))
        return mapped[planes].astype(dtype, copy=False)
    present = sum(page is not None for page in series)
    if present != count or len(series) != count:
        raise InputError(f"{path} declares {count} planes, {present} are there: copy or export it again")
    check_fits(out_shape, dtype, path)
    pixels = series.asarray(key=planes.ravel().tolist())
    return pixels.reshape(out_shape).astype(dtype, copy=False)
