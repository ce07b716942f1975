"""Instance normalisation whose means keep their digits."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


def mean_of(x: Any, axes: tuple[int, ...]) -> Any:
    """Return the mean over axes, one after the other from the last.

    TensorFlow adds all values of a channel one by one in float32 on a CPU: of a million voxels, a variance
    is then wrong in its fourth digit. Sums over one axis at a time are short: they keep six digits, and take
    no longer.

    Parameters
    ----------
    x
        Float tensor.
    axes
        Axes, which stay as axes of length 1.

    Returns
    -------
    Tensor
        The means.
    """
    for axis in sorted(axes, reverse=True):
        x = ops.mean(x, axis, keepdims=True)
    return x


class GroupNormalization(layers.GroupNormalization):
    """Keras' group normalisation with one group a channel, i.e. instance norm, by :func:`mean_of`.

    It has its parent's name because Keras' weights files tell layers by the names of their classes.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "groups": -1, "axis": -1})

    def call(self, inputs: Any) -> Any:
        """Normalise each channel of each volume, in float32 whatever the policy.

        Parameters
        ----------
        inputs
            (N, Z, Y, X, C) tensor.

        Returns
        -------
        Tensor
            (N, Z, Y, X, C), of the inputs' type.
        """
        x = ops.cast(inputs, "float32")
        axes = tuple(range(1, len(x.shape) - 1))
        mean = mean_of(x, axes)
        variance = mean_of(ops.square(x - mean), axes)
        scale = ops.cast(self.gamma, "float32") * ops.rsqrt(variance + self.epsilon)
        return ops.cast(x * scale + (ops.cast(self.beta, "float32") - mean * scale), inputs.dtype)
