import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.tally import Tally


@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-3, 1.0, 300.0, 1e6]),
    shift=st.sampled_from([0.0, -500.0, 100.0]),
    pieces=st.integers(1, 7),
)
def test_percentiles_are_those_of_all_pieces_together(seed, scale, shift, pieces):
    values = (np.random.default_rng(seed).normal(size=997) * scale + shift).astype(np.float32)
    tally = Tally()
    for piece in np.array_split(values, pieces):
        tally.add(piece)
    low, high = tally.percentiles(1, 99.8)
    for found, percent in ((low, 1), (high, 99.8)):
        # between the neighbours in rank, give or take a step of 1/4096 of the value
        rank = percent / 100 * (len(values) - 1)
        near = np.sort(values)[[int(np.floor(rank)), int(np.ceil(rank))]]
        step = np.abs(near).max() / 4096
        assert near[0] - step <= found <= near[1] + step
    assert (tally.low, tally.high) == (values.min(), values.max())


def test_percentiles_of_many_values_are_close_to_those_of_numpy():
    values = np.random.default_rng(0).gamma(2.0, 40.0, 200_000).astype(np.float32) + 100
    tally = Tally()
    tally.add(values.reshape(20, 100, 100))
    assert tally.percentiles(1, 50, 99.8) == pytest.approx(np.percentile(values, (1, 50, 99.8)), rel=1e-4)


def test_one_value_is_all_of_its_percentiles():
    tally = Tally()
    tally.add(np.full((2, 3, 4), 7.0, np.float32))
    assert tally.percentiles(0, 50, 100) == (7, 7, 7)


def test_signs_and_zero_stay_in_order():
    tally = Tally()
    tally.add(np.array([-3, -1, 0, 0, 2], np.float32))
    assert tally.percentiles(0, 25, 50, 100) == pytest.approx((-3, -1, 0, 2), abs=1e-3)
