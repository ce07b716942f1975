"""What a detector learns of a slice: a box and a mask for each nucleus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from zoo.data.crops import sample

CROP = 56  # samples a side of a mask target; twice what the detector answers with


@dataclass(frozen=True, slots=True)
class Instances:
    """The objects of a slice.

    Parameters
    ----------
    boxes : (N, 4) float32
        y0, x0, y1, x1 in pixels from the slice's edge; they enclose the objects' pixels whole.
    masks : (N, CROP, CROP) float32
        Sample i lies i / CROP of the box's edge from its start, where Model Garden's sampler looks for it: it
        takes a sample's index for its position, so that samples at i + 0.5 would shift all masks.
    """

    boxes: np.ndarray
    masks: np.ndarray


def instances(labels: np.ndarray, least_area: int) -> Instances:
    """Return the boxes and masks of a slice's objects.

    Parameters
    ----------
    labels : (Y, X) int
        0 is background; identifiers need not be consecutive.
    least_area
        Pixels; smaller slivers, such as the tops of nuclei, are left out.
    """
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (ids[0] != 0)
    boxes, masks = [], []
    for label, place in enumerate(ndimage.find_objects(dense), start=1):
        mask = dense[place] == label
        if np.count_nonzero(mask) < least_area:
            continue
        boxes.append([place[0].start, place[1].start, place[0].stop, place[1].stop])
        rows, columns = (np.arange(CROP) * edge / CROP for edge in mask.shape)
        masks.append(sample(mask, rows, columns))
    return Instances(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(masks, np.float32).reshape(-1, CROP, CROP)
    )
