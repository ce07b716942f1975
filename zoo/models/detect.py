"""A Mask R-CNN over the slices of a volume: from an image to cropped masks with scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from zoo import progress
from zoo.data.crops import paste
from zoo.fusion.detections import Detections, none_of
from zoo.prepare import in_plane
from zoo.recipe_detector import DetectorRecipe

AT_ONCE = 8  # slices a pass
MASK = 0.5  # probability from which on a pixel belongs to an object


class Detector:
    """A Mask R-CNN with weights; what it does to a size of slice is traced once.

    Parameters
    ----------
    model
        From :func:`zoo.models.mrcnn.build`.
    recipe
        That the model was built by.
    """

    def __init__(self, model: Any, recipe: DetectorRecipe) -> None:
        self.model, self.recipe = model, recipe
        self.forward = tf.function(self._forward, autograph=False)

    def _forward(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        sizes = tf.constant([images.shape[1:3].as_list()] * images.shape[0], tf.float32)
        found = self.model(images, image_shape=sizes, training=False)
        return {
            "boxes": tf.cast(found["detection_boxes"], tf.float32),
            "scores": tf.cast(found["detection_scores"], tf.float32),
            "masks": tf.cast(found["detection_masks"], tf.float32),
            "counts": found["num_detections"],
        }

    def detect(self, image: np.ndarray, spacing: Sequence[float]) -> list[Detections]:
        """Find the objects of each slice.

        Parameters
        ----------
        image : (Z, Y, X)
            At the microscope's voxels.
        spacing
            Voxel size (z, y, x) in um.

        Returns
        -------
        list of Detections
            One a slice, at the image's voxels, the surest first; those below the recipe's score are left out.
            As many as the recipe's ``most`` in a slice mean that there may be more.
        """
        scaled = in_plane(image, spacing, self.recipe)
        return self.detect_slices(scaled, range(len(scaled)), image.shape[1:])

    def detect_slices(
        self,
        scaled: np.ndarray,
        chosen: Sequence[int],
        shape: tuple[int, int] | None = None,
        part: tuple[tuple[int, int], tuple[int, int]] | None = None,
    ) -> list[Detections]:
        """Find the objects of some slices of a volume on the detector's grid.

        Parameters
        ----------
        scaled : (Z, Y, X)
            From :func:`zoo.prepare.in_plane`.
        chosen
            Indices of the slices.
        shape
            Of the slices that the detections are painted on, (y, x); ``None`` for the detector's grid.
        part
            Where larger slices are seen in part: the first pixel (y, x) of the part, and the shape of the
            whole on the detector's grid; `shape` is the whole's then.
        """
        found: list[Detections] = []
        shape = shape or scaled.shape[1:]
        corner, whole = part or ((0, 0), scaled.shape[1:])
        scale = np.tile(np.divide(shape, whole), 2)
        padded = fit(scaled, self.recipe.multiple)
        for first in progress.parts(range(0, len(chosen), AT_ONCE)):
            some = list(chosen[first : first + AT_ONCE])
            # each other number of slices would be traced anew: a few are worth it only where they are all
            size = AT_ONCE if len(chosen) > AT_ONCE else 1 << (len(some) - 1).bit_length()
            filled = some + some[-1:] * (size - len(some))
            images = np.stack([with_context(padded, z, self.recipe) for z in filled])
            out = {k: v.numpy() for k, v in self.forward(tf.constant(np.moveaxis(images, 1, -1))).items()}
            for i in range(len(some)):
                sure = out["scores"][i, : out["counts"][i]] >= self.recipe.score
                boxes, masks, scores = (
                    out[name][i, : len(sure)][sure] for name in ("boxes", "masks", "scores")
                )
                found.append(_paste((boxes + np.tile(corner, 2)) * scale, masks, scores, shape))
        return found


def fit(image: np.ndarray, multiple: int, least: int = 0) -> np.ndarray:
    """Pad a volume's slices with background, at their far ends, to sizes that a detector takes.

    Mirrored nuclei, which 3-D networks get, would be odd double objects to a detector.

    Parameters
    ----------
    image : (Z, Y, X)
    multiple, least
        What the sizes must be a multiple of, and their least.

    Returns
    -------
    (Z, Y', X') of the image's type
    """
    behind = [-(-max(n, least) // multiple) * multiple - n for n in image.shape[1:]]
    return np.pad(image, [(0, 0), *((0, n) for n in behind)])


def with_context(image: np.ndarray, z: int, recipe: DetectorRecipe) -> np.ndarray:
    """Return a slice and its neighbours, the outermost repeated beyond the volume's ends.

    Parameters
    ----------
    image : (Z, Y, X)
    z
        Index of the slice.
    recipe
        Without context the slice itself fills all channels.

    Returns
    -------
    (channels, Y, X) float32
    """
    half = recipe.channels // 2
    reach = np.arange(-half, half + 1) if recipe.context else np.zeros(recipe.channels, int)
    return image[np.clip(z + reach, 0, len(image) - 1)].astype(np.float32)


def _paste(boxes: np.ndarray, masks: np.ndarray, scores: np.ndarray, shape: tuple[int, int]) -> Detections:
    starts, crops, kept = [], [], []
    for box, mask, score in zip(boxes, masks, scores, strict=True):
        start, probability = paste(mask, box, shape)
        crop = probability >= MASK
        if crop.any():
            starts.append(start)
            crops.append(crop)
            kept.append(score)
    return Detections(np.array(starts, int), tuple(crops), np.array(kept)) if kept else none_of(2)
