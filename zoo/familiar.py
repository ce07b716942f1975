"""Whether an image is like those that weights were trained on, and how to make it so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.data.sizes import across, typical
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


def other_voxels(spacing: Sequence[float], objects: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Say where an image's voxels are not like those trained on.

    Parameters
    ----------
    spacing
        Voxel size (z, y, x) of the image, um.
    objects
        What the weights were trained on, as :func:`zoo.data.sizes.describe_sizes` says; ``None`` for unknown.

    Returns
    -------
    tuple of str
        A sentence, or none.
    """
    if not objects:
        return ()
    trained = objects["spacing_um"]
    ratios = np.array(spacing) / trained
    if ratios.min() >= 1 / FACTOR and ratios.max() <= FACTOR:
        return ()
    return (
        f"voxels of {_edges(spacing)} um, and the weights were trained on {_edges(trained)} um: check "
        "that the voxel size is right (--spacing Z Y X)",
    )


def other_sizes(found: np.ndarray, objects: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Say where the objects of an image are not like those trained on.

    Parameters
    ----------
    found : (N,) float
        Their diameters, um.
    objects
        As of `other_voxels`.

    Returns
    -------
    tuple of str
        A sentence, or none.
    """
    if not objects or not len(found):
        return ()
    low, _, high = objects["diameter_um"]
    if low / FACTOR <= typical(found) <= high * FACTOR:
        return ()
    size = f"{typical(found):.3g}"
    return (
        f"the objects found are about {size} um across, and the weights were trained on {low:g} to "
        f"{high:g} um: --diameter {size}, or what you measure, shows them to the networks at that size",
    )


def left_out(min_volume: float) -> str:
    """Say that some objects were too small; the same for all images, which is told but once."""
    shown = f"{float(f'{min_volume:.3g}'):,g}"
    return (
        f"objects of less than {shown} um3, a ball {across(min_volume):.3g} um across, "
        "were left out: --min-volume sets another least"
    )


def _edges(spacing: Sequence[float]) -> str:
    return " x ".join(f"{edge:g}" for edge in spacing)
