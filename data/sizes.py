"""How large the objects of a training are: what its weights are familiar with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.data.datasets import Volume

PERCENTILES = (5, 50, 95)


def across(volumes: Any) -> Any:
    """Return the diameter in um of balls of some volumes, um3."""
    return np.cbrt(np.asarray(volumes, float) * 6 / np.pi)


def diameters(labels: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
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
    voxels = np.unique(labels[labels > 0], return_counts=True)[1]  # of foreground alone, to save memory
    return across(voxels * float(np.prod(spacing)))


def typical(found: np.ndarray) -> float:
    """Return the diameter of the object that the middle foreground voxel lies in.

    Bits of debris count for what they are, few voxels, however many they are.

    Parameters
    ----------
    found : (N,) float
        Diameters, one or more.

    Returns
    -------
    float
        One of them.
    """
    rising = np.sort(found)
    share = np.cumsum(rising**3)
    return float(rising[np.searchsorted(share, share[-1] / 2)])


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


def is_description(found: Any) -> bool:
    """Tell whether something read from elsewhere is what :func:`describe_sizes` returns."""
    if not isinstance(found, dict):
        return False
    values: list[Any] = [found.get("spacing_um"), found.get("diameter_um")]
    if not all(isinstance(three, list) and len(three) == 3 for three in values):
        return False
    return all(isinstance(number, (int, float)) and number > 0 for three in values for number in three)
