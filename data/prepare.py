"""From a microscope's voxels to a network's and back: isotropic resampling and scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import ndimage

from zoo.data.normalise import correct_attenuation, scale


def working_shape(shape: Sequence[int], spacing: Sequence[float], voxel_um: float) -> tuple[int, ...]:
    """Return the shape of a volume resampled to cubes of ``voxel_um``; no axis falls below one voxel."""
    return tuple(max(1, round(n * um / voxel_um)) for n, um in zip(shape, spacing, strict=True))


def resample(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Resample a volume linearly to another shape; both cover the same space edge to edge.

    Parameters
    ----------
    image : (Z, Y, X)
        Booleans count as 0 and 1.
    shape
        Wanted shape, (z, y, x) voxels.

    Returns
    -------
    float32 volume of that shape
    """
    image = np.asarray(image, np.float32)
    shape = tuple(int(n) for n in shape)
    if image.shape == shape:
        return image
    factors = [new / old for new, old in zip(shape, image.shape, strict=True)]
    # grid_mode: voxels are little boxes, so that the volume's faces, not the outer voxels' centres, coincide
    return ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True)


def prepare(
    image: np.ndarray,
    spacing: Sequence[float],
    *,
    voxel_um: float,
    scaling: Literal["percentile", "minmax"],
    attenuation: bool = False,
) -> np.ndarray:
    """Bring an image to a network's voxel size and scale.

    Parameters
    ----------
    image : (Z, Y, X)
    spacing
        Voxel size (z, y, x) in um.
    voxel_um
        Edge of the working voxels in um.
    scaling
        ``percentile`` or ``minmax``.
    attenuation
        Whether to correct the loss of light with depth first.

    Returns
    -------
    (Z', Y', X') float32
    """
    if attenuation:
        image = correct_attenuation(image)
    return scale(resample(image, working_shape(image.shape, spacing, voxel_um)), scaling)
