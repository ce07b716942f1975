"""Volumes that stay on the disk and are read box by box: OME-Zarr, TIFF and .npy."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tifffile

from zoo.data.io import Spacing
from zoo.data.ngff import ALLOWED, TIFF, import_zarr, read_multiscale, reason
from zoo.data.tiffmeta import plane_table, voxel_size
from zoo.data.tiffread import open_series
from zoo.errors import InputError
from zoo.wording import numbers_below


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One channel of one time point, nothing of it in memory.

    It goes to other processes (pickle), which open the file themselves.

    Attributes
    ----------
    shape : (Z, Y, X) voxels
        The size of the volume.
    dtype
        The type of its voxels, in the byte order of the machine.
    spacing : (z, y, x) um or None
        The size of a voxel; None where the file does not tell.
    source
        The file or folder.
    times
        How many time points the file has.
    series
        Whether it has a time axis, be it of length 1.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    spacing: Spacing | None
    source: Path
    times: int
    series: bool
    _open: Callable[[], Any]
    # for each dimension of the array in the file, "z", "y" or "x", or the one index that is read
    _dimensions: tuple[str | int, ...]
    _time_axis: int | None  # its place among them

    def at(self, time: int) -> Volume:
        """Give the volume of another time point, without looking at the file again.

        Parameters
        ----------
        time
            The time point, counted from 0.

        Returns
        -------
        Volume
            Of the same channel.

        Raises
        ------
        InputError
            If there is no such time point.
        """
        _check_time(self.source, time, self.times)
        dimensions = list(self._dimensions)
        if self._time_axis is not None:
            dimensions[self._time_axis] = time
        return replace(self, _dimensions=tuple(dimensions))

    def read(self, box: tuple[slice, slice, slice]) -> np.ndarray:
        """Read a box.

        Parameters
        ----------
        box : (z, y, x) slices
            With a start and a stop that lie inside the volume.

        Returns
        -------
        (z, y, x)
            The voxels, in an array of their own.

        Raises
        ------
        InputError
            If the box is empty or not inside the volume, or a chunk (of a TIFF: a strip or tile) cannot be
            decoded; it is named.
        """
        if not all(0 <= s.start < s.stop <= n for s, n in zip(box, self.shape, strict=True)):
            shown = ", ".join(f"{s.start}:{s.stop}" for s in box)
            raise InputError(f"the box {shown} is not inside {self.source}, of the shape {self.shape}")
        index = tuple(d if isinstance(d, int) else box["zyx".index(d)] for d in self._dimensions)
        try:
            array = self._open()
            # mapped pixels are copied, so that the map goes; what was decoded is ours already
            part = np.array(array[index]) if isinstance(array, np.memmap) else np.asarray(array[index])
        except (MemoryError, InputError):
            raise
        except Exception as error:  # codecs raise nearly any type
            raise self._fault(index, error) from error
        order = [d for d in self._dimensions if isinstance(d, str)]
        return np.ascontiguousarray(part.transpose([order.index(a) for a in "zyx"]), self.dtype)

    def _fault(self, index: tuple[int | slice, ...], error: Exception) -> InputError:
        """Find out which chunk it was, by reading them one by one."""
        try:
            array = self._open()
            grid = array.shards or array.chunks
        except Exception:  # not even the metadata, or an array without chunks
            return InputError(f"{self.source} cannot be read ({reason(error)}): copy or export it again")
        touched = [s if isinstance(s, slice) else slice(s, s + 1) for s in index]
        first = [s.start // g for s, g in zip(touched, grid, strict=True)]
        counts = [(s.stop - 1) // g + 1 - f for s, g, f in zip(touched, grid, first, strict=True)]
        for offset in np.ndindex(*counts):
            chunk = tuple(int(f + o) for f, o in zip(first, offset, strict=True))
            region = tuple(
                slice(c * g, min((c + 1) * g, n)) for c, g, n in zip(chunk, grid, array.shape, strict=True)
            )
            try:
                array[region]
            except Exception as fault:
                return InputError(
                    f"{self._chunk_name(array, chunk, region)} cannot be decoded ({reason(fault)}): copy "
                    f"{self.source} again"
                )
        return InputError(f"{self.source} cannot be read ({reason(error)}): try once more, or copy it again")

    def _chunk_name(self, array: Any, chunk: tuple[int, ...], region: tuple[slice, ...]) -> str:
        where = ", ".join(
            f"{d} {s.start} to {s.stop - 1}"
            for d, s in zip(self._dimensions, region, strict=True)
            if isinstance(d, str)
        )
        root = getattr(array.store, "root", None)  # a TIFF has no file for each chunk
        if root is None:
            return f"{self.source}, the part {where},"
        return f"the chunk {Path(root) / array.metadata.encode_chunk_key(chunk)} ({where})"


class _Kept:
    """What a function opens, kept open in this process and opened anew in others."""

    def __init__(self, opener: Callable[[], Any]) -> None:
        self._opener = opener

    def __call__(self) -> Any:
        return self._opened

    def __reduce__(self) -> tuple[Any, ...]:
        return _Kept, (self._opener,)

    @cached_property
    def _opened(self) -> Any:
        return self._opener()


def open_volume(path: Path | str, *, channel: int | None = None, time: int = 0) -> Volume:
    """Open a volume of which any box can be read.

    Parameters
    ----------
    path
        An OME-Zarr image (NGFF 0.4 or 0.5; its largest level is read) or label image in one, a TIFF (of
        any kind that `zoo.data.io.read_image` knows) or a ``.npy``.
    channel
        The channel, counted from 0; needed where there is more than one.
    time
        The time point, counted from 0.

    Returns
    -------
    Volume
        It is 3-D, of at least 2 planes, integers or floats. Its values are not looked at.

    Raises
    ------
    InputError
        If it is missing, none of these, damaged, 2-D or RGB, the channel or time point does not exist,
        the levels are of different types, or one chunk is larger than the machine's memory.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name; allowed are {ALLOWED}")
    if path.is_dir():
        return _open_group(path, channel, time)
    if not path.is_file():  # to open it may wait for ever
        raise InputError(f"{path} is a pipe or a device: give a file or a folder")
    if suffix in TIFF:
        return _open_tiff(path, channel, time)
    if suffix == ".npy":
        return _open_npy(path, channel, time)
    raise InputError(f"{path} has the unknown suffix {suffix!r}: allowed are {ALLOWED}")


def _check_time(path: Path, time: int, times: int) -> None:
    if not 0 <= time < times:
        raise InputError(f"{path} has no time point {time}: allowed: {numbers_below(times)}")


def _choose_channel(path: Path, channel: int | None, channels: int) -> int:
    if channel is None and channels > 1:
        raise InputError(f"{path} has {channels} channels: give --channel N, counting from 0")
    if channel is not None and not 0 <= channel < channels:
        raise InputError(f"{path} has no channel {channel}: allowed: {numbers_below(channels)}")
    return channel or 0


def _check_type(path: Path, dtype: np.dtype) -> np.dtype:
    if dtype.kind not in "iuf":
        raise InputError(f"{path} has the type {dtype}: convert it to integers or floats")
    return dtype.newbyteorder("=")


# OME-Zarr


def _open_group(path: Path, channel: int | None, time: int) -> Volume:
    zarr = import_zarr()
    axes, levels, spacing = read_multiscale(path)
    arrays = []
    for level in levels:
        try:
            arrays.append(zarr.open_array(str(level), mode="r"))
        except Exception as error:
            raise InputError(
                f"level {level} cannot be opened ({reason(error)}): copy {path} again"
            ) from error
    array = arrays[0]
    if len(set(axes)) != len(axes) or not set(axes) <= set("tczyx") or len(axes) != array.ndim:
        raise InputError(
            f"{path} has the axes {' '.join(axes)} of {array.shape}: allowed are z, y, x with t and c"
        )
    if len(types := {str(a.dtype) for a in arrays}) > 1:
        raise InputError(f"{path} has levels of different types ({', '.join(sorted(types))}): write it anew")
    dtype = _check_type(path, array.dtype)
    size = dict(zip(axes, array.shape, strict=True))
    if not {"y", "x"} <= size.keys() or size.get("z", 1) < 2:
        raise InputError(f"{path} is 2-D ({array.shape}): a 3-D stack of at least 2 planes is needed")
    if 0 in array.chunks or 0 in (array.shards or ()):
        raise InputError(f"{path} has chunks of the shape {array.chunks}, without a voxel: write it anew")
    if 0 in array.shape:
        raise InputError(f"{path} has the shape {array.shape}, without a single voxel: export it again")
    _check_chunk(path, array)
    index = {"t": 0, "c": _choose_channel(path, channel, size.get("c", 1))}
    return Volume(
        (size["z"], size["y"], size["x"]),
        dtype,
        spacing,
        path,
        size.get("t", 1),
        "t" in size,
        _Kept(partial(zarr.open_array, str(levels[0]), mode="r")),
        tuple(index.get(axis, axis) for axis in axes),
        axes.index("t") if "t" in size else None,
    ).at(time)


def _check_chunk(path: Path, array: Any) -> None:
    needed, memory = math.prod(array.chunks) * array.dtype.itemsize, psutil.virtual_memory().total
    if needed > memory:
        raise InputError(
            f"{path} has chunks of {needed / 1e9:,.1f} GB, this machine has {memory / 1e9:,.1f} GB of "
            "memory: write it anew with smaller ones"
        )


# TIFF and .npy


def _open_tiff(path: Path, channel: int | None, time: int) -> Volume:
    with open_series(path) as series:
        try:
            planes, explicit = plane_table(series.axes, series.shape)
        except InputError as error:
            raise InputError(f"{path} {error}") from None
        dtype = _check_type(path, series.dtype)
        times, channels, depth = planes.shape
        numbers = planes[:, _choose_channel(path, channel, channels)]
        y, x = (series.axes.index(axis) for axis in "YX")
        # the other dimensions in the order of the file: one is z, one may be t, the rest stays at an index
        others = [d for d in range(len(series.shape)) if d not in (y, x)]
        dimensions: list[str | int] = ["y" if d == y else "x" for d in range(len(series.shape))]
        time_axis = None
        steps = np.unravel_index(numbers, [series.shape[d] for d in others])
        for d, step in zip(others, steps, strict=True):
            dimensions[d] = "z" if step[0, 0] != step[0, -1] else int(step[0, 0])
            if step[0, 0] != step[-1, 0]:
                time_axis = d
        return Volume(
            (depth, series.shape[y], series.shape[x]),
            dtype,
            voxel_size(series.parent),
            path,
            times,
            explicit,
            _tiff_opener(path, series, planes.size),
            tuple(dimensions),
            time_axis,
        ).at(time)


def _tiff_opener(path: Path, series: tifffile.TiffPageSeries, planes: int) -> Callable[[], Any]:
    """Map plain pixels, each time anew: pages of an old map would count as memory in use."""
    if series.dataoffset is not None and not series.is_multifile:
        tif = series.parent
        end, size = series.dataoffset + series.nbytes, tif.filehandle.size
        if end > size:
            raise InputError(
                f"{path} is truncated or damaged (its pixels would end at byte {end}, the file does at "
                f"{size}): copy or export it again"
            )
        stored = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        return partial(np.memmap, path, stored, "r", series.dataoffset, series.shape)
    present = sum(page is not None for page in series)
    if present != planes or len(series) != planes:
        raise InputError(f"{path} declares {planes} planes, {present} are there: copy or export it again")
    import_zarr()
    return _Kept(partial(_view_tiff, path))


def _view_tiff(path: Path) -> Any:
    """Open tifffile's zarr view, in which strips and tiles are chunks."""
    logger = logging.getLogger("tifffile")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        tif = tifffile.TiffFile(path)
        store = tif.series[0].aszarr(level=0)
    finally:
        logger.disabled = was_disabled
    weakref.finalize(store, tif.close)
    return import_zarr().open_array(store, mode="r", zarr_format=2)


def _open_npy(path: Path, channel: int | None, time: int) -> Volume:
    opener = partial(np.lib.format.open_memmap, path, mode="r")
    try:
        with np.errstate(over="raise"):  # sizes beyond 2^63, which numpy else tells as a warning
            array = opener()
    except Exception as error:  # the header is text that numpy parses: a damaged one raises nearly any type
        raise InputError(
            f"{path} is not a .npy of numbers, or damaged ({reason(error)}): save it again"
        ) from error
    if array.ndim not in (3, 4) or array.size == 0 or array.shape[-3] < 2:
        raise InputError(
            f"{path} has the shape {array.shape}: save one channel as (Z, Y, X) or (T, Z, Y, X), of at "
            "least 2 planes"
        )
    dtype = _check_type(path, array.dtype)
    series = array.ndim == 4
    times = len(array) if series else 1
    _choose_channel(path, channel, 1)
    z, y, x = array.shape[-3:]
    dimensions: tuple[str | int, ...] = (0, "z", "y", "x") if series else ("z", "y", "x")
    time_axis = 0 if series else None
    return Volume((z, y, x), dtype, None, path, times, series, opener, dimensions, time_axis).at(time)
