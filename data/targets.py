"""What the networks learn: masks and centre markers, from instance labels or from a data set's own files."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

FACES = ndimage.generate_binary_structure(3, 1)
MARKER_RADIUS = 2  # voxels; the 33-voxel balls of BBBC050's GroundTruth_NDN


def ball(radius: int) -> np.ndarray:
    """Return a (2r+1)-cube that is true where the voxel's centre lies within ``radius`` voxels."""
    z, y, x = np.ogrid[tuple(slice(-radius, radius + 1) for _ in range(3))]
    return z * z + y * y + x * x <= radius * radius


def nuclear_centres(labels: np.ndarray) -> np.ndarray:
    """Return one voxel inside each object, the one nearest to its centroid.

    Parameters
    ----------
    labels : (Z, Y, X) int
        0 is background; identifiers need not be consecutive.

    Returns
    -------
    centres : (N, 3) int
        Voxel index (z, y, x), in the order of the labels; N may be 0.
    """
    ids, dense = np.unique(
        labels, return_inverse=True
    )  # find_objects wants a slot for each number up to the largest
    dense = dense.reshape(labels.shape) + (ids[0] != 0)
    centres = []
    for label, box in enumerate(ndimage.find_objects(dense), start=1):
        voxels = np.argwhere(dense[box] == label)
        nearest = ((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1).argmin()
        centres.append(voxels[nearest] + [side.start for side in box])
    return np.array(centres, int).reshape(-1, 3)


def markers_from_labels(labels: np.ndarray, radius: int = MARKER_RADIUS) -> np.ndarray:
    """Put a ball into the centre of each object.

    Parameters
    ----------
    labels : (Z, Y, X) int
    radius
        In voxels. A ball is cut where it would leave its object, and of two that touch over a face the one
        with the lower number steps back, but none from its own centre: so each object keeps a marker, unless
        the centres themselves are neighbours, as those of single voxels may be.

    Returns
    -------
    (Z, Y, X) bool
    """
    margin = radius + 1
    padded = np.pad(labels, margin)
    out = np.zeros(padded.shape, bool)
    shape = ball(radius)
    centres = nuclear_centres(labels) + margin
    for z, y, x in centres:
        box = tuple(slice(at - radius, at + radius + 1) for at in (z, y, x))
        out[box] |= shape & (padded[box] == padded[z, y, x])
    # the voxels beside a centre that are another's step back, unless they are its centre
    sides = centres[:, None] + (np.argwhere(FACES) - 1)
    foreign = padded[tuple(centres.T)][:, None] != padded[tuple(sides.T)].T
    out[tuple(sides[foreign].T)] = False
    out[tuple(centres.T)] = True
    markers = out[tuple(slice(margin, margin + n) for n in labels.shape)]
    owned = np.where(markers, labels, 0)
    return markers & (ndimage.maximum_filter(owned, footprint=FACES) == owned)


def dilate(markers: np.ndarray, steps: int) -> np.ndarray:
    """Grow markers by one voxel a step over faces; 0 steps return them as they are.

    Markers that come to touch are not kept apart: dilation is by one or two voxels, nuclei are larger.
    """
    if steps == 0:
        return markers
    return ndimage.binary_dilation(markers, FACES, iterations=steps)
