"""``zoo convert``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo.cli.options import PATH, check_new, check_writable, make_console, overwrite_option, spacing_option
from zoo.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.io import Spacing
    from zoo.data.ngff import Version
    from zoo.data.volumes import Volume

    Follow = Callable[[Sequence[Any]], Any]

BLOCK_BYTES = 128e6  # what is held of the volume at a time, where chunks or planes are not larger
OME_TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")


@click.command()
@click.argument("source", metavar="IN", type=PATH)
@click.argument("out", metavar="OUT", type=PATH)
@spacing_option()
@click.option(
    "--channel", type=click.IntRange(min=0), help="Channel to convert, from 0, where there are several."
)
@click.option(
    "--version",
    type=click.Choice(["0.4", "0.5"]),
    default="0.5",
    show_default=True,
    help="Of the OME-Zarr; older programs read 0.4.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    nargs=3,
    metavar="Z Y X",
    default=(64, 128, 128),
    show_default=True,
    help="Voxels of a chunk of the OME-Zarr.",
)
@click.option("--labels", is_flag=True, help="IN holds labels, not grey values: never average them.")
@overwrite_option()
def convert(
    source: Path,
    out: Path,
    spacing: Spacing | None,
    channel: int | None,
    version: Version,
    chunk: tuple[int, int, int],
    labels: bool,
    overwrite: bool,
) -> None:
    """Convert a TIFF or .npy to an OME-Zarr with its pyramid, or an OME-Zarr to an OME-TIFF.

    The suffix of OUT decides. One channel is taken, with all time points; the volume need not fit into
    memory.
    """
    from rich.progress import track

    from zoo.data.ngff import TIFF
    from zoo.data.volumes import open_volume

    suffix = out.suffix.lower()
    if suffix not in (".zarr", *TIFF):
        raise InputError(f"{out} has the suffix {suffix!r}: allowed are .zarr, {', '.join(TIFF)}")
    if suffix != ".zarr":
        _check_meant(("version", "chunk", "labels"))
        check_new([out], overwrite)
    if source.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{source} would be replaced by {out}: choose another place")
    check_writable(out.parent)
    volume = open_volume(source, channel=channel)
    spacing = spacing or volume.spacing
    console = make_console()

    def follow(steps: Sequence[Any]) -> Any:
        return track(steps, out.name, console=console, disable=not console.is_terminal)

    if suffix == ".zarr":
        _write_omezarr(volume, out, spacing, version, chunk, labels, overwrite, follow)
    else:
        _write_tiff(volume, out, spacing, follow)
    if spacing is None:
        console.print(f"no voxel size in {source}: none was written; give --spacing Z Y X")
    frames = f"{volume.times} x " if volume.series else ""
    console.print(f"{frames}{' x '.join(map(str, volume.shape))} voxels in {out}")


def _check_meant(options: Sequence[str]) -> None:
    context = click.get_current_context()
    for option in options:
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise InputError(f"--{option} means nothing to a TIFF: leave it out")


def _write_omezarr(
    volume: Volume,
    out: Path,
    spacing: Spacing | None,
    version: Version,
    chunk: tuple[int, int, int],
    labels: bool,
    overwrite: bool,
    follow: Follow,
) -> None:
    from zoo.data.ngff import read_attributes
    from zoo.data.omezarr import boxes, build_pyramid, create, new_group

    found = read_attributes(volume.source)
    labels = labels or (found is not None and "image-label" in found[1])
    if labels and volume.dtype.kind == "f":
        raise InputError(f"{volume.source} has the type {volume.dtype}: labels are integers")
    frames = (volume.times,) if volume.series else ()
    with new_group(out, overwrite) as part:
        level = create(
            part,
            (*frames, *volume.shape),
            volume.dtype,
            spacing,
            version=version,
            chunks=chunk,
            labels=labels,
            name=out.name.removesuffix(".zarr").removesuffix(".ome"),
        )
        size = _block(volume, level.chunks[-3:])
        blocks = [(time, box) for time in range(volume.times) for box in boxes(volume.shape, size)]
        for time, (z, y, x) in follow(blocks):
            place = (time, z, y, x) if volume.series else (z, y, x)
            level[place] = volume.at(time).read((z, y, x))
        build_pyramid(part, follow)


def _block(volume: Volume, chunk: tuple[int, ...]) -> list[int]:
    """Choose a block of whole chunks; long in x, then y, as a TIFF's strips lie."""
    block = list(chunk)
    for axis in (2, 1):
        fitting = int(BLOCK_BYTES / (prod(block) * volume.dtype.itemsize))
        block[axis] = min(max(fitting, 1) * block[axis], volume.shape[axis])
    return block


def _write_tiff(volume: Volume, out: Path, spacing: Spacing | None, follow: Follow) -> None:
    """Write an OME-TIFF plane by plane."""
    import tifffile

    from zoo.data.write import CLASSIC_BYTES, atomic, ome_metadata

    dtype = _tiff_type(volume)
    shape = (*((volume.times,) if volume.series else ()), *volume.shape)
    metadata = ome_metadata("TZYX"[-len(shape) :], spacing)
    with atomic(out) as part:
        tifffile.imwrite(
            part,
            _planes(volume, dtype, follow),
            shape=shape,
            dtype=dtype,
            ome=True,
            bigtiff=prod(shape) * dtype.itemsize > CLASSIC_BYTES,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
        )


def _slabs(volume: Volume) -> list[tuple[int, slice]]:
    """Cut all frames into slabs of whole planes; a power of 2 of them, as the depth of chunks often is."""
    fitting = int(BLOCK_BYTES / (prod(volume.shape[1:]) * volume.dtype.itemsize))
    depth = 1 << max(fitting, 1).bit_length() - 1
    planes = volume.shape[0]
    cuts = [slice(z, min(z + depth, planes)) for z in range(0, planes, depth)]
    return [(time, cut) for time in range(volume.times) for cut in cuts]


def _read_slabs(volume: Volume, slabs: Sequence[tuple[int, slice]]) -> Iterator[np.ndarray]:
    _, height, width = volume.shape
    for time, z in slabs:
        yield volume.at(time).read((z, slice(0, height), slice(0, width)))


def _planes(volume: Volume, dtype: np.dtype, follow: Follow) -> Iterator[np.ndarray]:
    for slab in _read_slabs(volume, follow(_slabs(volume))):
        yield from slab.astype(dtype, copy=False)


def _tiff_type(volume: Volume) -> np.dtype:
    """Find the type to write: that of the volume, or for 64-bit integers the smallest that holds them."""
    from zoo.data.write import smallest_unsigned

    if volume.dtype.name in OME_TYPES:
        return volume.dtype
    if volume.dtype.kind == "f":
        raise InputError(
            f"{volume.source} has the type {volume.dtype}, which OME-TIFF lacks: allowed are "
            f"{', '.join(OME_TYPES)}"
        )
    extremes = [(slab.min(), slab.max()) for slab in _read_slabs(volume, _slabs(volume))]
    smallest, largest = (int(f(e)) for f, e in zip((min, max), zip(*extremes, strict=True), strict=True))
    return smallest_unsigned(smallest if smallest < 0 else largest)
