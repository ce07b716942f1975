"""What the metadata of an OME-Zarr tell (NGFF 0.4 and 0.5): axes, levels, and the size of a voxel."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal

from zoo.data.io import Spacing
from zoo.errors import InputError

Version = Literal["0.4", "0.5"]

TIFF = (".tif", ".tiff", ".btf", ".tf8")
ALLOWED = f"an OME-Zarr, {', '.join(TIFF)} or .npy"
_VERSIONS = "NGFF 0.4 and 0.5"

# Of the units of length that NGFF allows, those in which anybody may measure a voxel
_MICROMETRES = {
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "decimeter": 1e5,
    "meter": 1e6,
}


def import_zarr() -> Any:
    """Import zarr, which is an extra.

    Returns
    -------
    module
        ``zarr``.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import zarr
    except ModuleNotFoundError as fault:
        raise InputError(
            f"OME-Zarr, and TIFFs that are read part by part, need {fault.name}: pip install 'cellzoo[zarr]'"
        ) from None
    return zarr


def read_attributes(path: Path) -> tuple[Version, dict[str, Any]] | None:
    """Read the OME metadata of a group.

    Parameters
    ----------
    path
        The folder of the group.

    Returns
    -------
    tuple or None
        The version by its layout (0.5 is zarr v3) and the metadata: ``multiscales``, ``labels``,
        ``image-label`` and so on. None where it is no folder of a zarr group with attributes.
    """
    if (v3 := _load(path / "zarr.json")) is not None:
        match v3:
            case {"attributes": {"ome": dict(found)}}:
                return "0.5", found
        return None
    v2 = _load(path / ".zattrs")
    return None if v2 is None else ("0.4", v2)


def _load(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # not there, no JSON; nested too deep
        return None
    return found if isinstance(found, dict) else None


def is_omezarr(path: Path | str) -> bool:
    """Tell whether a folder is an OME-Zarr image or label image, by what lies in it.

    Parameters
    ----------
    path
        Any path; it need not exist.

    Returns
    -------
    bool
        Whether it holds a multiscale image.
    """
    found = read_attributes(Path(path))
    return found is not None and "multiscales" in found[1]


def read_multiscale(path: Path) -> tuple[list[str], list[Path], Spacing | None]:
    """Read the metadata of the first image in a group.

    Parameters
    ----------
    path
        The folder of the group.

    Returns
    -------
    axes : list of str
        Their names, in lower case, one a dimension.
    levels : list of Path
        The folders of the arrays, the largest first.
    spacing : (z, y, x) um or None
        The size of a voxel of the first level; None unless all three are told in a unit of length.

    Raises
    ------
    InputError
        If the group is no image or one of another version, or its metadata are incomplete.
    """
    multiscale = _find_multiscale(path)
    try:
        axes = [axis["name"].lower() for axis in multiscale["axes"]]
        levels = [path / dataset["path"] for dataset in multiscale["datasets"]]
        spacing = _find_spacing(multiscale, axes)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} has OME metadata that are incomplete or damaged ({reason(error)}): export it again"
        ) from error
    for level in levels:
        _check_inside(level, path)
    return axes, levels, spacing


def _check_inside(level: Path, path: Path) -> None:
    """Refuse a level that lies outside of its image, be it by name or by a link."""
    try:
        inside = level.resolve().is_relative_to(path.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # endless names and links, a zero byte
        raise InputError(f"a level of {path} cannot be opened ({reason(error)}): copy it again") from error
    if not inside:
        raise InputError(f"{path} names the level {level}, which lies outside of it: copy the level into it")


def _find_multiscale(path: Path) -> dict[str, Any]:
    """Find the metadata of the image in a group, or say what is there instead."""
    version, found = read_attributes(path) or ("", {})
    if "multiscales" not in found:
        if "bioformats2raw.layout" in found:
            raise InputError(f"{path} is a collection of images: give one of them, such as {path / '0'}")
        if "plate" in found or "well" in found:
            raise InputError(f"{path} is a {'plate' if 'plate' in found else 'well'}: give one of its images")
        if names := found.get("labels"):
            raise InputError(f"{path} is a list of label images: give one of them, such as {path / names[0]}")
        if (path / ".zarray").exists() or (_load(path / "zarr.json") or {}).get("node_type") == "array":
            raise InputError(f"{path} is one level of an OME-Zarr: give the folder above it")
        raise InputError(f"{path} is a folder, but no OME-Zarr image ({_VERSIONS}): allowed are {ALLOWED}")
    match found["multiscales"]:
        case [dict(multiscale), *_]:
            told = (found if version == "0.5" else multiscale).get("version", version)
            if told != version:
                raise InputError(f"{path} is of NGFF {told}: {_VERSIONS} can be read; convert it")
            return multiscale
    raise InputError(f"{path} has OME metadata that are incomplete or damaged: export it again")


def _find_spacing(multiscale: dict[str, Any], axes: list[str]) -> Spacing | None:
    """Multiply the scales of the first level and of all levels, in um."""
    transforms = [
        *multiscale["datasets"][0].get("coordinateTransformations", ()),
        *(multiscale.get("coordinateTransformations") or ()),
    ]
    scales = [t["scale"] for t in transforms if t["type"] == "scale" and "scale" in t]
    if not scales:
        return None
    scale = {a: math.prod(float(s[i]) for s in scales) for i, a in enumerate(axes)}
    units = {a: str(axis.get("unit")) for a, axis in zip(axes, multiscale["axes"], strict=True)}
    z, y, x = (scale.get(a, math.nan) * _MICROMETRES.get(units.get(a, ""), math.nan) for a in "zyx")
    return (z, y, x) if all(math.isfinite(s) and s > 0 for s in (z, y, x)) else None


def reason(error: Exception) -> str:
    """Say on one line what an error of another library says."""
    return " ".join(str(error).split())[:200] or type(error).__name__
