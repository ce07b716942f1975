"""Stacks and label images from the disk: TIFF of any kind, .npy, or a folder of slices."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.memory import check_fits
from zoo.data.slices import is_slice, natural, read_slices
from zoo.data.tiffmeta import plane_table, voxel_size
from zoo.data.tiffread import open_series, read_planes
from zoo.errors import InputError
from zoo.wording import numbers_below

Spacing = tuple[float, float, float]

_TIFF = (".tif", ".tiff", ".btf", ".tf8")
_ALLOWED = f"{', '.join(_TIFF)}, .npy or a folder of slices"
_FRAME = re.compile(r"(?P<one>\d{1,9})|(?P<start>\d{0,9}):(?P<stop>\d{0,9})(:(?P<step>\d{1,9}))?")


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One file in memory.

    Attributes
    ----------
    frames : (T, Z, Y, X)
        The voxels in the file's type; T is 1 where there is no time axis.
    spacing : (z, y, x) um or None
        The size of a voxel; None where the file does not tell.
    times
        The number of each frame in the file, counted from 0.
    series
        Whether the file has a time axis.
    source
        The file or folder.
    """

    frames: np.ndarray
    spacing: Spacing | None
    times: tuple[int, ...]
    series: bool
    source: Path


def read_image(
    path: Path | str, *, channel: int | None = None, frames: str | None = None, flat: bool = False
) -> Stack:
    """Read a stack of grey values.

    Axes without a name are (z, y, x) in three dimensions and (t, z, y, x) in four.

    Parameters
    ----------
    path
        A TIFF (plain, ImageJ, OME, BigTIFF, compressed), a ``.npy`` or a folder of 2-D slices.
    channel
        The channel to read, counted from 0; needed where there is more than one.
    frames
        The frames to read, as in `parse_frames`; None for all. Others are not loaded.
    flat
        Whether a 2-D file may be read, as a stack of one plane.

    Returns
    -------
    Stack
        Its frames are finite and none of them is constant.

    Raises
    ------
    InputError
        If the file is missing, unreadable, damaged, too large, 2-D, RGB or of a type that is no image,
        the channel or a frame does not exist, or a frame has NaN, infinity or one single value.
    """
    stack = _read(Path(path), channel, frames, kinds="iuf", what="an image", flat=flat)
    for time, frame in zip(stack.times, stack.frames, strict=True):
        check_values(frame, f"{path}" + (f", frame {time}," if stack.series else ""))
    return stack


def read_labels(path: Path | str, *, frames: str | None = None, flat: bool = False) -> Stack:
    """Read a label image.

    Parameters
    ----------
    path
        As for `read_image`.
    frames, flat
        As for `read_image`.

    Returns
    -------
    Stack
        Its frames are integers, 0 or more; booleans become uint8 0 and 1.

    Raises
    ------
    InputError
        As `read_image`; if there are several channels, negative labels, or floats, even whole ones: they
        may be probabilities, or labels that lost their digits beyond 2^24.
    """
    stack = _read(Path(path), None, frames, kinds="iub", what="a label image", flat=flat)
    if stack.frames.dtype.kind == "b":
        return Stack(stack.frames.view(np.uint8), stack.spacing, stack.times, stack.series, stack.source)
    if stack.frames.dtype.kind == "i" and (smallest := stack.frames.min()) < 0:
        raise InputError(f"{path} has the label {smallest}: labels are 0 (background) or more; renumber them")
    return stack


def _read(path: Path, channel: int | None, frames: str | None, *, kinds: str, what: str, flat: bool) -> Stack:
    if _is_folder(path):
        return _read_slices(_images_in(path), path, channel, frames, kinds, what)
    suffix = path.suffix.lower()
    if flat and suffix in (*_TIFF, ".png") and is_slice(path):
        return _read_slices([path], path, channel, frames, kinds, what)
    if suffix in _TIFF:
        return _read_tiff(path, channel, frames, kinds, what)
    if suffix == ".npy":
        return _read_npy(path, channel, frames, kinds, what)
    if suffix == ".png":
        raise InputError(f"{path} is 2-D: a 3-D stack is needed; give the folder that holds all its slices")
    raise InputError(f"{path} has the unknown suffix {suffix!r}: allowed are {_ALLOWED}")


def _read_tiff(path: Path, channel: int | None, frames: str | None, kinds: str, what: str) -> Stack:
    with open_series(path) as series:
        try:
            planes, explicit = plane_table(series.axes, series.shape)
        except InputError as error:
            raise InputError(f"{path} {error}") from None
        check_type(series.dtype, path, kinds, what)
        times = _choose_frames(frames, len(planes))
        chosen = planes[list(times), _choose_channel(channel, planes.shape[1], path, what)]
        spacing = voxel_size(series.parent)
        return Stack(read_planes(series, chosen, path), spacing, times, explicit, path)


def _read_npy(path: Path, channel: int | None, frames: str | None, kinds: str, what: str) -> Stack:
    try:
        with np.errstate(over="raise"):  # sizes beyond 2^63, which numpy else tells as a warning
            array = np.lib.format.open_memmap(path, mode="r")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except Exception as error:  # the header is text that numpy parses: a damaged one raises nearly any type
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not a .npy of numbers, or damaged ({reason}): save it again") from error
    if array.ndim not in (3, 4):
        raise InputError(
            f"{path} has {array.ndim} dimensions {array.shape}: save one channel as (Z, Y, X) or (T, Z, Y, X)"
        )
    if array.size == 0 or array.shape[-3] < 2:
        raise InputError(f"{path} has the shape {array.shape}: a 3-D stack of at least 2 planes is needed")
    check_type(array.dtype, path, kinds, what)
    _choose_channel(channel, 1, path, what)
    volume = array if array.ndim == 4 else array[np.newaxis]
    times = _choose_frames(frames, len(volume))
    check_fits((len(times), *volume.shape[1:]), array.dtype, path)
    read = np.ascontiguousarray(volume[list(times)], array.dtype.newbyteorder("="))
    return Stack(read, None, times, array.ndim == 4, path)


def _read_slices(
    files: Sequence[Path], path: Path, channel: int | None, frames: str | None, kinds: str, what: str
) -> Stack:
    if not is_slice(files[0]):
        raise InputError(f"{path} holds stacks, not 2-D slices of one: give its files one by one")
    if len(files) == 1 and files[0] != path:
        raise InputError(
            f"{files[0]} is the only slice in its folder: a 3-D stack of at least 2 planes is needed"
        )
    _choose_channel(channel, 1, path, what)
    times = _choose_frames(frames, 1)
    volume, spacing = read_slices(files)
    check_type(volume.dtype, path, kinds, what)
    return Stack(volume[np.newaxis], spacing, times, False, path)


def check_type(dtype: np.dtype, path: Path, kinds: str, what: str) -> None:
    """Refuse voxels of a type whose `kind` is none of some."""
    if dtype.kind in kinds:
        return
    advice = "integers" if "f" not in kinds else "integers or floats"
    if dtype.kind == "b":
        advice += " (a mask is no image)"
    raise InputError(f"{path} has the type {dtype}, which is not that of {what}: convert it to {advice}")


def _choose_frames(text: str | None, count: int) -> tuple[int, ...]:
    return tuple(range(count)) if text is None else parse_frames(text, count)


def _choose_channel(channel: int | None, count: int, path: Path, what: str) -> int:
    if channel is None and count > 1:
        advice = "give --channel N, counting from 0" if what == "an image" else "a label image has one"
        raise InputError(f"{path} has {count} channels: {advice}")
    if channel is not None and not 0 <= channel < count:
        raise InputError(f"{path} has no channel {channel}: allowed: {numbers_below(count)}")
    return channel or 0


def check_values(frame: np.ndarray, name: str) -> None:
    """Refuse an image with voxels that are no numbers, or that are all the same."""
    if frame.dtype.kind == "f":
        bad = frame.size - np.count_nonzero(np.isfinite(frame))
        if bad:
            raise InputError(f"{name} has {bad} voxels that are NaN or infinite: replace them first")
    lowest = frame.min()
    if lowest == frame.max():
        raise InputError(f"{name} is constant, all its voxels are {lowest}: there is nothing to segment")


def parse_frames(text: str, count: int) -> tuple[int, ...]:
    """Read a choice of frames.

    Parameters
    ----------
    text
        ``"3"``, ``"0:10"`` (10 left out), ``"0:100:5"``, ``"20:"``, or several of them with commas.
    count
        How many frames there are.

    Returns
    -------
    tuple of int
        The frames, rising, each once.

    Raises
    ------
    InputError
        If the text is not of this form, names no frame, or one that does not exist.
    """
    chosen: set[int] = set()
    for part in text.split(","):
        match = _FRAME.fullmatch(part.strip())
        if match is None or int(match["step"] or 1) == 0:
            raise InputError(
                f"frames {text!r} are not understood: give numbers such as 3, 0:10, 0:100:5 or 1,4,7"
            )
        if match["one"]:
            chosen.add(int(match["one"]))
        else:
            stop = int(match["stop"] or count)
            # an end beyond the last frame is refused below, and no larger range than needed is made for it
            chosen.update(range(int(match["start"] or 0), min(stop, count), int(match["step"] or 1)))
            chosen.update({stop - 1} if stop > count else ())
    if not chosen:
        raise InputError(f"frames {text!r} choose no frame: allowed: {numbers_below(count)}")
    if max(chosen) >= count:
        raise InputError(
            f"frames {text!r} go beyond the last: there are {count}, allowed: {numbers_below(count)}"
            f" (a range ends before its second number, at most {count})"
        )
    return tuple(sorted(chosen))


def resolve_spacing(
    stack_spacing: Spacing | None, given: Sequence[float] | None, default: Spacing
) -> tuple[Spacing, str]:
    """Decide on the size of a voxel: what the user gives, else what the file tells, else the default.

    Parameters
    ----------
    stack_spacing : (z, y, x) um or None
        What the file tells.
    given : (z, y, x) um or None
        What the user says.
    default : (z, y, x) um
        What to take where neither tells.

    Returns
    -------
    spacing : (z, y, x) um
        The size.
    where
        ``"given"``, ``"metadata"`` or ``"default"``.

    Raises
    ------
    InputError
        If the chosen one is not three positive, finite numbers.
    """
    choices = (("given", given), ("metadata", stack_spacing), ("default", default))
    where, spacing = next((w, s) for w, s in choices if s is not None)
    if len(spacing) != 3 or not all(math.isfinite(s) and s > 0 for s in spacing):
        shown = " ".join(map(str, spacing))
        raise InputError(
            f"spacing {shown} ({where}) is no voxel size: give three positive numbers, z y x in um"
        )
    z, y, x = (float(s) for s in spacing)
    return (z, y, x), where


def stem_of(path: Path) -> str:
    """Return a file's name without its suffixes, of which ``.ome.tif`` is one."""
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


def list_images(paths: Iterable[Path | str]) -> list[Path]:
    """List what `read_image` can read among files and folders.

    A folder counts as one stack if its first file (in natural order: t2 before t10) is a 2-D slice, and
    then stands in the list itself; otherwise each of its files is a stack. PNG files beside TIFF or
    ``.npy`` files, hidden files, others and folders inside it are left out.

    Parameters
    ----------
    paths
        Files and folders.

    Returns
    -------
    list of Path
        Files, and folders of slices, in the order given.

    Raises
    ------
    InputError
        If a path does not exist, a folder has no image, or its first one is damaged.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if _is_folder(path):
            files = _images_in(path)
            found += [path] if is_slice(files[0]) else files
        else:
            found.append(path)
    return found


def _is_folder(path: Path) -> bool:
    try:
        if path.is_dir():
            return True
        if path.is_file():
            return False
        if path.exists():  # to open it may wait for ever
            raise InputError(f"{path} is a pipe or a device: give a file or a folder")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): check its name and permissions"
        ) from error
    raise InputError(f"{path} does not exist: check the name; allowed are {_ALLOWED}")


def _images_in(folder: Path) -> list[Path]:
    if folder.suffix.lower() == ".zarr":
        raise InputError(
            f"{folder} is an OME-Zarr, which 'zoo predict' reads where --out is one too (NAME.ome.zarr): for "
            f"all else make it a TIFF by 'zoo convert {folder} NAME.tif'"
        )
    try:
        names = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}): check its permissions") from error
    files = [p for p in names if p.suffix.lower() in (*_TIFF, ".npy")]
    files = files or [p for p in names if p.suffix.lower() == ".png"]
    if not files:
        raise InputError(
            f"{folder} is an empty folder, without any image: allowed in it are {', '.join(_TIFF)}, "
            ".npy, or .png slices"
        )
    return sorted(files, key=natural)
