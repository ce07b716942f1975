"""How an ensemble voted on one slice: each member's detections, their clusters, and what was fused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from zoo.errors import InputError
from zoo.evaluate import pictures

Array = np.ndarray[Any, Any]

DROPPED = (165, 165, 165)
_SIZE = 384  # pixels of a panel that a slice is enlarged towards, so that outlines are finer than its pixels
_DASH = 3
_TINT = 0.45
_CROSS = ndimage.generate_binary_structure(2, 1)


def vote_panels(image: Array, members: Mapping[str, tuple[Array, Array]], fused: Array) -> dict[str, Array]:
    """Paint the vote of an ensemble on one slice, for the panels of a report.

    A cluster has one colour in all panels, that of its number among the labels of the report. Detections
    that no cluster kept are dashed in grey.

    Parameters
    ----------
    image
        (Y, X) intensities, finite.
    members
        By name: (Y, X) integer labels, detection i being label i + 1, and (n,) int, the cluster of each
        detection: an index into the fused objects, or -1 where it was dropped.
    fused
        (Y, X) integer labels of the fused masks; cluster k is label k + 1.

    Returns
    -------
    dict of str to (H, W, 3) ndarray of uint8
        Each member's outlines, the outlines of all members, and the fused masks, by caption. Slices smaller
        than a panel are enlarged by a whole number.

    Raises
    ------
    InputError
        If the image is not 2-D, shapes differ, or a detection has no cluster number.
    """
    _check(image, members, fused)
    levels = _enlarged(pictures.grey_levels(image)[0])
    grey = pictures.GREY[levels // 2]
    painted: dict[str, Array] = {}
    every = grey.copy()
    drawn = [(name, _enlarged(labels), clusters) for name, (labels, clusters) in members.items()]
    for name, labels, clusters in drawn:
        painted[f"{name}, detections: {len(clusters)}"] = _outlined(grey, labels, clusters)
        every = _outlined(every, labels, clusters)
    found, dropped = np.count_nonzero(np.unique(fused)), sum((c < 0).sum() for _, _, c in drawn)
    painted[f"All members, a colour each cluster; dashed: {dropped} dropped"] = every
    painted[f"Fused masks: {found}"] = _filled(grey, _enlarged(fused))
    return painted


def _check(image: Array, members: Mapping[str, tuple[Array, Array]], fused: Array) -> None:
    if image.ndim != 2 or image.size == 0:
        raise InputError(f"the image (shape {image.shape}) must be a slice (y, x) with pixels")
    shapes = {"fused": fused.shape, **{name: labels.shape for name, (labels, _) in members.items()}}
    for name, shape in shapes.items():
        if shape != image.shape:
            raise InputError(
                f"labels of {name} (shape {shape}) must have the shape of the image, {image.shape}: give "
                "those of the same slice"
            )
    for name, (labels, clusters) in members.items():
        if labels.max() > len(clusters):
            raise InputError(
                f"{name} has the detection {labels.max()} but {len(clusters)} cluster numbers: give one for "
                "each detection, -1 where it was dropped"
            )


def _enlarged(plane: Array) -> Array:
    times = max(1, _SIZE // max(plane.shape))
    return plane.repeat(times, axis=0).repeat(times, axis=1)


def _outlined(picture: Array, labels: Array, clusters: Array) -> Array:
    """Draw the rim of each detection in the colour of its cluster, dashed in grey where it has none."""
    colours = _with_background(np.where(clusters[:, None] < 0, DROPPED, pictures.label_colours(clusters + 1)))
    dashed = _with_background(clusters < 0)[labels]
    rows, columns = np.indices(labels.shape) // _DASH
    rim = _rim(labels) & ~(dashed & ((rows + columns) % 2 == 1))
    outlined = picture.copy()
    outlined[rim] = colours[labels[rim]]
    return outlined


def _filled(picture: Array, labels: Array) -> Array:
    """Tint each label with its colour, with a rim in the full one."""
    colours = pictures.colour_labels(labels)
    inside, rim = labels > 0, _rim(labels)
    filled = picture.copy()
    filled[inside] = np.rint((1 - _TINT) * picture[inside] + _TINT * colours[inside])
    filled[rim] = colours[rim]
    return filled


def _rim(labels: Array) -> Array:
    """Find the pixels of each label that have another value beside, above or below."""
    low, high = (f(labels, footprint=_CROSS) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    return np.asarray((labels > 0) & (low != high))


def _with_background(values: Array) -> Array:
    """Put a row for label 0 before those of the labels."""
    return np.concatenate([np.zeros_like(values, shape=(1, *values.shape[1:])), values])
