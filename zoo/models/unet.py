"""One 3-D U-Net builder for every segmentation network of the zoo."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import layers

from zoo.models.norm import GroupNormalization

Norm = Literal["instance", "batch"]

# Chainer's defaults for the published code's batch norm; Keras' own are 1e-3 and 0.99.
BATCH_NORM = {"epsilon": 2e-5, "momentum": 0.9}


def build_unet(
    *,
    poolings: int,
    base: int,
    kernel: int = 3,
    norm: Norm = "instance",
    classes: int = 2,
    name: str = "unet",
) -> keras.Model:
    """Build a 3-D U-Net of convolution pairs ``c, 2c``.

    Each level holds two convolution-norm-ReLU steps, the second with twice the filters of the first; levels
    are joined by max-pooling of 2 on the way down and transposed convolutions of 2 on the way up, and the
    features of the way down are concatenated on the way up.

    Parameters
    ----------
    poolings
        How often the volume is halved; the spatial sizes of the input must be divisible by ``2**poolings``.
    base
        Filters of the first convolution.
    kernel
        Edge of the convolution kernels, in voxels; "same" padding.
    norm
        ``"instance"``: each channel of each volume by its own mean and deviation, the same in training and
        inference. ``"batch"``: the paper's batch norm (epsilon 2e-5, momentum 0.9).
    classes
        Channels of the output.
    name
        Name of the model.

    Returns
    -------
    keras.Model
        (N, Z, Y, X, 1) float to (N, Z, Y, X, classes) float32 probabilities (softmax over the last axis),
        with Z, Y, X free.

    Notes
    -----
    After Cicek et al. 2016 (3D U-Net) as used by Tokuoka et al. 2020. The QCANet paper prints kernel 5,
    padding 1 and stride 1, which would shrink every level by two voxels; we pad "same".
    """
    inputs = keras.Input((None, None, None, 1), name="image")
    x = inputs
    skips = []
    for level in range(poolings):
        x = _conv_pair(x, base * 2**level, base * 2 ** (level + 1), kernel, norm, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling3D(2, name=f"pool{level}")(x)
    x = _conv_pair(x, base * 2**poolings, base * 2 ** (poolings + 1), kernel, norm, "bottom")
    for level in reversed(range(poolings)):
        filters = base * 2 ** (level + 1)
        x = layers.Conv3DTranspose(2 * filters, 2, strides=2, name=f"up{level}_grow")(x)
        x = layers.Concatenate(name=f"up{level}_join")([x, skips[level]])
        x = _conv_pair(x, filters, filters, kernel, norm, f"up{level}")
    logits = layers.Conv3D(classes, 1, name="logits")(x)
    # float32 whatever the policy: a softmax in 16 bits rounds small probabilities away
    outputs = layers.Softmax(dtype="float32", name="probability")(logits)
    return keras.Model(inputs, outputs, name=name)


def _conv_pair(x: Any, first: int, second: int, kernel: int, norm: Norm, name: str) -> Any:
    for step, filters in enumerate((first, second)):
        x = layers.Conv3D(filters, kernel, padding="same", name=f"{name}_conv{step}")(x)
        x = _normalise(norm, f"{name}_norm{step}")(x)
        x = layers.ReLU(name=f"{name}_relu{step}")(x)
    return x


def _normalise(norm: Norm, name: str) -> layers.Layer:
    if norm == "batch":
        return layers.BatchNormalization(**BATCH_NORM, name=name)
    return GroupNormalization(epsilon=1e-5, name=name)
