"""The two networks of QCANet and the baseline of its paper, each from a recipe."""

from __future__ import annotations

import keras

from zoo.models.unet import build_unet
from zoo.recipe import Recipe


def build_nsn(recipe: Recipe) -> keras.Model:
    """Build the nuclear segmentation network of Tokuoka et al. 2020.

    (N, Z, Y, X, 1) image, sizes divisible by ``2**poolings``, to (N, Z, Y, X, 2) probabilities of
    (background, nucleus). The paper's size (2 poolings, base 16, kernel 3) has 1,148,674 parameters with
    batch norm.
    """
    return _build(recipe, "qcanet_nsn")


def build_ndn(recipe: Recipe) -> keras.Model:
    """Build the nuclear detection network of Tokuoka et al. 2020.

    (N, Z, Y, X, 1) image, sizes divisible by ``2**poolings``, to (N, Z, Y, X, 2) probabilities of
    (elsewhere, centre marker). The paper's size (4 poolings, base 12, kernel 5) has 44,454,170 parameters
    with batch norm; with kernel 3, as its reproduction chose, 10,838,210.
    """
    return _build(recipe, "qcanet_ndn")


def build_unet3d(recipe: Recipe) -> keras.Model:
    """Build the 3-D U-Net that the QCANet paper compares with.

    As :func:`build_nsn`; the paper's size (3 poolings, base 16) has 4,772,994 parameters with batch norm.
    """
    return _build(recipe, "unet3d")


def _build(recipe: Recipe, name: str) -> keras.Model:
    return build_unet(
        poolings=recipe.poolings, base=recipe.base, kernel=recipe.kernel, norm=recipe.norm, name=name
    )
