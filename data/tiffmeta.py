"""What the metadata of a TIFF tell: which plane is which, and the size of a voxel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from zoo.errors import InputError

_X_RESOLUTION, _Y_RESOLUTION = 282, 283

# both Unicode micro signs; ImageJ escapes the first in its description, and some writers mangle it
_MICROMETRES = {
    **dict.fromkeys(("µm", "μm", "um", "Âµm", "micron", "microns", "micrometer", "micrometers"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometers"), 1e-3),
    **dict.fromkeys(("mm", "millimeter", "millimeters"), 1e3),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), 1e4),
    "m": 1e6,
}

_MOST_PLANES = 1 << 20  # ours: of an image in several files

_NEEDED = "a 3-D stack of at least 2 planes is needed"


def plane_table(axes: str, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Find the position of the planes of a series by time, channel and depth.

    Axes without a name (tifffile's I and Q) are depth where there is one, time and depth where there are
    two: a plain stack of pages is (z, y, x), a plain 4-D one (t, z, y, x).

    Parameters
    ----------
    axes
        One letter a dimension, in tifffile's letters.
    shape
        The length of each dimension.

    Returns
    -------
    planes : (T, C, Z) int
        The position of each plane in the order of the file.
    explicit : bool
        Whether there is a time axis, be it of length 1.

    Raises
    ------
    InputError
        If the axes are those of an RGB or 2-D image, or have no known meaning.
    """
    if 0 in shape:
        raise InputError(f"has the shape {shape}, without a single voxel: export it again")
    # lengths of 1 tell nothing, but for the axes that have a name and the first dimensions of a 4-D array
    named = "TCZYXQI" if len(axes) <= 4 else "TCZYX"
    kept = [(a, n) for a, n in zip(axes, shape, strict=True) if n > 1 or a in named]
    names = _name_unknown("".join(a for a, _ in kept))
    size = dict(zip(names, (n for _, n in kept), strict=True))
    if "S" in names:
        raise InputError("is an RGB (or RGBA) image: convert it to greyscale, or split its channels")
    if not names.endswith("YX") or not set(names) <= set("TCZYX") or len(set(names)) != len(names):
        raise InputError(f"has the axes {axes} of {shape}: save it with the axes ZYX, TZYX or TZCYX")
    if size.get("Z", 1) < 2:
        raise InputError(f"is 2-D ({_described(size)}): {_two_dimensional_advice(size)}")
    lead = names[:-2]
    numbers = np.arange(math.prod(size[a] for a in lead)).reshape([size[a] for a in lead])
    for missing in "TCZ":
        if missing not in lead:
            lead, numbers = missing + lead, numbers[np.newaxis]
    return numbers.transpose([lead.index(a) for a in "TCZ"]), "T" in names


def _name_unknown(axes: str) -> str:
    unknown = axes.count("Q") + axes.count("I")
    free = [a for a in "TZ" if a not in axes]
    if unknown > len(free):
        return axes
    names = iter(free[len(free) - unknown :])
    return "".join(next(names) if a in "QI" else a for a in axes)


def _described(size: dict[str, int]) -> str:
    words = {"T": "time points", "C": "channels", "Z": "planes"}
    return ", ".join(
        [f"{size['Y']} x {size['X']} pixels", *(f"{n} {words[a]}" for a, n in size.items() if a in words)]
    )


def _two_dimensional_advice(size: dict[str, int]) -> str:
    for axis, word in (("T", "time points"), ("C", "channels")):
        if size.get(axis, 1) > 1:
            return f"{_NEEDED}; if its {word} are slices, make them z (Fiji: Re-order Hyperstack)"
    return f"{_NEEDED}; for slices in files of their own give their folder"


def voxel_size(tif: tifffile.TiffFile, slice_alone: bool = False) -> tuple[float, float, float] | None:
    """Find the size of a voxel in OME, ImageJ or tifffile's own metadata.

    Parameters
    ----------
    tif
        The open file.
    slice_alone
        Whether it is all there is: its depth, which no file tells of a slice, is then that of a pixel.

    Returns
    -------
    tuple of float or None
        (z, y, x) in um; None unless all three are told in a unit of length.
    """
    told: dict[str, Any]
    size: Sequence[float | None]
    if tif.is_ome:
        size = _ome_size(tif.ome_metadata or "")
    elif tif.is_imagej:
        told = tif.imagej_metadata or {}
        size = _described_size(tif, told, _imagej_depth(told))
    elif tif.is_shaped:
        shaped = tif.shaped_metadata
        told = shaped[0] if shaped else {}
        size = _described_size(tif, told, told.get("spacing"))
    else:
        return None
    z, y, x = size
    if z is None and slice_alone:
        z = y
    if z is None or y is None or x is None or not all(math.isfinite(s) and s > 0 for s in (z, y, x)):
        return None
    return z, y, x


def ome_planes(tif: tifffile.TiffFile) -> int:
    """Count the planes that the OME metadata declare for the first image.

    Parameters
    ----------
    tif
        The open file.

    Returns
    -------
    int
        Their number, by the sizes or as listed, whichever is larger; 0 where there are no OME metadata, or
        they spread a credible number of planes over several files.
    """
    xml = tif.ome_metadata or ""
    pixels = _ome_pixels(xml)
    if pixels is None:
        return 0
    listed = ElementTree.fromstring(xml).iterfind("{*}Image/{*}Pixels/{*}TiffData")
    count = max(
        math.prod(int(pixels.get(f"Size{a}", "1")) for a in "TCZ"),
        sum(int(e.get("PlaneCount") or e.get("NumPlanes") or 0) for e in listed),
    )
    files = {e.get("FileName") for e in pixels.iterfind("{*}TiffData/{*}UUID")}
    return count if len(files) < 2 or count > _MOST_PLANES else 0


def _ome_pixels(xml: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(xml).find("{*}Image/{*}Pixels")
    except ElementTree.ParseError:
        return None


def _ome_size(xml: str) -> Sequence[float | None]:
    pixels = _ome_pixels(xml)
    if pixels is None:
        return None, None, None
    return [_length(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX"]


def _imagej_depth(metadata: dict[str, Any]) -> Any:
    # ImageJ leaves the line out for a depth of exactly 1.0 (FileSaver) and takes the size of a negative one
    depth = metadata.get("spacing", 1.0 if metadata.get("images", 1) > 1 else None)
    return abs(depth) if isinstance(depth, int | float) else None


def _described_size(tif: tifffile.TiffFile, metadata: dict[str, Any], depth: Any) -> Sequence[float | None]:
    """Join the depth in a description to the pixels in the resolution tags, which are per unit."""
    unit = str(metadata.get("unit", ""))
    z = _length(depth, str(metadata.get("zunit", unit)))
    y = _length(_inverse_resolution(tif, _Y_RESOLUTION), str(metadata.get("yunit", unit)))
    x = _length(_inverse_resolution(tif, _X_RESOLUTION), unit)
    return z, y, x


def _inverse_resolution(tif: tifffile.TiffFile, tag: int) -> float | None:
    match tif.pages.first.tags.valueof(tag):
        case (int(pixels), int(units)) if pixels > 0:
            return units / pixels
    return None


def _length(value: Any, unit: str) -> float | None:
    factor = _MICROMETRES.get(unit.replace("\\u00B5", "µ").strip())
    try:
        return None if factor is None or value is None else float(value) * factor
    except (TypeError, ValueError):
        return None
