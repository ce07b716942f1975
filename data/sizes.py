"""How large the objects of a training are: what its weights are familiar with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.data.datasets import Volume
from zoo.data.io import Spacing

PERCENTILES = (5, 50, 95)


def diameters(labels: np.ndarray, spacing: Spacing) -> np.ndarray:
    """Return the diameter of each object: that of the ball of its volume.

    Parameters
    ----------
    labels : (Z, Y, X) int
        0 is background.
    spacing
        Voxel size (z, y, x) in um.

    Returns
    -------
    (N,) float
        um, in the order of the labels.
    """
    voxels = np.bincount(labels.ravel())[1:]
    return np.cbrt(voxels[voxels > 0] * float(np.prod(spacing)) * 6 / np.pi)


def describe_sizes(volumes: Sequence[Volume]) -> dict[str, Any]:
    """Describe the objects of a training.

    Parameters
    ----------
    volumes
        With one object or more among them.

    Returns
    -------
    dict
        ``spacing_um``: median voxel size (z, y, x); ``diameter_um``: the 5th, 50th and 95th percentile of the
        objects' diameters.
    """
    found = np.concatenate([diameters(volume.labels, volume.spacing) for volume in volumes])
    return {
        "spacing_um": [round(float(n), 3) for n in np.median([v.spacing for v in volumes], axis=0)],
        "diameter_um": [round(float(n), 2) for n in np.percentile(found, PERCENTILES)],
    }
