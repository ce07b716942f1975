"""Pictures of flat arrays: grey and map scales, label colours, outlines, overlays, and their PNG.

Grey and map pictures have 255 levels, not 256: the place left over in an 8-bit palette is the transparent
colour of the gaps in a mosaic, which keeps the PNG small.
"""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from PIL import Image

from zoo.errors import InputError

LEVELS = 255
GREY = np.repeat(np.round(np.linspace(0, 255, LEVELS)).astype(np.uint8)[:, None], 3, axis=1)
VIRIDIS = np.round(255 * matplotlib.colormaps["viridis"](np.linspace(0, 1, LEVELS))[:, :3]).astype(np.uint8)
# Purple and green differ in lightness and in blue, so that they stay apart for red-green blind readers.
MISSED = (183, 92, 245)
EXTRA = (105, 232, 130)
BOTH = (150, 150, 150)
DARK = (48, 48, 48)  # both, where the grey picture behind is lifted above it

Array = np.ndarray[Any, Any]


def grey_levels(volume: Array, low: float = 1.0, high: float = 99.8) -> tuple[Array, tuple[float, float]]:
    """Scale intensities between two percentiles to picture levels.

    Parameters
    ----------
    volume
        (Z, Y, X), any real type, finite.
    low, high
        Percentiles that become black and white; what lies outside is clipped.

    Returns
    -------
    tuple of (Z, Y, X) uint8 in 0..254 and (float, float)
        The levels, all 0 for a constant volume, and the intensities at black and white.
    """
    black, white = (float(value) for value in np.percentile(volume, [low, high]))
    if white <= black:  # more than 99 % of the voxels alike: the few others are what there is to see
        black, white = float(volume.min()), float(volume.max())
    return _levels(volume, black, white), (black, white)


def map_levels(volume: Array) -> tuple[Array, tuple[float, float]]:
    """Scale a map that starts at 0 (a probability, a distance in um) to picture levels.

    Parameters
    ----------
    volume
        (Z, Y, X), values at or above 0; of uint8, 255 stands for 1. Up to 1, the scale is 0 to 1, so that
        probabilities can be compared between pictures; above, it is 0 to the largest value.

    Returns
    -------
    tuple of (Z, Y, X) uint8 in 0..254 and (float, float)
        The levels and the values at the two ends of the scale.
    """
    if volume.dtype == np.uint8:
        return _levels(volume, 0.0, 255.0), (0.0, 1.0)
    top = max(1.0, float(volume.max()))
    return _levels(volume, 0.0, top), (0.0, top)


def _levels(volume: Array, black: float, white: float) -> Array:
    scale = (LEVELS - 1) / (white - black) if white > black else 0.0
    levels = np.empty(volume.shape, np.uint8)
    for z, plane in enumerate(volume):  # all at once would take several volumes of floats
        scaled = np.rint((plane - np.float32(black)) * np.float32(scale))
        levels[z] = np.clip(scaled, 0, LEVELS - 1)
    return levels


def label_colours(ids: Array) -> Array:
    """Give each label its colour, the same in every picture, volume and run.

    Hue and lightness follow the two-dimensional sequence R2 of Roberts (2018), "The unreasonable
    effectiveness of quasirandom sequences", in the OkLCh colour space of Ottosson (2020): ids near each other
    get colours far from each other, in lightness too, which red-green blind readers see.

    Parameters
    ----------
    ids
        (N,) integers, at or above 0.

    Returns
    -------
    (N, 3) ndarray of uint8
        Red, green, blue; black for 0.
    """
    number = ids.astype(np.float64)
    hue = 2 * np.pi * ((number * 0.7548776662466927) % 1)
    lightness = 0.50 + 0.42 * ((number * 0.5698402909980532) % 1)
    a, b = 0.16 * np.cos(hue), 0.16 * np.sin(hue)
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(to_rgb @ lms**3, 0, 1)
    colours = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.where(ids == 0, 0, np.rint(255 * colours)).astype(np.uint8).T)


def colour_labels(labels: Array) -> Array:
    """Paint a label picture (H, W) with `label_colours`; returns (H, W, 3) uint8, black background."""
    ids, place = np.unique(labels, return_inverse=True)
    return label_colours(ids)[place.reshape(labels.shape)]


def outline(levels: Array, labels: Array) -> Array:
    """Draw the rim of each label in its colour over a grey picture.

    Parameters
    ----------
    levels
        (H, W) uint8 in 0..254, from `grey_levels`. Shown at half brightness, so that light rims stand out;
        the unused greys leave places in the palette for the labels.
    labels
        (H, W) integer labels. The rim is the label's own pixels with another value beside, above or below.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        The picture.
    """
    rim = np.zeros(labels.shape, dtype=bool)
    for inner, outer in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        differs = labels[inner] != labels[outer]
        rim[inner] |= differs
        rim[outer] |= differs
    rim &= labels != 0
    picture = GREY[levels // 2]
    picture[rim] = label_colours(labels[rim])
    return picture


def overlay(truth: Array, predicted: Array, levels: Array | None = None) -> Array:
    """Colour where a truth and a prediction agree and differ: purple missed, green extra, grey both.

    Parameters
    ----------
    truth, predicted
        Labels or masks of one shape, any number of axes; not 0 is foreground.
    levels
        uint8 in 0..254 of that shape, from `grey_levels`: shown dimly behind, and as shade within the
        colours. Without it the background is black and the colours are flat.

    Returns
    -------
    ndarray of uint8
        The shape with a last axis of 3: `MISSED` (truth only), `EXTRA` (prediction only), `BOTH`.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if truth.shape != predicted.shape or (levels is not None and levels.shape != truth.shape):
        shapes = ", ".join(str(array.shape) for array in (truth, predicted, levels) if array is not None)
        raise InputError(f"an overlay needs arrays of one shape, not {shapes}: give the same volume's")
    found = (truth != 0) + 2 * (predicted != 0).astype(np.uint8)
    colours = np.array([(0, 0, 0), MISSED, EXTRA, BOTH], dtype=np.float64)
    if levels is None:
        return colours.astype(np.uint8)[found]
    shades = 48  # 4 x 48 colours leave room in the palette
    light = np.linspace(0, 1, shades)[:, None, None]
    table = colours * (0.55 + 0.45 * light)
    table[:, 0] = 90 * light[:, 0]
    return np.rint(table).astype(np.uint8)[levels.astype(np.intp) * shades // LEVELS, found]


def bar_length(width_um: float) -> float:
    """Choose a scale bar: the largest of 1, 2, 5, 10, 20, ... um that is at most a third of the width."""
    third = width_um / 3
    decade = 10.0 ** math.floor(math.log10(third))
    return max(step * decade for step in (1, 2, 5) if step == 1 or step * decade <= third)


def add_scale_bar(picture: Array, height: int, pixels: int) -> Array:
    """Draw a white bar into the lower left corner of the xy pane.

    Parameters
    ----------
    picture
        (H, W, 3) uint8.
    height
        Height of the xy pane in pixels.
    pixels
        Length of the bar in pixels.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        A copy with the bar.
    """
    thick, margin = max(1, height // 60), height // 20
    below = height - margin
    marked = picture.copy()
    marked[max(0, below - thick) : below, margin : margin + pixels] = 255
    return marked


def png(picture: Array, inside: Array | None = None) -> bytes:
    """Encode a picture as PNG, lossless, with a palette where 256 colours are enough.

    Parameters
    ----------
    picture
        (H, W, 3) uint8.
    inside
        (H, W) bool; where False, the picture is transparent.

    Returns
    -------
    bytes
        The file.
    """
    opaque = np.full(picture.shape[:2], True) if inside is None else inside
    packed = picture.astype(np.uint32) @ np.array([1 << 24, 1 << 16, 1 << 8], dtype=np.uint32) + 255
    colours, place = np.unique(np.where(opaque, packed, 0), return_inverse=True)
    rgba = colours.astype(">u4").view(np.uint8).reshape(-1, 4)
    place = place.reshape(opaque.shape)
    file = BytesIO()
    if len(colours) <= 256:
        image = Image.fromarray(place.astype(np.uint8))
        image.putpalette(rgba[:, :3].tobytes())
        # the transparent colour, packed as 0, sorts first
        see_through = {"transparency": 0} if rgba[0, 3] == 0 else {}
        image.save(file, "PNG", optimize=True, **see_through)
    else:
        Image.fromarray(rgba[place]).save(file, "PNG", optimize=True)
    return file.getvalue()
