"""What an exported network is shown as an example, and what it should answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data import movies
from zoo.data.normalise import correct_attenuation
from zoo.data.phantom import embryo
from zoo.data.yeast import yeast_movie
from zoo.recipe_cell import CellRecipe
from zoo.segment import Network, predict_probability

MOST = 64  # ours: voxels a side, so that a package has a few megabytes
COARSEST = 2.0  # um


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A volume and what a network makes of it.

    Parameters
    ----------
    image : (Z, Y, X)
        As users have it: grey values, or a frame of a movie that was scaled as a whole.
    prepared : (Z, Y, X) float32
        As the network itself takes it.
    probability : (Z, Y, X) float32
        On the way that segmentation takes, which owes nothing to any export.
    voxel_um
        Edge of the cubic voxels, um; ``None`` where it is of no matter.
    shown, wanted
        What users have to bring, in a few words and as a sentence.
    """

    image: np.ndarray
    prepared: np.ndarray
    probability: np.ndarray
    voxel_um: float | None
    shown: str
    wanted: str


def make_sample(network: Network) -> Sample:
    """Make a synthetic embryo, or a frame of a synthetic movie, and ask the network.

    Parameters
    ----------
    network
        Of Keras 3.

    Returns
    -------
    Sample
        Of the size of the recipe's patch, 64 voxels a side at most.
    """
    entry, recipe = network.entry, network.recipe
    assert entry.prepare is not None, f"{entry.name} has no way to prepare its images"
    if isinstance(recipe, CellRecipe):
        scaled = movies.scale(yeast_movie(frames=1, shape=(24, 48, 48)).image[0], recipe.scaling)
        raw = image = movies.fit_image(scaled, recipe.size, "resize")
        um, at = None, (1.0, 1.0, 1.0)
        size = " x ".join(map(str, recipe.size))
        shown = "a frame of a movie, cut, scaled and resized"
        wanted = (
            f"It takes a frame of a movie that was scaled as a whole ({recipe.scaling}) and brought to "
            f"{size} voxels (z, y, x; {recipe.fit})"
        )
    else:
        um = recipe.voxel_um
        at = (um, um, um)
        # on coarser voxels its nuclei would be too small to be drawn
        drawn = min(um, COARSEST)
        whole = embryo(nuclei=4, shape=(MOST, MOST, MOST), spacing=(drawn, drawn, drawn), debris=0).image
        raw = image = whole[tuple(_middle(min(MOST, edge)) for edge in recipe.patch)]
        shown = f"grey values in cubes of {um:g} um"
        if recipe.attenuation:
            image = correct_attenuation(raw)
            shown += ", corrected for the loss of light with depth"
        wanted = f"It takes {shown}: resample your image first; it is scaled by the package"
    return Sample(
        image=image,
        prepared=entry.prepare.load()(raw, at, recipe),
        probability=predict_probability(network, raw, at),
        voxel_um=um,
        shown=shown,
        wanted=wanted,
    )


def _middle(length: int) -> slice:
    start = (MOST - length) // 2
    return slice(start, start + length)
