"""Objects that one detector found in a slice or a volume: masks cropped to their boxes, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True, slots=True)
class Detections:
    """Cropped masks at their places; a full-size mask for each object is never held.

    Parameters
    ----------
    starts : (N, D) int
        First voxel (y, x) of each mask's box, or (z, y, x) in a volume; a box lies within the image.
    masks
        N boolean arrays of D axes, each with at least one true voxel; they may overlap one another.
    scores : (N,) float
        How sure the detector is, above 0 and at most 1.
    """

    starts: np.ndarray
    masks: tuple[np.ndarray, ...]
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.masks)

    def centroids(self, spacing: Sequence[float]) -> np.ndarray:
        """Return the mean position of each mask's voxels.

        Parameters
        ----------
        spacing
            Voxel size in um, an axis each.

        Returns
        -------
        (N, D) float
            In um from the centre of the image's first voxel.
        """
        means = [np.argwhere(mask).mean(axis=0) for mask in self.masks]
        return (np.array(means).reshape(self.starts.shape) + self.starts) * np.asarray(spacing, float)

    def take(self, chosen: np.ndarray) -> Detections:
        """Return the detections of some indices, in their order."""
        return Detections(self.starts[chosen], tuple(self.masks[i] for i in chosen), self.scores[chosen])

    def boxes(self) -> list[tuple[slice, ...]]:
        """Return where each mask lies in the image."""
        return [
            tuple(
                slice(int(start), int(start) + edge) for start, edge in zip(starts, mask.shape, strict=True)
            )
            for starts, mask in zip(self.starts, self.masks, strict=True)
        ]


def count_shared(one: Detections, i: int, other: Detections, j: int) -> int:
    """Count the voxels that the i-th mask of some and the j-th of others have in common."""
    a, b = one.masks[i], other.masks[j]
    start, start_b = one.starts[i], other.starts[j]
    low = np.maximum(start, start_b)
    high = np.minimum(start + a.shape, start_b + b.shape)
    if (high <= low).any():
        return 0
    in_a, in_b = (
        tuple(slice(*ends) for ends in zip(low - first, high - first, strict=True))
        for first in (start, start_b)
    )
    return int(np.count_nonzero(a[in_a] & b[in_b]))


def none_of(axes: int) -> Detections:
    """Return no detections in an image of so many axes."""
    return Detections(np.zeros((0, axes), int), (), np.zeros(0, np.float32))


def from_labels(labels: np.ndarray, scores: np.ndarray | None = None) -> Detections:
    """Take each object of a label image for a detection.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int
        0 is background; identifiers need not be consecutive.
    scores : (N,) float
        One an object, in the order of their identifiers; ``None`` gives 1 to all.

    Returns
    -------
    Detections
        In the order of the identifiers.
    """
    # find_objects wants a slot for each number up to the largest
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (ids[0] != 0)
    boxes = ndimage.find_objects(dense)
    starts = np.array([[side.start for side in box] for box in boxes], int).reshape(-1, labels.ndim)
    masks = tuple(dense[box] == label for label, box in enumerate(boxes, start=1))
    given = np.ones(len(masks), np.float32) if scores is None else np.asarray(scores, np.float32)
    return Detections(starts, masks, given)


def to_labels(detections: Detections, shape: Sequence[int]) -> np.ndarray:
    """Paint detections into a label image.

    Parameters
    ----------
    detections
        Where masks overlap, the one with the higher score keeps the voxels; of equals the first.
    shape
        Of the image.

    Returns
    -------
    (Y, X) or (Z, Y, X) int32
        Detection i is label i + 1.
    """
    labels = np.zeros(tuple(shape), np.int32)
    boxes = detections.boxes()
    for i in np.argsort(-detections.scores, kind="stable")[::-1]:
        labels[boxes[i]][detections.masks[i]] = i + 1
    return labels


def separate_slices(slices: Sequence[Detections], shape: Sequence[int]) -> np.ndarray:
    """Paint the detections of all slices as objects of their own, none joined over z.

    Parameters
    ----------
    slices
        Detections (y, x) of each slice.
    shape
        (z, y, x) of the volume.

    Returns
    -------
    (Z, Y, X) int32
        No label is in two slices.
    """
    planes = np.stack([to_labels(detections, shape[1:]) for detections in slices])
    before = np.cumsum([0, *(len(detections) for detections in slices[:-1])])[:, None, None]
    return np.where(planes > 0, planes + before, 0).astype(np.int32)
