"""Images, labels and files of data sets that take no time."""

import numpy as np
import tifffile

SHAPE = (6, 10, 12)
UM = (2.0, 0.5, 0.5)


def image(seed=0):
    return np.random.default_rng(seed).integers(90, 900, SHAPE).astype(np.uint16)


def labels():
    """Two objects that touch over a face, and a third apart."""
    found = np.zeros(SHAPE, np.uint8)
    found[1:4, 1:5, 1:5] = 3
    found[1:4, 1:5, 5:9] = 8
    found[4:6, 7:10, 7:10] = 1
    return found


def put(path, array):
    """A plain TIFF without a voxel size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, array)


def names(samples):
    return [sample.name for sample in samples]
