"""COCO instance annotations: one JSON file beside its images, each object an outline or run lengths."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np

from zoo.data.slices import read_slices
from zoo.defaults import RECORD
from zoo.errors import InputError

_SLICE = re.compile(r"(?P<volume>.+)_z(?P<z>\d{1,9})")
_CHUNKS = 7  # characters of a run at most, 35 bits: more than any slice has pixels, and no sum overflows


@dataclass(frozen=True, slots=True)
class Picture:
    """One annotated image.

    Parameters
    ----------
    path
        Its file.
    volume, z
        ``NAME`` and 12 of ``NAME_z012.png``, folders joined with ``_``; of other names the whole and 0.
    shape
        (Y, X), as the annotations tell.
    objects
        Where each object stands in the annotation file, for messages, and its ``segmentation``, unchecked.
    """

    path: Path
    volume: str
    z: int
    shape: tuple[int, int]
    objects: tuple[tuple[str, Any], ...]


def annotation_file(root: Path) -> Path | None:
    """Return ``annotations.json`` of a folder, else its only JSON file, else ``None``."""
    found = sorted(path for path in root.glob("*.json") if path.is_file() and not path.name.endswith(RECORD))
    named = root / "annotations.json"
    if named in found:
        return named
    return found[0] if len(found) == 1 else None


def read_annotations(path: Path) -> tuple[list[Picture], int]:
    """Read an annotation file; the outlines stay as they are until `draw`.

    Categories and boxes are not looked at: each object is a nucleus, and its outline tells where it is.

    Parameters
    ----------
    path
        JSON of COCO's instances format. Images are sought in its folder, then in ``images/`` there.

    Returns
    -------
    pictures
        In the order of their volume and z.
    crowds
        How many regions are left out because they outline a crowd (``iscrowd``) and not one object.

    Raises
    ------
    InputError
        If the file is no such JSON, an image is missing, listed twice or not in the folder, or an annotation
        names an image that is not listed.
    """
    images, annotations = _lists(path)
    objects: dict[int | str, list[tuple[str, Any]]] = {}
    for number, image in enumerate(images):
        key = image.get("id")
        if not isinstance(key, int | str) or key in objects:
            _fault(path, f"images[{number}]", f"id {_shown(key)} must be a number that no other image has")
        objects[key] = []
    crowds = 0
    for number, annotation in enumerate(annotations):
        place, key = f"annotations[{number}]", annotation.get("image_id")
        if not isinstance(key, int | str) or key not in objects:
            _fault(path, place, f"image_id {_shown(key)} must be the id of one of the {len(images)} images")
        if annotation.get("iscrowd"):
            crowds += 1
        else:
            objects[key].append((f"{path}: {place}", annotation.get("segmentation")))
    pictures = [
        _picture(path, f"images[{number}]", image, tuple(objects[image["id"]]))
        for number, image in enumerate(images)
    ]
    pictures.sort(key=lambda picture: (picture.volume, picture.z))
    _check_places(path, pictures)
    return pictures, crowds


def draw(picture: Picture) -> np.ndarray:
    """Draw the objects of an image.

    Parameters
    ----------
    picture
        From `read_annotations`.

    Returns
    -------
    (Y, X) int32
        Object i of the list is label i + 1. Where objects overlap, the one of fewer pixels keeps them, of
        equals the later: what lies inside another is not lost. A polygon holds the pixels whose centres it
        holds, pixel (0, 0) reaching from 0 to 1 as in COCO.

    Raises
    ------
    InputError
        If an outline is missing, is no polygon or run lengths, or does not belong to an image of this size.
    """
    pixels = [_pixels(outline, picture.shape, where) for where, outline in picture.objects]
    labels = np.zeros(picture.shape, np.int32)
    flat = labels.reshape(-1)
    for i in sorted(range(len(pixels)), key=lambda i: -pixels[i].size):
        flat[pixels[i]] = i + 1
    return labels


def read_volume(
    pictures: Sequence[Picture],
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float] | None]:
    """Read the annotated images of one volume.

    Parameters
    ----------
    pictures
        One or more, in their order along z; gaps in their numbers are not looked at.

    Returns
    -------
    image : (Z, Y, X)
        In the type of the files.
    labels : (Z, Y, X) int32
        From `draw`. An object is one of a single slice: what it is in the next one, no annotation tells.
    spacing : (z, y, x) um or None
        The size of a voxel, where the first file tells all of it.

    Raises
    ------
    InputError
        If an image cannot be read or has another size than the annotations say, or as `draw`.
    """
    image, spacing = read_planes([picture.path for picture in pictures])
    labels = np.zeros(image.shape, np.int32)
    before = 0
    for plane, picture in zip(labels, pictures, strict=True):
        if picture.shape != plane.shape:
            raise InputError(
                f"{picture.path} (height and width {plane.shape}) must have the size that its annotations "
                f"tell, {picture.shape}: give the image that was annotated"
            )
        drawn = draw(picture)
        plane[...] = np.where(drawn > 0, drawn + before, 0)
        before += len(picture.objects)
    return image, labels, spacing


def read_planes(files: Sequence[Path]) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """Read 2-D images as a stack, which may be of a single slice.

    Parameters
    ----------
    files
        TIFF or PNG, from the first plane to the last.

    Returns
    -------
    volume : (Z, Y, X)
        In the type of the files. A slice may be constant: there are empty ones.
    spacing : (z, y, x) um or None
        The size of a voxel, where the first file tells all of it.

    Raises
    ------
    InputError
        If one is no grey 2-D image of finite numbers or cannot be read, or they differ in shape or type.
    """
    volume, spacing = read_slices(files)
    if volume.dtype.kind not in "iuf" or not np.isfinite(volume).all():
        raise InputError(f"{files[0]} ({volume.dtype}) must be an image of finite numbers: convert it")
    return volume, spacing


def _lists(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the lists of images and annotations."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions") from error
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, numbers too long; nested too deep
        raise InputError(f"{path} is no JSON, or damaged ({str(error)[:200]}): export it again") from error
    parts: list[Any] = [found.get(n) if isinstance(found, dict) else None for n in ("images", "annotations")]
    if not all(isinstance(part, list) and all(isinstance(e, dict) for e in part) for part in parts):
        raise InputError(
            f"{path} holds no COCO instances: it must be an object with the lists images and annotations "
            "of objects; export it as COCO, or move it away"
        )
    images, annotations = parts
    if not images:
        raise InputError(f"{path} lists no image: add images, or move it away")
    return images, annotations


def _picture(path: Path, place: str, image: dict[str, Any], objects: tuple[tuple[str, Any], ...]) -> Picture:
    shape = image.get("height"), image.get("width")
    if not all(type(edge) is int and edge > 0 for edge in shape):
        _fault(path, place, f"height and width {_shown(shape)} must be whole numbers above 0")
    given = image.get("file_name")
    name = PurePosixPath(given) if isinstance(given, str) else PurePosixPath()
    if not name.name or name.is_absolute() or ".." in name.parts:
        _fault(path, place, f"file_name {_shown(given)} must name a file in the folder {path.parent}")
    stem = "_".join(name.with_suffix("").parts)
    match = _SLICE.fullmatch(stem)
    return Picture(
        path=_existing(path, place, name),
        volume=match["volume"] if match else stem,
        z=int(match["z"]) if match else 0,
        shape=(int(image["height"]), int(image["width"])),
        objects=objects,
    )


def _existing(path: Path, place: str, name: PurePosixPath) -> Path:
    for folder in (path.parent, path.parent / "images"):
        try:
            if (folder / name).is_file():
                return folder / name
        except OSError:  # a name that is too long for a file
            break
    _fault(path, place, f"file {_shown(str(name))} is neither in {path.parent} nor in its images/: add it")


def _check_places(path: Path, pictures: Sequence[Picture]) -> None:
    """Refuse two images that would be one slice of one volume."""
    seen: dict[tuple[str, int], Path] = {}
    for picture in pictures:
        first = seen.setdefault((picture.volume, picture.z), picture.path)
        if first is not picture.path:
            raise InputError(
                f"{path} lists {first.name!r} and {picture.path.name!r}, which are both slice {picture.z} of "
                f"{picture.volume!r}: keep one, or rename it"
            )


def _pixels(outline: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    """Return the index of each pixel of an object in the raveled image, each once."""
    if isinstance(outline, dict):
        return _of_runs(outline, shape, where)
    if isinstance(outline, list) and outline:
        parts = [_of_polygon(ring, shape, where) for ring in outline]
        return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
    raise InputError(
        f"{where} has the segmentation {_shown(outline)}: a list of polygons or run lengths are needed"
    )


def _of_polygon(ring: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    from skimage.draw import polygon  # slow to import

    values = _numbers(ring, "iuf")
    far = 2 * max(shape)  # annotators draw past the edge, but no more than that
    if values is None or len(values) < 6 or len(values) % 2 or not (np.abs(values) <= far).all():
        raise InputError(
            f"{where} has the polygon {_shown(ring)}: x, y of three corners or more are needed, none further "
            f"than {far} pixels from the corner of an image of {shape[0]} x {shape[1]}"
        )
    # skimage counts from the centre of the first pixel, COCO from its corner
    rows, columns = polygon(values[1::2] - 0.5, values[::2] - 0.5, shape)
    return np.asarray(rows * shape[1] + columns)


def _of_runs(outline: dict[str, Any], shape: tuple[int, int], where: str) -> np.ndarray:
    """Return the pixels of run lengths, which go down the columns, background first."""
    height, width = shape
    if outline.get("size") != [height, width]:
        raise InputError(
            f"{where} has run lengths of the size {_shown(outline.get('size'))}: it must be that of its "
            f"image, [{height}, {width}]"
        )
    counts = outline.get("counts")
    runs = _uncompressed(counts) if isinstance(counts, str) else _numbers(counts, "iu")
    size = height * width
    if runs is None or not len(runs) or runs.min() < 0 or runs.max() > size or runs.sum() != size:
        raise InputError(
            f"{where} has the run lengths {_shown(counts)}: they must be 0 or more and add up to the "
            f"{size} pixels of its image; export it again"
        )
    ends = np.cumsum(runs)[1::2]
    lengths = runs[1::2]
    # each run is a range; laid end to end, a range is what counting along gives, moved to its start
    moved = np.repeat(ends - np.cumsum(lengths), lengths)
    columns, rows = np.divmod(np.arange(len(moved)) + moved, height)
    return np.asarray(rows * width + columns)


def _uncompressed(counts: str) -> np.ndarray | None:
    """Decode COCO's compressed run lengths; ``None`` where the text is none.

    A run is written in characters of 48 plus six bits, five of the number, least first, and one that tells
    that more follow; the last is signed. From the fourth on, a run is the difference to the last but one.
    """
    if not counts or not counts.isascii():
        return None
    bits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        return None
    last = np.flatnonzero((bits & 32) == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    chunks = last - first + 1
    if chunks.max() > _CHUNKS:
        return None
    place = np.arange(bits.size) - np.repeat(first, chunks)
    runs = np.add.reduceat((bits & 31) << (5 * place), first)
    runs -= np.where(bits[last] & 16, np.int64(1) << (5 * chunks), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def _numbers(values: Any, kinds: str) -> np.ndarray | None:
    """Return a flat list of numbers as an array; ``None`` where it is none."""
    try:
        array = np.array(values)
    except ValueError:  # lists of several lengths
        return None
    if array.ndim != 1 or array.dtype.kind not in kinds:
        return None
    return array.astype(np.int64 if kinds == "iu" else np.float64)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _fault(path: Path, place: str, what: str) -> NoReturn:
    raise InputError(f"{path}: {place}: {what}")
