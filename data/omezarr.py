"""OME-Zarr onto the disk: images and labels as pyramids of chunks, NGFF 0.4 (zarr v2) and 0.5 (zarr v3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from zoo.data.io import Spacing
from zoo.data.ngff import Version, import_zarr, is_omezarr, read_attributes
from zoo.data.write import atomic_folder
from zoo.errors import InputError

if TYPE_CHECKING:
    import zarr

Box = tuple[slice, ...]
Step = tuple[str, int]  # a level, and the number of a block of it

CHUNKS = (64, 128, 128)  # ours: 2 MB of uint16, which one block of a network needs few of
SMALLEST_EDGE = 256  # no further level below it


@contextmanager
def new_group(path: Path | str, overwrite: bool) -> Iterator[Path]:
    """Give a hidden path for a group, which becomes `path` only when the block ends well.

    Parameters
    ----------
    path
        Where the group goes.
    overwrite
        Whether an OME-Zarr that is there is replaced, with all that lies in it.

    Yields
    ------
    Path
        The path for `create`; an empty folder.

    Raises
    ------
    InputError
        If `path` exists and may not be replaced, or is no OME-Zarr; if it cannot be written, or the disk
        is full.
    """
    path = Path(path)
    if path.exists():
        if not overwrite:
            raise InputError(f"{path} exists: choose another place, or give --overwrite to replace it")
        if not is_omezarr(path):
            raise InputError(f"{path} is no OME-Zarr, so it is not removed: choose another place")
    with atomic_folder(path) as part:
        yield part


def create(
    path: Path | str,
    shape: Sequence[int],
    dtype: DTypeLike,
    spacing: Spacing | None,
    *,
    version: Version = "0.5",
    chunks: tuple[int, int, int] | None = CHUNKS,
    labels: bool = False,
    name: str | None = None,
) -> zarr.Array[Any]:
    """Make an OME-Zarr image with all its levels, to be filled.

    Level 0 is filled by the caller, box by box; writers of whole chunks may be several processes. The
    others follow by `build_pyramid`.

    Parameters
    ----------
    path
        The folder of the group: new or empty. Those who want it whole or not at all take `new_group`.
    shape : (Z, Y, X) or (T, Z, Y, X) voxels
        The shape of level 0.
    dtype
        Integers or floats.
    spacing : (z, y, x) um or None
        The size of a voxel; None is written as axes without a unit.
    version
        Of NGFF.
    chunks : (z, y, x) voxels or None
        The shape of a chunk, cut to that of the image; None for the default.
    labels
        Whether these are labels: they get the ``image-label`` metadata.
    name
        What viewers call it.

    Returns
    -------
    zarr.Array
        Level 0.

    Raises
    ------
    InputError
        If `path` holds something, the shape, the type, the size of a voxel or of a chunk is none, or zarr
        is not installed.

    Notes
    -----
    Metadata as in https://ngff.openmicroscopy.org/0.5/. Levels of means carry the shift of half a voxel a
    halving, which many writers leave out; labels are strided, so that theirs is none.
    """
    zarr = import_zarr()
    path, shape, dtype, chunks = Path(path), tuple(map(int, shape)), np.dtype(dtype), chunks or CHUNKS
    if path.exists() and any(path.iterdir()):
        raise InputError(f"{path} is not empty: choose another place")
    _check(shape, dtype, spacing, chunks)
    levels = _levels(shape[-3:], spacing or (1.0, 1.0, 1.0))
    axes = "tzyx"[-len(shape) :]
    group = zarr.create_group(str(path), zarr_format=3 if version == "0.5" else 2)
    arrays = [
        group.create_array(
            str(number),
            shape=(*shape[:-3], *size),
            dtype=dtype,
            # a level smaller than a chunk takes no more memory than it needs
            chunks=(*(1 for _ in shape[:-3]), *map(min, chunks, size)),
            compressors=_zstd(version),
            chunk_key_encoding={"name": "default" if version == "0.5" else "v2", "separator": "/"},
            dimension_names=list(axes) if version == "0.5" else None,
            fill_value=0,
        )
        for number, (size, _) in enumerate(levels)
    ]
    metadata = _metadata(axes, spacing, [factors for _, factors in levels], labels, name)
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", **metadata}
    else:
        metadata["multiscales"][0]["version"] = "0.4"
        group.attrs.update(metadata)
    return arrays[0]


def _check(
    shape: tuple[int, ...], dtype: np.dtype, spacing: Spacing | None, chunks: tuple[int, int, int]
) -> None:
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise InputError(f"an array of shape {shape} cannot be written: give (Z, Y, X) or (T, Z, Y, X)")
    if dtype.kind not in "iuf":
        raise InputError(f"an array of type {dtype} cannot be written: convert it to integers or floats")
    if spacing is not None and not all(np.isfinite(s) and s > 0 for s in spacing):
        raise InputError(f"spacing {spacing} is not a voxel size: give three positive numbers, z y x in um")
    if len(chunks) != 3 or min(chunks) < 1:
        raise InputError(f"{chunks} is no shape of a chunk: give three numbers of voxels, 1 or more, z y x")


def _zstd(version: Version) -> dict[str, Any]:
    # with a checksum: else flipped bits in a chunk may decode to other voxels and nobody would know
    settings = {"level": 3, "checksum": True}
    return {"name": "zstd", "configuration": settings} if version == "0.5" else {"id": "zstd", **settings}


def _levels(shape: tuple[int, ...], spacing: Spacing) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Plan the levels: the shape of each and how many voxels of level 0 one of its voxels spans.

    y and x are halved each time. z is halved too where that leaves voxels nearer to cubes than not: its
    size is then below sqrt(2) times theirs.
    """
    size: tuple[int, ...] = tuple(shape)
    factors: tuple[int, ...] = (1, 1, 1)
    levels = [(size, factors)]
    while max(size) > SMALLEST_EDGE:
        z, y, x = (s * f for s, f in zip(spacing, factors, strict=True))
        step = (2 if z < sqrt(2 * y * x) else 1, 2, 2)
        size = tuple(-(-n // s) for n, s in zip(size, step, strict=True))
        factors = tuple(f * s for f, s in zip(factors, step, strict=True))
        levels.append((size, factors))
    return levels


def _metadata(
    axes: str,
    spacing: Spacing | None,
    factors: list[tuple[int, ...]],
    labels: bool,
    name: str | None,
) -> dict[str, Any]:
    described: list[dict[str, str]] = [{"name": "t", "type": "time"}] if "t" in axes else []
    unit = {} if spacing is None else {"unit": "micrometer"}
    described += [{"name": axis, "type": "space", **unit} for axis in "zyx"]
    frame = [1.0] * (len(axes) - 3)
    datasets = []
    for number, factor in enumerate(factors):
        scale = [float(s * f) for s, f in zip(spacing or (1, 1, 1), factor, strict=True)]
        shift = [(f - 1) / 2 * s / f for s, f in zip(scale, factor, strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [*frame, *scale]}]
        if any(shift) and not labels:
            transforms.append({"type": "translation", "translation": [*(0.0 for _ in frame), *shift]})
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    multiscale: dict[str, Any] = {"axes": described, "datasets": datasets}
    multiscale["type"] = "nearest" if labels else "mean"
    if name:
        multiscale["name"] = name
    return {"multiscales": [multiscale], **({"image-label": {}} if labels else {})}


def build_pyramid(path: Path | str, follow: Callable[[Sequence[Step]], Iterable[Step]] = iter) -> None:
    """Fill the levels of an OME-Zarr from its level 0, a block at a time.

    A voxel of an image is the mean of those below it, rounded in integer types; one of labels is the first
    of those below it.

    Parameters
    ----------
    path
        A group that `create` made.
    follow
        Goes through the blocks, to show progress.

    Raises
    ------
    InputError
        If `path` is no OME-Zarr.
    """
    steps = [(level, number) for level, count in pyramid(path).items() for number in range(count)]
    for level, number in follow(steps):
        fill(path, level, number)


def pyramid(path: Path | str) -> dict[str, int]:
    """Return how many blocks each level below the largest has, by its name; each is made of the one above.

    Raises
    ------
    InputError
        If `path` is no OME-Zarr.
    """
    group, names, _ = _open_levels(path)
    return {name: math.prod(_counts(group[name])) for name in names[1:]}


def fill(path: Path | str, level: str, number: int) -> None:
    """Fill a block of a level; several processes may fill blocks of one level at once."""
    group, names, shrink = _open_levels(path)
    fine, coarse = group[names[names.index(level) - 1]], group[level]
    place = np.unravel_index(number, _counts(coarse))
    box = tuple(
        slice(int(at) * edge, min((int(at) + 1) * edge, n))
        for at, edge, n in zip(place, coarse.chunks, coarse.shape, strict=True)
    )
    halved = [2 if n > m else 1 for n, m in zip(fine.shape, coarse.shape, strict=True)]
    source = tuple(slice(b.start * s, b.stop * s) for b, s in zip(box, halved, strict=True))
    coarse[box] = shrink(fine[source], halved)


def _counts(array: Any) -> list[int]:
    """Return how many chunks an array has along each dimension."""
    return [-(-n // edge) for n, edge in zip(array.shape, array.chunks, strict=True)]


def _open_levels(path: Path | str) -> tuple[Any, list[str], Callable[..., np.ndarray]]:
    """Open an OME-Zarr: its group, the names of its levels, and what makes one out of the one above."""
    found = read_attributes(Path(path))
    if found is None or "multiscales" not in found[1]:
        raise InputError(f"{path} is no OME-Zarr image: give the folder of one")
    group = import_zarr().open_group(str(path), mode="r+")
    names = [dataset["path"] for dataset in found[1]["multiscales"][0]["datasets"]]
    return group, names, _stride if "image-label" in found[1] else _mean


def _stride(block: np.ndarray, step: list[int]) -> np.ndarray:
    return block[tuple(slice(None, None, s) for s in step)]


def _mean(block: np.ndarray, step: list[int]) -> np.ndarray:
    # an odd edge is doubled: the mean over what is there
    block = np.pad(block, [(0, -n % s) for n, s in zip(block.shape, step, strict=True)], mode="edge")
    # float32 holds the sum of 8 integers of 16 bits exactly
    total: np.ndarray = np.zeros(
        [n // s for n, s in zip(block.shape, step, strict=True)],
        np.float32 if block.dtype.itemsize <= 2 else np.float64,
    )
    for corner in product(*(range(s) for s in step)):
        total += block[tuple(slice(c, None, s) for c, s in zip(corner, step, strict=True))]
    total /= np.prod(step)
    return (total if block.dtype.kind == "f" else np.rint(total)).astype(block.dtype)


def boxes(shape: Sequence[int], size: Sequence[int]) -> Iterator[Box]:
    """Cut an array into boxes.

    Parameters
    ----------
    shape
        Of the array.
    size
        Of a box, one number a dimension; those at the far edges are smaller.

    Yields
    ------
    tuple of slice
        The boxes, the last axis fastest.
    """
    edges = [[slice(a, min(a + s, n)) for a in range(0, n, s)] for n, s in zip(shape, size, strict=True)]
    yield from product(*edges)


def add_labels(image: Path | str, name: str) -> None:
    """Name a label image in the list of those that belong to an image.

    Parameters
    ----------
    image
        The group of the image; the labels are at ``labels/NAME`` in it (`create` puts them there).
    name
        The name; one that is listed already stays where it is.

    Raises
    ------
    InputError
        If `image` is no OME-Zarr image.
    """
    image = Path(image)
    found = read_attributes(image)
    if found is None or "multiscales" not in found[1]:
        raise InputError(f"{image} is no OME-Zarr image: give the folder of one")
    version = found[0]
    known = read_attributes(image / "labels")
    listed = list(known[1].get("labels", [])) if known else []
    if name not in listed:
        listed.append(name)
    group = import_zarr().open_group(
        str(image / "labels"), mode="a", zarr_format=3 if version == "0.5" else 2
    )
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "labels": listed}
    else:
        group.attrs["labels"] = listed
