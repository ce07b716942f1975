import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import registry
from zoo.blocks.view import View
from zoo.data.resample import resample, working_shape
from zoo.data.tiles import pad_to_multiple

UM = (1.75, 0.8, 0.8)


@pytest.fixture(scope="module", params=["qcanet_nsn", "qcanet_ndn"])
def recipe(request):
    return registry.get(request.param).recipes["default"]


@given(shape=st.tuples(*[st.integers(2, 40)] * 3), seed=st.integers(0, 2**32 - 1))
def test_a_box_of_the_padded_grid_is_that_of_the_whole_prepared(recipe, shape, seed):
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=shape).astype(np.float32)
    whole, _ = pad_to_multiple(resample(volume, working_shape(shape, UM, recipe.voxel_um)), recipe.multiple)
    view = View.of(shape, UM, recipe)
    assert view.padded == whole.shape
    sides = [sorted(rng.choice(n + 1, 2, replace=False)) for n in whole.shape]
    box = tuple(slice(int(a), int(b)) for a, b in sides)
    found = view.read(lambda part: volume[part], box)
    np.testing.assert_allclose(found, whole[box], atol=1e-5)


@given(shape=st.tuples(*[st.integers(2, 40)] * 3), seed=st.integers(0, 2**32 - 1))
def test_a_map_comes_back_as_the_whole_one_does_and_reads_no_more_than_is_needed(recipe, shape, seed):
    rng = np.random.default_rng(seed)
    view = View.of(shape, UM, recipe)
    probability = rng.random(view.padded).astype(np.float32)
    unpadded = probability[tuple(slice(b, b + n) for b, n in zip(view.before, view.shape, strict=True))]
    sides = [sorted(rng.choice(n + 1, 2, replace=False)) for n in shape]
    box = tuple(slice(int(a), int(b)) for a, b in sides)
    allowed = view.needed(box)

    def read(part):
        assert all(a.start >= b.start and a.stop <= b.stop for a, b in zip(part, allowed, strict=True))
        return probability[part]

    np.testing.assert_allclose(view.back(read, box), resample(unpadded, shape)[box], atol=1e-5)


def test_windows_start_and_end_where_poolings_do(recipe):
    view = View.of((100, 300, 200), UM, recipe)
    for core in view.windows((64, 64, 64)):
        for side, last in zip(view.window(core), view.padded, strict=True):
            assert side.start % recipe.multiple == 0
            assert side.stop % recipe.multiple == 0 or side.stop == last
