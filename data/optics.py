"""What a microscope does to the light of a specimen: blur, depth, fading and camera noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from zoo.errors import InputError

Light = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """A microscope and its camera; the defaults imitate the training volumes of BBBC050.

    Offset, gain, dark level, read noise, attenuation and the rate of hot pixels were measured there (dark
    corners, variance against mean, brightness of nuclei against depth); blur and halo were fitted by eye.

    Attributes
    ----------
    psf
        Standard deviation of the point spread function's core (z, y, x), um.
    halo
        Share of the light, 0 to 1, that goes into out-of-focus haze.
    halo_psf
        Standard deviation of that haze (z, y, x), um.
    attenuation
        Depth at which the light has fallen to 1/e, um; ``math.inf`` for none. Slice 0 is the nearest to the
        objective; in BBBC050 the last one is.
    offset
        Counts of a voxel without light.
    gain
        Counts per photoelectron.
    dark
        Photoelectrons per voxel without light.
    read_noise
        Standard deviation of the camera's read noise, counts.
    hot_pixels
        Share of the voxels, 0 to 1, that show a spike.
    """

    psf: tuple[float, float, float] = (2.0, 0.5, 0.5)
    halo: float = 0.25
    halo_psf: tuple[float, float, float] = (10.0, 4.0, 4.0)
    attenuation: float = 70.0
    offset: float = 99.2
    gain: float = 14.0
    dark: float = 0.6
    read_noise: float = 1.6
    hot_pixels: float = 4e-6

    def __post_init__(self) -> None:
        """Refuse what no microscope has."""
        for name in ("psf", "halo_psf"):
            if len(getattr(self, name)) != 3 or min(getattr(self, name)) < 0:
                raise InputError(
                    f"{name} {getattr(self, name)} must be three widths (z, y, x) of 0 um or more"
                )
        for name in ("halo", "hot_pixels"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} {getattr(self, name)} must be a share, 0 to 1")
        for name in ("attenuation", "gain"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} {getattr(self, name)} must be above 0")
        for name in ("offset", "dark", "read_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} {getattr(self, name)} must be 0 or more")


def spread(light: Light, spacing: Sequence[float], optics: Optics) -> Light:
    """Blur light by a point spread function and dim it with depth.

    Parameters
    ----------
    light
        (Z, Y, X) float. Emitted light, counts.
    spacing
        Voxel size (z, y, x) in um.
    optics
        The microscope.

    Returns
    -------
    (Z, Y, X) float32
        Light that reaches the camera, counts; nothing comes from outside the volume.

    Notes
    -----
    Two Gaussians, a narrow core and a wide halo, stand for the point spread function; a measured one has
    rings and a cone of light that this has not.
    """
    emitted = light.astype(np.float32)
    focused = ndi.gaussian_filter(emitted, np.divide(optics.psf, spacing), mode="constant")
    if optics.halo:
        haze = ndi.gaussian_filter(emitted, np.divide(optics.halo_psf, spacing), mode="constant")
        focused += np.float32(optics.halo) * (haze - focused)
    depth = np.arange(light.shape[0]) * spacing[0]
    focused *= np.exp(-depth / optics.attenuation).astype(np.float32)[:, None, None]
    return focused


def expose(light: Light, optics: Optics, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Record light with an electron-multiplying camera.

    Parameters
    ----------
    light
        (Z, Y, X) float. Light that reaches the camera, counts of 0 or more.
    optics
        The camera.
    rng
        Source of the noise.

    Returns
    -------
    (Z, Y, X) uint16
        Counts, cut at 65,535.

    Notes
    -----
    Photoelectrons are Poisson; each is multiplied by a random, exponentially distributed factor, so that
    their sum is gamma distributed, of twice Poisson's variance; read noise is normal. Source: Hirsch et al.
    2013, PLoS ONE 8:e53671; clock-induced charge, apart there, is part of `dark` here.
    """
    electrons = rng.poisson(light / optics.gain + optics.dark)
    counts = rng.standard_gamma(electrons) * optics.gain
    counts += rng.normal(optics.offset, optics.read_noise, light.shape)
    spikes = rng.integers(0, max(light.size, 1), rng.binomial(light.size, optics.hot_pixels))
    # Most are of a few hundred counts, one in BBBC050 is of 10,595: a distribution with a heavy tail
    counts.ravel()[spikes] += 200 * (1 + rng.pareto(1.5, len(spikes)))
    return np.rint(counts).clip(0, np.iinfo(np.uint16).max).astype(np.uint16)
