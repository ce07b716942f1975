"""Whether an image is like those that weights were trained on, and how to make it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.data.sizes import diameters
from zoo.errors import InputError

FACTOR = 1.5  # voxels and objects that differ by less are not worth a word


def rescaled(
    spacing: Sequence[float], diameter: float, objects: Mapping[str, Any] | None
) -> tuple[float, float, float]:
    """Return the voxel size at which objects of some diameter look as large as those trained on.

    Parameters
    ----------
    spacing
        Voxel size (z, y, x) in um.
    diameter
        Of the image's objects, um.
    objects
        What the weights were trained on, as :func:`zoo.data.sizes.describe_sizes` says.

    Returns
    -------
    (z, y, x)
        um.

    Raises
    ------
    InputError
        Where the weights do not tell what they were trained on.
    """
    if not objects:
        raise InputError(
            "these weights do not tell the size of what they were trained on: leave --diameter out"
        )
    factor = objects["diameter_um"][1] / diameter
    z, y, x = (edge * factor for edge in spacing)
    return z, y, x


def unfamiliar(
    spacing: Sequence[float], labels: np.ndarray, objects: Mapping[str, Any] | None, diameter: float | None
) -> tuple[str, ...]:
    """Say where an image's voxels, or the objects found in it, are not like those trained on.

    Parameters
    ----------
    spacing
        Voxel size (z, y, x) of the image, um.
    labels : (Z, Y, X) int
        What was found.
    objects
        What the weights were trained on, as :func:`zoo.data.sizes.describe_sizes` says; ``None`` for unknown.
    diameter
        What a user said of the objects, um; ``None`` for nothing.

    Returns
    -------
    tuple of str
        A sentence each.
    """
    if not objects or diameter is not None:
        return ()
    trained = objects["spacing_um"]
    notes = []
    ratios = np.array(spacing) / trained
    if ratios.max() > FACTOR or ratios.min() < 1 / FACTOR:
        notes.append(
            f"voxels of {_edges(spacing)} um, and the weights were trained on {_edges(trained)} um: check "
            "that the voxel size is right (--spacing Z Y X)"
        )
    found = diameters(labels, (float(spacing[0]), float(spacing[1]), float(spacing[2])))
    low, _, high = objects["diameter_um"]
    if len(found) and not low / FACTOR <= np.median(found) <= high * FACTOR:
        size = f"{np.median(found):.3g}"
        notes.append(
            f"the objects found are {size} um across (median), and the weights were trained on {low:g} to "
            f"{high:g} um: --diameter {size}, or what you measure, shows them to the networks at that size"
        )
    return tuple(notes)


def _edges(spacing: Sequence[float]) -> str:
    return " x ".join(f"{edge:g}" for edge in spacing)
