"""Movies of one cell and their masks: read from the disk, scaled, cut into frames, brought to one size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from zoo.data import io
from zoo.data.io import Spacing, stem_of
from zoo.data.normalise import percentiles
from zoo.data.resample import nearest, resample
from zoo.data.slices import natural
from zoo.defaults import YEAST_UM
from zoo.errors import InputError

Fit = Literal["cell", "resize", "pad"]  # cell: frames cut by zoo.data.cell first, then resized
Scaling = Literal["max", "percentile"]

_CHOICE = re.compile(r"(?P<how>middle|weighted):(?P<count>[1-9]\d{0,8})|(?P<all>all)")


@dataclass(frozen=True, slots=True)
class MovieFiles:
    """Where a movie is.

    Attributes
    ----------
    name
        The image's name without suffixes.
    image, mask
        The files; ``mask`` is None where there is none.
    """

    name: str
    image: Path
    mask: Path | None


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """A movie in memory.

    Attributes
    ----------
    name
        As in `MovieFiles`.
    frames : (T, Z, Y, X)
        The image in the file's type.
    mask : (T, Z, Y, X) bool
        What is to be found.
    spacing : (z, y, x) um
        The size of a voxel.
    spacing_from
        ``given``, ``metadata`` or ``default`` (:data:`zoo.defaults.YEAST_UM`).
    single
        Whether the file is 3-D, a single frame without a time axis.
    """

    name: str
    frames: np.ndarray
    mask: np.ndarray
    spacing: Spacing
    spacing_from: str
    single: bool


def find_movies(folder: Path) -> list[MovieFiles]:
    """List the movies of a folder, ``NAME.tif`` with ``NAME_mask.tif``; no pixel is read yet.

    ``.tiff`` and ``.ome.tif`` count too; hidden files, others and folders inside it are left out.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    list of MovieFiles
        In natural order: cell2 before cell10.

    Raises
    ------
    InputError
        If the folder is missing or holds no movie, a mask has no image, or two files have one name.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give one that holds NAME.tif and NAME_mask.tif")
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*"), key=natural):
        if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
            continue
        name = stem_of(path)
        if name in found:
            raise InputError(f"{path} and {found[name].name} have one name: keep one of them")
        found[name] = path
    images = [name for name in found if not name.endswith("_mask")]
    lonely = [
        p.name for n, p in found.items() if n.endswith("_mask") and n.removesuffix("_mask") not in images
    ]
    if lonely:
        more = ", ..." if len(lonely) > 10 else ""
        raise InputError(
            f"{len(lonely)} masks in {folder} have no image: {', '.join(lonely[:10])}{more}; add NAME.tif "
            "for each NAME_mask.tif, or move these away"
        )
    if not images:
        raise InputError(f"{folder} holds no movie: put NAME.tif and NAME_mask.tif (or .tiff) there")
    return [MovieFiles(name, found[name], found.get(f"{name}_mask")) for name in images]


def read_movie(files: MovieFiles, spacing: Spacing | None = None, channel: int | None = None) -> Movie:
    """Read a movie and its mask.

    A 3-D file is a movie of one frame. In the mask all that is not 0 counts.

    Parameters
    ----------
    files
        Where they are.
    spacing : (z, y, x) um or None
        The size of a voxel, before what the image's file says.
    channel
        Of the image, counted from 0; needed where it has several.

    Raises
    ------
    InputError
        If there is no mask, the two differ in shape, or as :func:`zoo.data.io.read_image` and
        :func:`zoo.data.io.read_labels`: files with one slice, constant frames or several channels among them.
    """
    if files.mask is None:
        raise InputError(f"{files.image} has no mask: put {files.name}_mask.tif beside it")
    stack = io.read_image(files.image, channel=channel)
    truth = io.read_labels(files.mask)
    if truth.frames.shape != stack.frames.shape:
        raise InputError(
            f"{files.mask} (shape {truth.frames.shape}) must have the shape of {files.image}, "
            f"{stack.frames.shape}"
        )
    um, told_by = io.resolve_spacing(stack.spacing, spacing, YEAST_UM)
    return Movie(files.name, stack.frames, truth.frames > 0, um, told_by, not stack.series)


def scale(frames: np.ndarray, how: Scaling) -> np.ndarray:
    """Scale a movie by one range, so that brightness can be compared between its frames; nothing is clipped.

    Parameters
    ----------
    frames : (T, Z, Y, X) or (Z, Y, X)
    how
        ``max``: divided by the largest value, as the reproduction study did. ``percentile``: as
        :func:`zoo.data.normalise.percentile` of all voxels.

    Returns
    -------
    float32, same shape

    Raises
    ------
    InputError
        If ``max`` is asked for and no value is above 0.
    """
    return to_levels(frames, *levels(frames, how))


def levels(frames: np.ndarray, how: Scaling) -> tuple[float, float]:
    """Return the values of a movie that become 0 and 1 in `scale`; parameters and faults as there."""
    if how == "percentile":
        return percentiles(frames)
    top = float(frames.max())
    if top <= 0:
        raise InputError(f"the largest value is {top:g}: scaling by 'max' divides by it; take 'percentile'")
    return 0.0, top


def to_levels(frames: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale frames so that ``low`` becomes 0 and ``high`` 1, as float32; a constant movie becomes 0."""
    width = max(np.float32(high - low), np.finfo(np.float32).tiny)
    return (np.asarray(frames, np.float32) - np.float32(low)) / width


def parse_choice(text: str) -> tuple[str, int]:
    """Read a choice of frames.

    Parameters
    ----------
    text
        ``middle:N``, ``weighted:N`` or ``all``.

    Returns
    -------
    how
        ``middle``, ``weighted`` or ``all``.
    count
        N; 0 for ``all``.

    Raises
    ------
    InputError
        If the text is not of this form.
    """
    match = _CHOICE.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"frames {text!r} are not understood: give middle:20, weighted:1 (any number) or all"
        )
    return match["how"] or "all", int(match["count"] or 0)


def choose_frames(voxels: np.ndarray, how: str, rng: np.random.Generator) -> tuple[int, ...]:
    """Choose frames of a movie.

    Parameters
    ----------
    voxels : (T,) int
        How many voxels the mask has in each frame.
    how
        ``middle:N``: the N in the middle. ``weighted:N``: N drawn without replacement, each with a weight of
        its voxels + 1, so that frames without a patch stay possible (as the reproduction study did, with
        N = 1). ``all``. A movie with fewer frames than N gives all.
    rng
        For the draw.

    Returns
    -------
    tuple of int
        The frames, rising, counted from 0.

    Raises
    ------
    InputError
        As `parse_choice`.
    """
    kind, count = parse_choice(how)
    total = len(voxels)
    if kind == "all" or count >= total:
        return tuple(range(total))
    if kind == "middle":
        first = (total - count) // 2
        return tuple(range(first, first + count))
    weights = np.asarray(voxels, np.float64) + 1
    drawn = rng.choice(total, count, replace=False, p=weights / weights.sum())
    return tuple(sorted(int(frame) for frame in drawn))


def fits(shape: Sequence[int], size: Sequence[int]) -> bool:
    """Tell whether a volume (z, y, x) is no larger than a size on any axis."""
    return all(n <= room for n, room in zip(shape, size, strict=True))


def fit_image(image: np.ndarray, size: Sequence[int], how: Fit) -> np.ndarray:
    """Bring an image to a size.

    Parameters
    ----------
    image : (Z, Y, X)
    size
        Wanted shape, (z, y, x) voxels.
    how
        ``resize``, and ``cell`` of an image that is cut to its cell already: linearly. ``pad``: in the middle
        of its own minimum; where the margins cannot be equal, the far one is a voxel wider.

    Returns
    -------
    float32 volume of that shape

    Raises
    ------
    InputError
        If it is to be padded and is larger than the size.
    """
    if how != "pad":
        return resample(image, size)
    padded = np.full(tuple(size), image.min(), np.float32)
    padded[_middle(image.shape, size)] = image
    return padded


def fit_mask(mask: np.ndarray, size: Sequence[int], how: Fit) -> np.ndarray:
    """Bring a mask to a size, as `fit_image` does with its image; resized by `nearest`.

    Parameters
    ----------
    mask : (Z, Y, X) bool
    size, how
        As for `fit_image`; padded with False.

    Returns
    -------
    bool volume of that shape

    Raises
    ------
    InputError
        As `fit_image`.
    """
    if how != "pad":
        return nearest(mask, size)
    padded = np.zeros(tuple(size), bool)
    padded[_middle(mask.shape, size)] = mask
    return padded


def unfit(volume: np.ndarray, shape: Sequence[int], how: Fit) -> np.ndarray:
    """Bring a volume back to the shape that it had before `fit_image`.

    Parameters
    ----------
    volume : (Z, Y, X)
    shape
        The shape before, (z, y, x) voxels.
    how
        ``resize`` and ``cell``: linearly. ``pad``: the middle is cut out.

    Returns
    -------
    float32 volume of that shape

    Raises
    ------
    InputError
        If it was padded and the shape is larger than it.
    """
    if how != "pad":
        return resample(volume, shape)
    return np.asarray(volume[_middle(shape, volume.shape)], np.float32)


def _middle(shape: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    if not fits(shape, size):
        raise InputError(
            f"a volume of {' x '.join(map(str, shape))} voxels is larger than {' x '.join(map(str, size))}: "
            "pad to a larger size, or resize"
        )
    starts = [(room - n) // 2 for n, room in zip(shape, size, strict=True)]
    return tuple(slice(start, start + n) for start, n in zip(starts, shape, strict=True))
