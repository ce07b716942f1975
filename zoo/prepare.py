"""How an image is brought to a network's voxel size and scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.data.normalise import correct_attenuation, scale
from zoo.data.resample import resample, working_shape
from zoo.recipe import Recipe


def isotropic(image: np.ndarray, spacing: Sequence[float], recipe: Recipe) -> np.ndarray:
    """Resample an image to cubes and scale it, as a recipe says.

    Parameters
    ----------
    image : (Z, Y, X)
    spacing
        Voxel size (z, y, x) in um.
    recipe
        ``voxel_um``: edge of the cubes in um; ``scaling``: ``percentile`` or ``minmax``; ``attenuation``:
        whether the loss of light with depth is corrected first.

    Returns
    -------
    (Z', Y', X') float32
    """
    if recipe.attenuation:
        image = correct_attenuation(image)
    shape = working_shape(image.shape, spacing, recipe.voxel_um)
    return scale(resample(image, shape), recipe.scaling)
