"""Boxes in a volume: how it is cut into them, and what lies around one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

Box = tuple[slice, slice, slice]
Shape = tuple[int, int, int]


def cut(shape: Sequence[int], edges: Sequence[int]) -> list[Box]:
    """Cut a volume into boxes of one size, those at its far faces being what is left.

    Parameters
    ----------
    shape, edges
        (z, y, x) voxels.

    Returns
    -------
    list of (z, y, x) slices
        In scan order.
    """
    sides = [
        [slice(start, min(start + edge, n)) for start in range(0, n, edge)]
        for n, edge in zip(shape, edges, strict=True)
    ]
    return [(z, y, x) for z, y, x in product(*sides)]


def grown(box: Sequence[slice], voxels: Sequence[int], shape: Sequence[int]) -> Box:
    """Widen a box by some voxels (z, y, x) on either side, within a volume."""
    z, y, x = (
        slice(max(side.start - more, 0), min(side.stop + more, length))
        for side, more, length in zip(box, voxels, shape, strict=True)
    )
    return z, y, x


def moved(box: Sequence[slice], by: Sequence[int]) -> Box:
    """Move a box by some voxels (z, y, x)."""
    z, y, x = (slice(side.start + step, side.stop + step) for side, step in zip(box, by, strict=True))
    return z, y, x


def inside(box: Sequence[slice], outer: Sequence[slice]) -> Box:
    """Tell where a box lies in another one that holds it."""
    return moved(box, [-side.start for side in outer])


def size(box: Sequence[slice]) -> Shape:
    """Return how many voxels (z, y, x) a box has along each axis."""
    z, y, x = (side.stop - side.start for side in box)
    return z, y, x
