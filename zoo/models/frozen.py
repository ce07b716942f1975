"""A network whose instance norm uses the statistics of a whole volume while it sees only a window of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from zoo.models.norm import mean_of

Moments = Mapping[str, tuple[np.ndarray, np.ndarray]]


def measure_moments(model: keras.Model, sample: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Measure what each instance norm of a network sees in a sample of a volume.

    The mean and the variance of each channel, over all windows of the sample together, each norm working with
    these while those after it are measured. Where the sample is the whole volume, they are what the
    network itself takes.

    Parameters
    ----------
    model
        Of :func:`zoo.models.unet.build_unet`.
    sample : (N, Z, Y, X, 1) float32
        Windows of a prepared volume.

    Returns
    -------
    dict
        Name of the layer to mean and variance, (channels,) each; empty for a network without instance norm.
    """
    norms = [layer for layer in model.layers if isinstance(layer, layers.GroupNormalization)]
    if not norms:
        return {}
    pooled = _swapped(model, lambda layer: _PooledNorm(layer.epsilon, name=layer.name))
    seen = {layer.name: _moments(pooled.get_layer(layer.name).input) for layer in norms}
    found = keras.Model(pooled.inputs, seen).predict_on_batch(sample)
    return {name: (np.asarray(mean), np.asarray(variance)) for name, (mean, variance) in found.items()}


def freeze(model: keras.Model, moments: Moments) -> keras.Model:
    """Return a network whose norms take given means and variances, whatever they see.

    Parameters
    ----------
    model
        As for `measure_moments`.
    moments
        What that returned.

    Returns
    -------
    keras.Model
        Of the same inputs and outputs. What it says of a voxel depends on the voxels around it alone.
    """
    if not moments:
        return model
    return _swapped(model, lambda layer: _FixedNorm(*moments[layer.name], layer.epsilon, name=layer.name))


def _swapped(model: keras.Model, norm: Any) -> keras.Model:
    """Copy a network with other norms, which have its weights."""

    def copy(layer: Any) -> Any:
        if isinstance(layer, layers.GroupNormalization):
            return norm(layer)
        return layer.__class__.from_config(layer.get_config())

    other = keras.models.clone_model(model, clone_function=copy)
    other.set_weights(model.get_weights())
    return other


def _moments(x: Any) -> tuple[Any, Any]:
    axes = tuple(range(len(x.shape) - 1))
    mean = mean_of(x, axes)
    variance = mean_of(ops.square(x - mean), axes)
    return ops.reshape(mean, (-1,)), ops.reshape(variance, (-1,))


class _Norm(layers.Layer):
    """Scale and offset by channel, in the order in which GroupNormalization holds them."""

    def __init__(self, epsilon: float, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, shape: Any) -> None:
        self.gamma = self.add_weight(name="gamma", shape=shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape[-1:], initializer="zeros")

    def _apply(self, x: Any, mean: Any, variance: Any) -> Any:
        scale = self.gamma / ops.sqrt(variance + self.epsilon)
        return x * scale + (self.beta - mean * scale)


class _PooledNorm(_Norm):
    def call(self, x: Any) -> Any:
        return self._apply(x, *_moments(x))


class _FixedNorm(_Norm):
    def __init__(self, mean: np.ndarray, variance: np.ndarray, epsilon: float, **options: Any) -> None:
        super().__init__(epsilon, **options)
        self.mean, self.variance = mean, variance

    def call(self, x: Any) -> Any:
        return self._apply(x, self.mean, self.variance)
