import keras
import numpy as np
import pytest

from zoo.models.norm import GroupNormalization, mean_of


@pytest.fixture(scope="module")
def volumes():
    """Two volumes of three channels, far from 0, each of 131 thousand voxels."""
    return (10 + np.random.default_rng(0).gamma(0.5, 2, (2, 32, 64, 64, 3))).astype(np.float32)


def test_means_of_many_voxels_keep_six_digits(volumes):
    found = keras.ops.convert_to_numpy(mean_of(keras.ops.convert_to_tensor(volumes), (1, 2, 3)))
    assert found.shape == (2, 1, 1, 1, 3)
    np.testing.assert_allclose(found, volumes.astype(np.float64).mean((1, 2, 3), keepdims=True), rtol=2e-6)


def test_each_channel_of_each_volume_is_normalised_by_the_formula(volumes):
    layer = GroupNormalization(epsilon=1e-5)
    layer.build(volumes.shape)
    gamma, beta = np.array([0.5, 1.0, 2.0]), np.array([-1.0, 0.0, 3.0])
    layer.set_weights([gamma, beta])
    exact = volumes.astype(np.float64)
    mean, variance = (f(exact, (1, 2, 3), keepdims=True) for f in (np.mean, np.var))
    expected = gamma * (exact - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(volumes)), expected, rtol=1e-5, atol=1e-4)


def test_in_16_bits_the_means_are_of_32(volumes):
    layer = GroupNormalization(epsilon=1e-5, dtype="mixed_bfloat16")
    half = keras.ops.cast(volumes, "bfloat16")
    found = layer(half)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    exact = keras.ops.convert_to_numpy(keras.ops.cast(half, "float32")).astype(np.float64)
    expected = (exact - exact.mean((1, 2, 3), keepdims=True)) / exact.std((1, 2, 3), keepdims=True)
    found = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
    np.testing.assert_allclose(found, expected, rtol=2**-7, atol=1e-3)


def test_a_copy_by_its_settings_is_the_same(volumes):
    layer = GroupNormalization(epsilon=1e-3)
    copy = GroupNormalization.from_config(layer.get_config())
    np.testing.assert_array_equal(
        *(keras.ops.convert_to_numpy(one(volumes)) for one in (layer, copy)),
    )
