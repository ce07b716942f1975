"""How an image is brought to a network's voxel size and scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.data.movies import fit_image
from zoo.data.normalise import correct_attenuation, scale
from zoo.data.resample import resample, working_shape
from zoo.recipe import Recipe
from zoo.recipe_cell import CellRecipe
from zoo.recipe_detector import DetectorRecipe

HIGHEST = 100.0  # of images scaled so that what is bright is 1: a hot pixel may be beyond what float16 holds


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


def whole_cell(image: np.ndarray, spacing: Sequence[float], recipe: CellRecipe) -> np.ndarray:
    """Bring a whole image to a network's one size; it is cut and scaled as its movie is already.

    Parameters
    ----------
    image : (Z, Y, X)
        Of a movie that :func:`zoo.data.movies.scale` scaled, after :func:`zoo.data.cell.box_to_fit` cut it.
    spacing
        Voxel size (z, y, x) in um; of no matter, as a cell fills its image.
    recipe
        ``size``: (z, y, x) voxels; ``fit``: ``cell``, ``resize`` or ``pad``.

    Returns
    -------
    (Z', Y', X') float32
    """
    return np.clip(fit_image(image, recipe.size, recipe.fit), -HIGHEST, HIGHEST)
