"""How an image is brought to a network's voxel size and scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.data.normalise import correct_attenuation, scale
from zoo.data.resample import resample, working_shape
from zoo.recipe import Recipe
from zoo.recipe_detector import DetectorRecipe


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


def in_plane(image: np.ndarray, spacing: Sequence[float], recipe: DetectorRecipe) -> np.ndarray:
    """Resample an image's slices to square pixels and scale it, as a detector's recipe says.

    Parameters
    ----------
    image : (Z, Y, X)
    spacing
        Voxel size (z, y, x) in um.
    recipe
        ``pixel_um``: edge of the pixels in um; ``scaling``: ``percentile`` or ``minmax``, over all slices.

    Returns
    -------
    (Z, Y', X') float32
    """
    shape = working_shape(image.shape, (recipe.pixel_um, *spacing[1:]), recipe.pixel_um)
    return scale(resample(image, shape), recipe.scaling)


def nearest_in_plane(labels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Resample labels to another shape, each voxel taking the label that its centre lies in.

    Parameters
    ----------
    labels : (Z, Y, X) int
    shape
        Wanted shape, (z, y, x) voxels; both cover the same space edge to edge.
    """
    index = [
        ((np.arange(new) + 0.5) * old / new).astype(int) for old, new in zip(labels.shape, shape, strict=True)
    ]
    return labels[np.ix_(*index)]
