import numpy as np
import pytest
from scipy import ndimage as ndi

from zoo.fusion.depth import depth, depth_of_objects

SPACINGS = [(1, 1, 1), (1.75, 0.8, 0.8), (0.3, 1.1, 2)]


def ragged(seed, shape, level):
    return ndi.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5) > level


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", [(17, 19, 23), (1, 30, 31), (40, 3, 1)])
@pytest.mark.parametrize("level", [-0.1, 0.0, 0.05])
def test_depth_is_that_of_scipy_to_the_last_bit(shape, level, spacing):
    mask = ragged(1, shape, level)
    mask.flat[0] = False
    np.testing.assert_array_equal(depth(mask, spacing), ndi.distance_transform_edt(mask, sampling=spacing))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_objects_are_as_deep_as_all_the_foreground_together(seed, spacing):
    mask = ragged(seed, (14, 40, 33), -0.02)
    z, y, x = np.indices(mask.shape)
    # touching labels, cut anywhere, some numbers missing
    labels = np.where(mask, 1 + z // 5 + 5 * (y // 9) + 40 * (x // 15), 0).astype(np.uint8)
    found = depth_of_objects(labels, spacing)
    assert found.dtype == np.float16
    expected = ndi.distance_transform_edt(mask, sampling=spacing)
    np.testing.assert_array_equal(found, expected.astype(np.float16))


def test_background_far_outside_an_object_is_found():
    labels = np.ones((3, 40, 41), np.uint16)
    labels[:, 10:12, 10:12] = 2
    labels[1, 0, 0] = 0
    expected = ndi.distance_transform_edt(labels > 0, sampling=(1, 1, 1))
    np.testing.assert_array_equal(depth_of_objects(labels, (1, 1, 1)), expected.astype(np.float16))


def test_what_lies_around_a_full_volume_is_background():
    full = np.ones((3, 3, 5), np.uint8)
    by_hand = np.ones((3, 3, 5))
    by_hand[1, 1, 1:4] = 2
    np.testing.assert_array_equal(depth(full > 0, (1, 1, 1)), by_hand)
    full[0] = 2
    np.testing.assert_array_equal(depth_of_objects(full, (1, 1, 1)), by_hand)


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4)])
def test_no_objects(shape):
    assert not depth_of_objects(np.zeros(shape, np.uint8), (1, 1, 1)).any()
