"""Volumes laid out as flat mosaics in true proportions: projections, orthogonal slices, contact sheets.

A volume is (z, y, x). Its mosaic is made of three panes and an empty corner::

    xy | zy
    ---+
    xz
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError

GAP = 3

Array = np.ndarray[Any, Any]
Spacing = tuple[float, float, float]


def check_volume(volume: Array) -> None:
    """Refuse what is not a (Z, Y, X) array with voxels, with an InputError."""
    if volume.ndim != 3 or volume.size == 0:
        raise InputError(
            f"a picture needs a stack (z, y, x) with voxels, not an array of shape {volume.shape}"
        )


def max_projection(volume: Array, axis: int = 0) -> Array:
    """Take the largest value along one axis; (Z, Y, X) becomes (Y, X) for ``axis=0``."""
    return np.asarray(volume.max(axis=axis))


def first_label(labels: Array, axis: int = 0) -> Array:
    """Take the first label that is not 0 along one axis, as an eye at index 0 sees it.

    Unlike the largest label, this does not let a nucleus shine through one that lies before it.

    Parameters
    ----------
    labels
        (Z, Y, X) integer labels, 0 is background.
    axis
        The axis to look along.

    Returns
    -------
    ndarray
        The labels without that axis, of the same type.
    """
    first = np.expand_dims((labels != 0).argmax(axis=axis), axis)
    return np.take_along_axis(labels, first, axis).squeeze(axis)


def pixel_size(shape: tuple[int, ...], spacing: Spacing, limit: int = 600) -> float:
    """Choose the pixel size of a mosaic: the finest voxel edge, or coarser where it would pass the limit.

    Parameters
    ----------
    shape
        (Z, Y, X) in voxels.
    spacing
        Voxel size (z, y, x) in um.
    limit
        Largest width and height of the mosaic in pixels.

    Returns
    -------
    float
        Edge of a square pixel in um.
    """
    depth, height, width = (count * step for count, step in zip(shape, spacing, strict=True))
    return max(min(spacing), (max(height, width) + depth) / (limit - GAP - 1))


def xy_pane(shape: tuple[int, ...], spacing: Spacing) -> tuple[int, int]:
    """Tell the height and width in pixels of the xy pane in the mosaic of a (Z, Y, X) volume."""
    return _pixels(shape[1:], spacing[1:], pixel_size(shape, spacing))


def busiest_voxel(labels: Array) -> tuple[int, int, int]:
    """Find on each axis the slice with the most labelled voxels; the middle where there are none.

    Parameters
    ----------
    labels
        (Z, Y, X) integer labels, 0 is background.

    Returns
    -------
    tuple of int
        Index (z, y, x) for `orthogonal_slices`; the voxel itself need not be labelled.
    """
    foreground = labels != 0
    if not foreground.any():
        depth, height, width = labels.shape
        return depth // 2, height // 2, width // 2
    from_above = foreground.sum(axis=0)
    counts = foreground.sum(axis=(1, 2)), from_above.sum(axis=1), from_above.sum(axis=0)
    z, y, x = (int(count.argmax()) for count in counts)
    return z, y, x


def orthogonal_slices(volume: Array, spacing: Spacing, at: tuple[int, int, int] | None = None) -> Array:
    """Lay the three slices through one voxel out as a mosaic in true proportions.

    Parameters
    ----------
    volume
        (Z, Y, X), any type: intensities, levels or labels. Pixels repeat the nearest voxel, so that labels
        stay labels and nothing is shown that was not measured.
    spacing
        Voxel size (z, y, x) in um.
    at
        Index (z, y, x) of the voxel; by default the middle.

    Returns
    -------
    (H, W) ndarray of the volume's type
        xy, to its right zy (z runs to the right), below it xz (z runs down); 0 in the gaps, which are `GAP`
        wide. A pixel is `pixel_size` um wide.

    Raises
    ------
    InputError
        If the volume is not 3-D, has no voxels, or ``at`` lies outside.
    """
    check_volume(volume)
    z, y, x = at if at is not None else tuple(size // 2 for size in volume.shape)
    if not all(0 <= index < size for index, size in zip((z, y, x), volume.shape, strict=True)):
        raise InputError(f"at {(z, y, x)} lies outside the volume, shape {volume.shape}: give an index in it")
    return _mosaic(volume[z], volume[:, :, x].T, volume[:, y], spacing)


def orthogonal_projections(
    volume: Array,
    spacing: Spacing,
    project: Callable[[Array, int], Array] = max_projection,
) -> Array:
    """Lay the projections along z, x and y out as a mosaic in true proportions.

    Parameters
    ----------
    volume
        (Z, Y, X).
    spacing
        Voxel size (z, y, x) in um.
    project
        `max_projection`, or `first_label` for labels.

    Returns
    -------
    (H, W) ndarray of the volume's type
        Panes, gaps and pixels as in `orthogonal_slices`.

    Raises
    ------
    InputError
        If the volume is not 3-D or has no voxels.
    """
    check_volume(volume)
    return _mosaic(project(volume, 0), project(volume, 2).T, project(volume, 1), spacing)


def _mosaic(xy: Array, zy: Array, xz: Array, spacing: Spacing) -> Array:
    """Join the panes xy (Y, X), zy (Y, Z) and xz (Z, X)."""
    dz, dy, dx = spacing
    pixel = pixel_size((xz.shape[0], *xy.shape), spacing)
    xy, zy, xz = (
        _resize(pane, *_pixels(pane.shape, steps, pixel))
        for pane, steps in ((xy, (dy, dx)), (zy, (dy, dz)), (xz, (dz, dx)))
    )
    height, width = xy.shape
    mosaic = np.zeros((height + GAP + xz.shape[0], width + GAP + zy.shape[1]), dtype=xy.dtype)
    mosaic[:height, :width] = xy
    mosaic[:height, width + GAP :] = zy
    mosaic[height + GAP :, :width] = xz
    return mosaic


def _pixels(shape: Sequence[int], steps: Sequence[float], pixel_um: float) -> tuple[int, int]:
    rows, columns = (max(1, round(count * step / pixel_um)) for count, step in zip(shape, steps, strict=True))
    return rows, columns


def _resize(plane: Array, rows: int, columns: int) -> Array:
    """Repeat or skip voxels of (H, W) or (H, W, 3) so that each pixel shows the voxel under its middle."""
    row = (2 * np.arange(rows) + 1) * plane.shape[0] // (2 * rows)
    column = (2 * np.arange(columns) + 1) * plane.shape[1] // (2 * columns)
    return plane[row[:, None], column]


def contact_sheet(pictures: Sequence[Array], columns: int = 6, tile: int = 128) -> Array:
    """Set pictures into a grid, row by row, each made as large as its square tile allows.

    Parameters
    ----------
    pictures
        (H, W, 3) uint8 each; at least one.
    columns
        Tiles in a row, if there are as many pictures.
    tile
        Edge of a tile in pixels.

    Returns
    -------
    (H, W, 3) ndarray of uint8
        Tiles `GAP` apart on black.
    """
    across = min(columns, len(pictures))
    down = math.ceil(len(pictures) / across)
    sheet = np.zeros((down * (tile + GAP) - GAP, across * (tile + GAP) - GAP, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        high, wide = _pixels(picture.shape[:2], (tile, tile), max(picture.shape[:2]))
        top = number // across * (tile + GAP) + (tile - high) // 2
        left = number % across * (tile + GAP) + (tile - wide) // 2
        sheet[top : top + high, left : left + wide] = _resize(picture, high, wide)
    return sheet
