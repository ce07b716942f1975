"""Members of an ensemble whose detections are drawn by hand."""

import numpy as np

from zoo.fusion.detections import Detections, none_of, to_labels

SHAPE = (60, 60)


def box(start, edges, score=1.0):
    """One detection that fills a box."""
    return np.array(start), np.ones(edges, bool), score


def found(*items, axes=2):
    """A member's detections."""
    if not items:
        return none_of(axes)
    starts, masks, scores = zip(*items, strict=True)
    return Detections(np.array(starts), masks, np.array(scores, np.float32))


def disc(centre, radius=5, score=1.0):
    """A detection of the voxels within a radius of a centre, of any number of axes."""
    centre = np.asarray(centre, float)
    low = np.floor(centre - radius).astype(int)
    reach = np.arange(2 * radius + 2)
    squares = [(reach + start - at) ** 2 for start, at in zip(low, centre, strict=True)]
    return low, sum(np.ix_(*squares)) <= radius**2, score


def labels(fused, shape=SHAPE):
    return to_labels(fused.detections, shape)
