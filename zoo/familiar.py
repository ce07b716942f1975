"""Whether an image is like those that weights were trained on, and how to make it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.data.sizes import diameters, typical
from zoo.errors import InputError

FACTOR = 1.5  # voxels and objects that differ by less are not worth a word
MOST = 8.0  # times that an image is shown larger or smaller


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
        Where the weights do not tell what they were trained on, or that is too far away.
    """
    z, y, x = (edge * magnification(diameter, objects) for edge in spacing)
    return z, y, x


def magnification(diameter: float, objects: Mapping[str, Any] | None) -> float:
    """Return how many times larger an image's objects must be shown.

    Parameters and errors as of :func:`rescaled`.
    """
    if not objects:
        raise InputError(
            "these weights do not tell the size of what they were trained on: leave --diameter out"
        )
    trained = float(objects["diameter_um"][1])
    if not 1 / MOST <= trained / diameter <= MOST:
        raise InputError(
            f"--diameter {diameter:g} is too far from the {trained:g} um that the weights were trained on: "
            f"give {trained / MOST:.3g} to {trained * MOST:.3g}, or train on your own data"
        )
    return trained / diameter


def unfamiliar(
    spacing: Sequence[float], labels: np.ndarray, objects: Mapping[str, Any] | None, diameter: float | None
) -> tuple[str, ...]:
    """Say where an image's voxels, or the objects found in it, are not like those trained on.

    Parameters
    ----------
    spacing
        Voxel size (z, y, x) of the image, um.
    labels : (Z, Y, X) int
        What was found, whatever its size.
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
    if len(found) and not low / FACTOR <= typical(found) <= high * FACTOR:
        size = f"{typical(found):.3g}"
        notes.append(
            f"the objects found are about {size} um across, and the weights were trained on {low:g} to "
            f"{high:g} um: --diameter {size}, or what you measure, shows them to the networks at that size"
        )
    return tuple(notes)


def _edges(spacing: Sequence[float]) -> str:
    return " x ".join(f"{edge:g}" for edge in spacing)
