"""EMR-CNN: the members of an ensemble look at each slice, vote, and their objects are joined over z."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo import progress
from zoo.evaluate.ensemble_figures import vote_panels
from zoo.fusion.detections import Detections, to_labels
from zoo.fusion.ensemble import Fused, fuse
from zoo.recipe_detector import DetectorRecipe


@dataclass(frozen=True, slots=True)
class Vote:
    """What an ensemble says of a volume.

    Parameters
    ----------
    fused
        The objects of each slice.
    probability : (Z, Y, X) float32
        Of the object that claims a voxel most: the share of the scores that claim it.
    panels
        Name to picture, of the slice in which most objects were found.
    notes
        What a user should know of.
    """

    fused: list[Fused]
    probability: np.ndarray
    panels: dict[str, np.ndarray]
    notes: tuple[str, ...]


def vote(
    members: Sequence[tuple[str, Any]], image: np.ndarray, spacing: Sequence[float], threshold: float
) -> Vote:
    """Let the members of an ensemble look at all slices, and let them vote in each.

    Parameters
    ----------
    members
        Name and :class:`zoo.models.detect.Detector` of each.
    image : (Z, Y, X)
        At the microscope's voxels.
    spacing
        Voxel size (z, y, x) in um.
    threshold
        A pixel belongs to an object where more than this share of the scores claims it.
    """
    found = {}
    for name, detector in members:
        progress.stage(name)
        found[name] = detector.detect(image, spacing)
    progress.stage("vote")
    fused, probability = agree(list(found.values()), image.shape, spacing, threshold)
    full = max(range(len(image)), key=lambda z: len(fused[z].detections))
    return Vote(fused, probability, _panels(image, full, found, fused[full]), _notes(members, found))


def agree(
    found: Sequence[Sequence[Detections]], shape: Sequence[int], spacing: Sequence[float], threshold: float
) -> tuple[list[Fused], np.ndarray]:
    """Let the members vote in each slice.

    Parameters
    ----------
    found
        Detections of each member, of each slice.
    shape
        Of the volume, (z, y, x) voxels.
    spacing, threshold
        As for :func:`vote`.

    Returns
    -------
    fused
        The objects of each slice.
    probability : (Z, Y, X) float32
        As of `Vote`.
    """
    fused = [
        fuse([slices[z] for slices in found], spacing[1:], threshold=threshold)
        for z in progress.parts(range(shape[0]))
    ]
    probability = np.zeros(tuple(shape), np.float32)
    for plane, result in zip(probability, fused, strict=True):
        for box, share, mask in zip(
            result.detections.boxes(), result.probabilities, result.detections.masks, strict=True
        ):
            plane[box] = np.maximum(plane[box], share * mask)
    return fused, probability


def missing_members(recipe: DetectorRecipe, members: Sequence[tuple[str, Any]]) -> tuple[str, ...]:
    """Name the members of a recipe that are not there to vote."""
    there = [name for name, _ in members]
    gone = [str(n) for n in range(1, len(recipe.members) + 1) if member_name(n) not in there]
    if not gone:
        return ()
    few = "member" if len(gone) == 1 else "members"
    return (f"{few} {', '.join(gone)} of {len(recipe.members)} without weights: the others vote",)


def member_name(number: int) -> str:
    """Return what reports call a member, counted from 1."""
    return f"member {number}"


def _panels(
    image: np.ndarray, z: int, found: dict[str, list[Detections]], fused: Fused
) -> dict[str, np.ndarray]:
    """Draw the votes on the slice with the most objects."""
    shape = image.shape[1:]
    drawn = {
        name: (to_labels(slices[z], shape), clusters)
        for (name, slices), clusters in zip(found.items(), fused.clusters, strict=True)
    }
    pictures = vote_panels(image[z], drawn, to_labels(fused.detections, shape))
    return {f"slice {z}: {caption}": picture for caption, picture in pictures.items()}


def _notes(members: Sequence[tuple[str, Any]], found: dict[str, list[Detections]]) -> tuple[str, ...]:
    """Name the members that found as many objects in a slice as they are allowed to."""
    notes = []
    for name, detector in members:
        most = detector.recipe.most
        full = [z for z, slice_ in enumerate(found[name]) if len(slice_) >= most]
        if full:
            notes.append(
                f"{name} found {most} objects, the most it may, in {_slices(len(full))} (first: {full[0]}): "
                "there may be more; train with --set most=... higher"
            )
    return tuple(notes)


def _slices(count: int) -> str:
    return "1 slice" if count == 1 else f"{count} slices"
