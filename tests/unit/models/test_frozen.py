import keras
import numpy as np
import pytest

from zoo.models.frozen import freeze, measure_moments
from zoo.models.unet import build_unet


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    model = build_unet(poolings=2, base=2)
    rng = np.random.default_rng(0)
    for layer in model.layers:  # norms as after a training
        if isinstance(layer, keras.layers.GroupNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


@pytest.fixture(scope="module")
def volume():
    return np.random.default_rng(1).normal(size=(1, 32, 48, 64, 1)).astype(np.float32)


def test_frozen_by_a_whole_volume_it_says_of_that_volume_what_it_said(network, volume):
    frozen = freeze(network, measure_moments(network, volume))
    np.testing.assert_allclose(frozen.predict_on_batch(volume), network.predict_on_batch(volume), atol=2e-6)


def test_the_first_norm_sees_mean_and_variance_of_its_convolution(network, volume):
    first = network.get_layer("down0_norm0")
    seen = keras.Model(network.inputs, first.input).predict_on_batch(volume).astype(np.float64)
    mean, variance = measure_moments(network, volume)["down0_norm0"]
    np.testing.assert_allclose(mean, seen.mean((0, 1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(variance, seen.var((0, 1, 2, 3)), rtol=1e-5)


def test_windows_of_a_sample_are_measured_together(network, volume):
    halves = np.concatenate([volume[:, :16], volume[:, 16:]])
    together = measure_moments(network, halves)["down0_norm0"]
    apart = [measure_moments(network, half[None])["down0_norm0"][0] for half in halves]
    np.testing.assert_allclose(together[0], np.mean(apart, axis=0), atol=1e-6)


def test_a_window_with_margins_says_what_the_whole_says(network, volume):
    frozen = freeze(network, measure_moments(network, volume))
    part = frozen.predict_on_batch(volume[:, :, :44])[0, :, :20]  # 24 voxels beyond what is kept
    np.testing.assert_allclose(part, frozen.predict_on_batch(volume)[0, :, :20], atol=1e-5)
    assert np.abs(network.predict_on_batch(volume[:, :, :44])[0, :, :20] - part).max() > 1e-3


def test_a_network_without_instance_norm_stays_as_it_is(volume):
    model = build_unet(poolings=2, base=2, norm="batch")
    assert measure_moments(model, volume) == {}
    assert freeze(model, {}) is model
