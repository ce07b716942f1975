import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.blocks.grid import Grid
from zoo.data.boxes import cut

EDGES = st.tuples(*[st.integers(1, 30)] * 3)


@given(shape=EDGES, edges=st.tuples(*[st.integers(4, 40)] * 3), seed=st.integers(0, 2**32 - 1))
def test_boxes_and_neighbours_are_those_of_the_list(shape, edges, seed):
    grid, boxes = Grid(shape, edges), cut(shape, edges)
    assert len(grid) == len(boxes)
    assert list(grid) == [grid[number] for number in range(len(grid))] == boxes
    sides = [sorted(np.random.default_rng(seed).choice(n + 1, 2, replace=False)) for n in shape]
    box = tuple(slice(int(a), int(b)) for a, b in sides)
    touched = [
        number
        for number, other in enumerate(boxes)
        if all(a.start < b.stop and b.start < a.stop for a, b in zip(box, other, strict=True))
    ]
    assert grid.touching(box) == touched


def test_a_million_boxes_are_not_looked_at_one_by_one():
    grid = Grid((10_000, 100_000, 100_000), (64, 64, 64))
    number = len(grid) - 1
    assert grid[number] == (slice(9984, 10_000), slice(99_968, 100_000), slice(99_968, 100_000))
    assert grid.touching(grid[number]) == [number]


@pytest.mark.parametrize("number", [-1, 8])
def test_a_number_that_is_not_there_is_an_error(number):
    with pytest.raises(IndexError):
        Grid((20, 20, 20), (10, 10, 10))[number]
