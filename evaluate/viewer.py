"""The slice viewer of a volume: its image and labels packed into the page, for `viewer.js` to show.

The image is one JPEG with all slices side by side, which a browser only has to paint. Labels are numbers that
must come out exactly, so they are no picture: browsers that guard against fingerprinting change the pixels a
script reads back. They are the bare numbers, compressed with zlib.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from zoo.data.write import smallest_unsigned
from zoo.evaluate import page
from zoo.evaluate.mosaic import Spacing
from zoo.evaluate.overlap import renumber
from zoo.evaluate.pictures import GREY, bar_length, label_colours

MAX_EDGE = 512
"""Pixels that a slice has at most on a side."""
MAX_VOXELS = 1 << 22
"""Pixels of all slices together: 80 slices of 225 x 225, and 20 MB for a page of twelve volumes."""

_BLOCK = 8  # JPEG codes squares of 8 pixels: slices end where squares do, lest one shines into the next
_QUALITY = 80
_JPEG_EDGE = 65000  # JPEG's limit is 65535

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Slices side by side in one picture.

    Parameters
    ----------
    jpeg
        The file, grey.
    columns
        Slices in a row; slice z is in row ``z // columns``.
    tile
        Height and width in pixels from one slice to the next. A slice lies at the upper left of its tile.
    """

    jpeg: bytes
    columns: int
    tile: tuple[int, int]


def shrink(volume: Array) -> Array:
    """Leave out rows and columns of a volume too large for the page; all slices stay.

    Parameters
    ----------
    volume
        (Z, Y, X).

    Returns
    -------
    (Z, H, W) ndarray
        At most `MAX_EDGE` high and wide and of about `MAX_VOXELS` voxels, each one of the volume's: the one
        under its middle. The volume itself where it is small enough.
    """
    _, height, width = volume.shape
    part = min(1.0, MAX_EDGE / max(height, width), math.sqrt(MAX_VOXELS / volume.size))
    if part == 1:
        return volume
    rows, columns = max(1, int(height * part)), max(1, int(width * part))
    row = (2 * np.arange(rows) + 1) * height // (2 * rows)
    column = (2 * np.arange(columns) + 1) * width // (2 * columns)
    return volume[:, row[:, None], column]


def make_sheet(levels: Array) -> Sheet:
    """Lay the slices of an image out as one JPEG.

    Parameters
    ----------
    levels
        (Z, H, W) uint8 in 0..254, from :func:`zoo.evaluate.pictures.grey_levels`.

    Returns
    -------
    Sheet
        About as wide as high.
    """
    depth, height, width = levels.shape
    high, wide = (-(-edge // _BLOCK) * _BLOCK for edge in (height, width))
    columns = min(depth, max(1, round(math.sqrt(depth * high / wide))), max(1, _JPEG_EDGE // wide))
    rows = -(-depth // columns)
    sheet = np.zeros((rows, high, columns, wide), dtype=np.uint8)
    for z, plane in enumerate(GREY[:, 0][levels]):
        padded = np.pad(plane, ((0, high - height), (0, wide - width)), mode="edge")
        sheet[z // columns, :, z % columns] = padded
    file = BytesIO()
    Image.fromarray(sheet.reshape(rows * high, columns * wide)).save(file, "JPEG", quality=_QUALITY)
    return Sheet(file.getvalue(), columns, (high, wide))


def pack_labels(labels: Array) -> tuple[Array, str, int]:
    """Pack labels as text.

    Parameters
    ----------
    labels
        (Z, H, W) integers, 0 is background.

    Returns
    -------
    ids
        (N,) the labels that occur, ascending, without 0.
    text
        Base64 of a zlib stream of the voxels in C order, each an unsigned little-endian number: 0, or k + 1
        where the label is ``ids[k]``.
    size
        Bytes of a number: 1, 2 or 4.
    """
    ids, dense = renumber(labels)
    kind = smallest_unsigned(len(ids)).newbyteorder("<")
    voxels = np.ascontiguousarray(dense, dtype=kind)
    return ids, base64.b64encode(zlib.compress(voxels.tobytes(), 6)).decode(), kind.itemsize


def hex_colours(ids: Array) -> list[str]:
    """Write the colour of each label, (N,) integers, as #rrggbb: the one it has in all pictures."""
    return [
        f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in label_colours(np.asarray(ids)).tolist()
    ]


def make_viewer(
    number: int,
    name: str,
    levels: Array,
    labels: Array,
    truth: Array | None,
    spacing: Spacing,
    start: int,
    noun: str,
) -> str:
    """Make the viewer of one volume. It is hidden until the page's script shows it.

    Parameters
    ----------
    number
        Of the volume in the page, from 1: ``case`` in the page's address.
    name
        Of the volume.
    levels
        (Z, Y, X) uint8 in 0..254, from :func:`zoo.evaluate.pictures.grey_levels`.
    labels, truth
        (Z, Y, X) integer labels, 0 is background.
    spacing
        Voxel size (z, y, x) in um.
    start
        Slice that is shown first.
    noun
        What an object is called.

    Returns
    -------
    str
        HTML.
    """
    depth, height, width = levels.shape
    small = shrink(levels)
    sheet = make_sheet(small)
    extent = width * spacing[2]
    attributes = {
        "case": number,
        "noun": noun,
        "shape": " ".join(map(str, small.shape)),
        "step": f"{spacing[0]:.6g}",
        "aspect": f"{extent / (height * spacing[1]):.6g}",
        "columns": sheet.columns,
        "tile": " ".join(map(str, sheet.tile)),
        "bar": f"{bar_length(extent) / extent:.6g}",
        "image": f"data:image/jpeg;base64,{base64.b64encode(sheet.jpeg).decode()}",
    }
    parts = [_packed("labels", labels)]
    if truth is not None:
        parts.append(_packed("truth", truth))
    words = f"Slices of {name}. Arrow keys step through them, a click chooses a {noun}."
    return (
        f'<div class="viewer" hidden{_data(attributes)}>{"".join(parts)}'
        f'<div class="stage" tabindex="0" role="group" aria-label="{escape(words)}">'
        '<canvas class="slice"></canvas><canvas class="marks"></canvas>'
        f'<span class="length">{bar_length(extent):g} µm</span></div>'
        f"{_controls(depth, start, truth is not None)}</div>"
    )


def objects_table(number: int, rows: Sequence[Mapping[str, object]], noun: str) -> str:
    """Make the table of a volume's objects, each row with the colour of its label where it has one.

    Parameters
    ----------
    number
        Of the volume in the page.
    rows
        All with the same columns. Where the first is called ``noun``, it is the label.
    noun
        What an object is called.

    Returns
    -------
    str
        HTML.
    """
    header = list(rows[0])
    linked = header[0] == noun
    colours = hex_colours(np.array([int(str(row[noun])) for row in rows])) if linked else []
    # sentences are read from the left, numbers and yes or no stand in columns
    words = {name for name in header for row in rows if " " in str(row.get(name))}
    kinds = [' class="words"' if name in words else "" for name in header]
    lines = []
    for place, row in enumerate(rows):
        cells = "".join(
            f"<td{kind}>{page.cell(row.get(name))}</td>"
            for name, kind in zip(header[1:], kinds[1:], strict=True)
        )
        name = page.cell(row.get(header[0]))
        swatch = f'<i class="swatch" style="background: {colours[place]}"></i>' if linked else ""
        link = f' data-label="{name}"' if linked else ""
        lines.append(f'<tr{link}><th scope="row">{swatch}{name}</th>{cells}</tr>')
    heads = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(header, kinds, strict=True)
    )
    return (
        f'<div class="wide tall" tabindex="0"><table class="objects" data-case="{number}"><thead><tr>{heads}'
        f"</tr></thead>\n<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def _packed(kind: str, labels: Array) -> str:
    ids, voxels, size = pack_labels(shrink(labels))
    attributes: dict[str, object] = {"bytes": size, "voxels": voxels}
    if kind == "labels":
        attributes |= {"ids": " ".join(map(str, ids.tolist())), "colours": " ".join(hex_colours(ids))}
    return f'<div class="{kind}" hidden{_data(attributes)}></div>'


def _data(attributes: Mapping[str, object]) -> str:
    return "".join(f' data-{name}="{escape(str(value))}"' for name, value in attributes.items())


def _controls(depth: int, start: int, truth: bool) -> str:
    def box(name: str, words: str, on: bool) -> str:
        return f'<label><input type="checkbox" name="{name}"{" checked" if on else ""}> {words}</label>'

    boxes = box("outlines", "outlines", True) + box("fill", "filled", False)
    if truth:
        boxes += box("truth", "truth (white)", False)
    return (
        '<div class="slider"><label><span>Slice</span><span class="track">'
        f'<input type="range" name="z" min="0" max="{depth - 1}" step="1" value="{start}">'
        '<i class="extent"></i></span></label><output class="place"></output></div>'
        f'<div class="toggles" role="group" aria-label="What is shown">{boxes}'
        '<label>brightness <input type="range" name="gain" min="0.4" max="4" step="0.1" value="1"></label>'
        '</div><div class="foot"><p class="chosen" aria-live="polite"></p>'
        '<button type="button" name="back" hidden>‹ volume before</button>'
        '<button type="button" name="on" hidden>next volume ›</button></div>'
    )
