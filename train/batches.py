"""Training volumes to batches: prepared once, cut and augmented anew each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from scipy import ndimage

from zoo.data import augment
from zoo.data.datasets import Volume
from zoo.data.movies import fit_mask
from zoo.data.resample import resample
from zoo.data.targets import dilate
from zoo.data.tiles import pad_to
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.recipe import Recipe
from zoo.recipe_cell import CellRecipe


@dataclass(frozen=True, slots=True)
class Example:
    """A volume on the network's grid: image (Z, Y, X) float16 and target (Z, Y, X) bool."""

    image: np.ndarray
    target: np.ndarray


def prepare_example(volume: Volume, entry: Entry, recipe: Recipe | CellRecipe) -> Example:
    """Bring a volume and its target to the network's grid.

    Parameters
    ----------
    volume
        Image and truth at the microscope's voxels.
    entry
        Says how an image is prepared; one that finds centres learns the markers, dilated as the recipe says,
        any other the mask.
    recipe
        Voxel size, scaling, dilation and patch; or the one size of whole cells, which may be empty.

    Returns
    -------
    Example
        Mirrored at its faces up to the patch where it is smaller.

    Raises
    ------
    InputError
        Where nothing, or less than half of the markers, is left of the target on the network's grid.
    """
    assert entry.prepare is not None, f"{entry.name} has a network and no way to prepare its images"
    image = entry.prepare.load()(volume.image, volume.spacing, recipe)
    if isinstance(recipe, CellRecipe):
        return Example(image.astype(np.float16), fit_mask(volume.mask, recipe.size, recipe.fit))
    centres = entry.task == "centres"
    truth = dilate(volume.markers, recipe.dilate) if centres else volume.mask
    target = resample(truth, image.shape) >= 0.5
    left, wanted = (ndimage.label(target)[1], ndimage.label(truth)[1]) if centres else (target.any(), 1)
    if left < wanted / 2:
        lost, more = ("markers", " or a larger dilate") if centres else ("nuclei", "")
        raise InputError(
            f"{volume.name}: its {lost} vanish on voxels of {recipe.voxel_um:g} um, as they are smaller: "
            f"--set a smaller voxel_um{more}"
        )
    # float16 halves what stays in memory; 11 bits are more than the noise leaves; hot voxels stay finite
    most = np.finfo(np.float16).max
    image = np.clip(pad_to(image, recipe.patch)[0], -most, most).astype(np.float16)
    return Example(image, pad_to(target, recipe.patch)[0])


class Batches(keras.utils.PyDataset):
    """Crops of the recipe's patch, in a new order each epoch.

    A volume gives as many crops an epoch as patches fit into its size, at least one.

    What a batch holds depends on (seed, epoch, batch) alone, so that a resumed run sees what the
    uninterrupted one would have seen.

    Parameters
    ----------
    examples
        Volumes on the network's grid.
    recipe
        Patch, batch size and augmentation.
    seed
        Of order, crops and augmentation.
    epoch
        Number of the first epoch.
    """

    def __init__(
        self, examples: Sequence[Example], recipe: Recipe | CellRecipe, seed: int, epoch: int = 0
    ) -> None:
        super().__init__()
        self.examples = examples
        self.recipe = recipe
        self.seed = seed
        self.epoch = epoch
        self.change = augment.chosen(recipe.augment)
        size = math.prod(recipe.patch)
        times = [max(1, example.image.size // size) for example in examples]
        self.crops = np.repeat(np.arange(len(examples)), times)

    def __len__(self) -> int:
        return -(-len(self.crops) // self.recipe.batch)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.crops)
        chosen = order[index * self.recipe.batch : (index + 1) * self.recipe.batch]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return _stack([self.change(*_crop(self.examples[i], self.recipe.patch, rng), rng) for i in chosen])

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's order and crops."""
        self.epoch += 1


class WholeVolumes(keras.utils.PyDataset):
    """Validation volumes, uncut and unchanged, mirrored up to the network's multiple, one a batch."""

    def __init__(self, examples: Sequence[Example], multiple: int) -> None:
        super().__init__()
        self.examples = examples
        self.multiple = multiple

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        example = self.examples[index]
        # no more, though a framework may compile for each shape: what is mirrored counts in the scores
        shape = [-(-n // self.multiple) * self.multiple for n in example.image.shape]
        return _stack([(pad_to(example.image, shape)[0], pad_to(example.target, shape)[0])])


def _crop(example: Example, patch: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    starts = [int(rng.integers(n - p + 1)) for n, p in zip(example.image.shape, patch, strict=True)]
    at = tuple(slice(s, s + p) for s, p in zip(starts, patch, strict=True))
    return example.image[at].astype(np.float32), example.target[at]


def _stack(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    images = np.stack([image for image, _ in pairs]).astype(np.float32)
    targets = np.stack([target for _, target in pairs]).astype(np.float32)
    return images[..., None], targets[..., None]
