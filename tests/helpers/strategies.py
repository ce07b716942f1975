"""Small volumes, masks, labels and voxel sizes for the property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from zoo.fusion.detections import Detections

SEEDS = st.integers(0, 2**32 - 1)
# powers of two: what is multiplied by them is exact, so that equal stays equal
POWERS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
SPACINGS = st.tuples(POWERS, POWERS, POWERS)


def shapes(side: int = 6, least: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes (z, y, x), axes of a single voxel among them."""
    return array_shapes(min_dims=3, max_dims=3, min_side=least, max_side=side)


def masks(side: int = 6) -> st.SearchStrategy[np.ndarray]:
    """Boolean volumes of scattered voxels and of blocks."""
    return shapes(side).flatmap(lambda shape: arrays(bool, shape) | boxes(shape, 1).map(lambda a: a > 0))


def labels(side: int = 5, most: int = 4) -> st.SearchStrategy[np.ndarray]:
    """Label volumes (Z, Y, X) int32 of 0 to `most`, of scattered voxels or of blocks."""
    return shapes(side).flatmap(
        lambda shape: arrays(np.int32, shape, elements=st.integers(0, most)) | boxes(shape, most)
    )


def pairs(side: int = 5, most: int = 4) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Two label volumes of one shape; blocks make for overlaps of all sizes."""
    return shapes(side).flatmap(lambda shape: st.tuples(*[_any(shape, most)] * 2))


def _any(shape: tuple[int, ...], most: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int32, shape, elements=st.integers(0, most)) | boxes(shape, most)


@st.composite
def boxes(draw: st.DrawFn, shape: tuple[int, ...], most: int = 4) -> np.ndarray:
    """Labels (int32) of up to `most` blocks painted one over another, 1 first."""
    found = np.zeros(shape, np.int32)
    for label in range(1, draw(st.integers(0, most)) + 1):
        ends = [sorted(draw(st.tuples(*[st.integers(0, n)] * 2))) for n in shape]
        found[tuple(slice(a, b) for a, b in ends)] = label
    return found


@st.composite
def bricks(draw: st.DrawFn, side: int = 3, edge: int = 3) -> np.ndarray:
    """Labels (int32) of bricks side by side, in scan order: no two have one centre."""
    cells = draw(arrays(bool, draw(shapes(side))))
    numbers = np.where(cells, np.cumsum(cells).reshape(cells.shape), 0).astype(np.int32)
    for axis in range(3):
        widths = draw(st.lists(st.integers(1, edge), min_size=cells.shape[axis], max_size=cells.shape[axis]))
        numbers = np.repeat(numbers, widths, axis)
    return numbers


@st.composite
def detections(draw: st.DrawFn, axes: int, most: int = 5) -> Detections:
    """Up to `most` blocks that may overlap; few places and scores, so that all kinds of ties come up."""
    count = draw(st.integers(0, most))
    starts = draw(arrays(int, (count, axes), elements=st.integers(0, 9), fill=st.nothing()))
    edges = draw(arrays(int, (count, axes), elements=st.integers(1, 4), fill=st.nothing()))
    scores = draw(arrays(np.float32, count, elements=st.sampled_from([0.25, 0.5, 1.0]), fill=st.nothing()))
    return Detections(starts, tuple(np.ones(edge, bool) for edge in edges), scores)


def renumbered(volume: np.ndarray, order: list[int]) -> np.ndarray:
    """Give label i the number ``order[i - 1]``."""
    return np.array([0, *order], volume.dtype)[volume]


def same_parts(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two label volumes have the same objects, whatever their numbers."""
    found = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    background = (found == 0).any(axis=0)
    return bool(
        (found[:, background] == 0).all()
        and all(len(np.unique(side[~background])) == (~background).sum() for side in found)
    )
