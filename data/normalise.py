"""Intensities to a common scale: percentile and min-max scaling, bleaching and attenuation correction."""

from __future__ import annotations

from typing import Literal

import numpy as np

LOW, HIGH = 1.0, 99.8  # percent: the darkest voxels are background, a few brightest may be hot pixels


def percentile(image: np.ndarray, low: float = LOW, high: float = HIGH) -> np.ndarray:
    """Scale an image so that two of its percentiles become 0 and 1; nothing is clipped.

    Parameters
    ----------
    image : (Z, Y, X)
        Any real type.
    low, high
        Percent. The result does not change when the image is multiplied by a positive number or a constant
        is added.

    Returns
    -------
    (Z, Y, X) float32
    """
    image = np.asarray(image, np.float32)
    bottom, top = percentiles(image, low, high)
    return (image - np.float32(bottom)) / max(np.float32(top - bottom), np.finfo(np.float32).tiny)


def percentiles(image: np.ndarray, low: float = LOW, high: float = HIGH) -> tuple[float, float]:
    """Return two percentiles of an image, or its extremes where nearly all voxels are alike."""
    bottom, top = (float(value) for value in np.percentile(image, (low, high)))
    return (bottom, top) if top > bottom else (float(image.min()), float(image.max()))


def minmax(image: np.ndarray) -> np.ndarray:
    """Scale an image to 0..1 by its extremes, as the QCANet paper does.

    Parameters
    ----------
    image : (Z, Y, X)

    Returns
    -------
    (Z, Y, X) float32
        Zero everywhere for a constant image.
    """
    image = np.asarray(image, np.float32)
    bottom, top = image.min(), image.max()
    return (image - bottom) / max(top - bottom, np.finfo(np.float32).tiny)


def scale(image: np.ndarray, how: Literal["percentile", "minmax"]) -> np.ndarray:
    """Scale by the name that a recipe holds."""
    return percentile(image) if how == "percentile" else minmax(image)


def correct_attenuation(image: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Bring the bright parts of all slices to one level, against the loss of light with depth.

    Each slice's background (its median) is kept and what is above it is multiplied by a gain; the gain
    follows a straight line fitted to the logarithm of the slices' 99th percentile above background over z,
    as light decays exponentially with depth. Slices without signal do not take part in the fit; the gain is 1
    up to the first slice with signal and stays as it is from the last. A stack that grows brighter with depth
    is left alone.

    Parameters
    ----------
    image : (Z, Y, X)
    strength
        1 undoes the fitted decay, 0 nothing.

    Returns
    -------
    (Z, Y, X) float32
    """
    image = np.asarray(image, np.float32)
    background = np.median(image, axis=(1, 2))
    signal = np.percentile(image, 99, axis=(1, 2)) - background
    lit = signal > 0.1 * signal.max()
    if lit.sum() < 3:
        return image
    first, *_, last = np.flatnonzero(lit)
    # no further: beyond the signal a line says nothing, and its exponential would overflow in a tall stack
    depth = np.arange(len(image)).clip(first, last) - first
    slope, _ = np.polyfit(depth[lit], np.log(signal[lit]), 1)
    gain = np.exp(-strength * min(slope, 0.0) * depth).astype(np.float32)[:, None, None]
    floor = background.astype(np.float32)[:, None, None]
    return image + (image - floor) * (gain - 1)  # a gain of 1 leaves a slice as it is, to the last bit


def correct_bleaching(frames: np.ndarray) -> np.ndarray:
    """Bring all frames of a time series to the brightness of the first.

    Each frame's background (its median) is moved to the first one's and its mean signal above background is
    scaled to the first one's (ratio method; Miura 2020, F1000Research 9:1494). A frame without signal above
    background is only moved, and so are all where the first has none. The total signal is taken to be the
    same in all frames: where the stained volume truly grows, the mean within nuclei falls by the correction.

    Parameters
    ----------
    frames : (T, Z, Y, X)

    Returns
    -------
    (T, Z, Y, X) float32
    """
    frames = np.asarray(frames, np.float32)
    background = np.median(frames, axis=(1, 2, 3), keepdims=True)
    signal = (frames - background).mean(axis=(1, 2, 3), keepdims=True)
    lit = (signal > 0) & (signal[:1] > 0)
    gain = np.where(lit, signal[:1] / np.where(lit, signal, 1), 1)
    return background[:1] + (frames - background) * gain.astype(np.float32)
