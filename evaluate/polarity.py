"""When and where a polarity patch forms and how it moves: its measurements frame by frame, in um."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from zoo.data.write import atomic
from zoo.errors import InputError
from zoo.evaluate.criteria import write_records
from zoo.evaluate.overlap import check_labels

_TOUCHING = generate_binary_structure(3, 3)
# Okabe and Ito: colours that colour-blind readers tell apart
_COLOURS = {"z": "#0072b2", "y": "#e69f00", "x": "#009e73", "distance": "#222222"}
_PURPLE = "#5b3a8c"


@dataclass(frozen=True, slots=True)
class Patch:
    """Measurements of the patch of one frame; all its pieces count as one patch.

    Parameters
    ----------
    frame
        Number of the frame.
    present
        Whether the frame has a patch, of one voxel or more. What is not known without one is NaN.
    pieces
        Number of parts that do not touch, not even by a corner of a voxel.
    volume_um3
        Voxels times the volume of one, in um^3.
    share_percent
        Voxels of the patch in all voxels of the frame, in percent.
    centroid_z_um, centroid_y_um, centroid_x_um
        Mean position of its voxels in um; the middle of the first voxel of the stack is at 0.
    moved_um
        Distance in um of the centroid from that of the last frame before that had a patch; NaN for the first.
    from_start_um
        Distance in um of the centroid from that of the first frame that had a patch; 0 for the first.
    mean_intensity
        Mean grey value of the image in the patch, NaN where no image was given.
    max_probability, mean_probability
        Of the network, in the patch; NaN where no probabilities were given.
    """

    frame: int
    present: bool
    pieces: int
    volume_um3: float
    share_percent: float
    centroid_z_um: float
    centroid_y_um: float
    centroid_x_um: float
    moved_um: float
    from_start_um: float
    mean_intensity: float
    max_probability: float
    mean_probability: float

    @property
    def centroid_um(self) -> tuple[float, float, float]:
        """Position (z, y, x) in um."""
        return self.centroid_z_um, self.centroid_y_um, self.centroid_x_um


def measure_patch(
    mask: NDArray[Any],
    spacing: tuple[float, float, float],
    image: NDArray[Any] | None = None,
    probability: NDArray[Any] | None = None,
    frame: int = 0,
    before: Sequence[Patch] = (),
) -> Patch:
    """Measure the patch of one frame.

    Parameters
    ----------
    mask
        (Z, Y, X). Booleans or integers; not 0 is the patch.
    spacing
        Voxel size (z, y, x) in um.
    image
        (Z, Y, X), any real type: where the intensities are taken from.
    probability
        (Z, Y, X) float in 0 to 1: what the mask was made of.
    frame
        Number of the frame, kept in the result.
    before
        The patches of the frames before, in their order, to tell how it moved.

    Returns
    -------
    Patch
        The measurements.

    Raises
    ------
    InputError
        If the mask is not a volume of booleans or integers, the image or the probabilities have another
        shape, or the voxel size is not positive.
    """
    _check(mask, spacing, {"image": image, "probability": probability})
    inside = mask != 0
    voxels = int(np.count_nonzero(inside))
    centroid = (math.nan, math.nan, math.nan)
    if voxels:
        z, y, x = (
            float(index.mean() * size) for index, size in zip(np.nonzero(inside), spacing, strict=True)
        )
        centroid = z, y, x
    seen = [patch.centroid_um for patch in before if patch.present]
    mean_intensity, _ = _mean_and_max(image, inside)
    mean_probability, max_probability = _mean_and_max(probability, inside)
    return Patch(
        frame=frame,
        present=voxels > 0,
        pieces=int(label(inside, _TOUCHING)[1]),
        volume_um3=voxels * math.prod(spacing),
        share_percent=100 * voxels / mask.size,
        centroid_z_um=centroid[0],
        centroid_y_um=centroid[1],
        centroid_x_um=centroid[2],
        moved_um=math.dist(centroid, seen[-1]) if seen else math.nan,
        from_start_um=math.dist(centroid, seen[0] if seen else centroid),
        mean_intensity=mean_intensity,
        max_probability=max_probability,
        mean_probability=mean_probability,
    )


def onset(patches: Sequence[Patch]) -> int | None:
    """Find when the patch forms: the first frame that has one which the next frame has too.

    A patch of a single frame may be noise, so it does not count, unless there is no other frame.

    Parameters
    ----------
    patches
        Of all frames that were measured, in their order; the next one in it is the next frame.

    Returns
    -------
    int or None
        Number of the frame, None if no patch stays.
    """
    if len(patches) == 1:
        return patches[0].frame if patches[0].present else None
    return next((one.frame for one, then in pairwise(patches) if one.present and then.present), None)


def write_polarity(path: Path, patches: Sequence[Patch]) -> None:
    """Write a CSV line a frame; the header names the units, NaN is left empty.

    Parameters
    ----------
    path
        File to write or replace.
    patches
        In the order to be written.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    write_records(path, [field.name for field in fields(Patch)], patches)


def plot_polarity(path: Path, patches: Sequence[Patch]) -> None:
    """Draw over the frames the volume of the patch, with its onset, and its way from where it was first.

    Parameters
    ----------
    path
        PNG file to write or replace. Without any patch it holds the volume alone.
    patches
        Of all frames that were measured, in their order.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    found = [patch for patch in patches if patch.present]
    figure = Figure(figsize=(7, 2.2 * (2 if found else 1)), layout="constrained")
    axes = figure.subplots(2 if found else 1, sharex=True, squeeze=False)[:, 0]
    _draw_volume(axes[0], patches)
    if found:
        _draw_way(axes[1], patches, found[0].centroid_um)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("frame")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def _draw_volume(axis: Axes, patches: Sequence[Patch]) -> None:
    """Draw the volumes and a line at the onset."""
    frames, volumes = [patch.frame for patch in patches], [patch.volume_um3 for patch in patches]
    axis.plot(frames, volumes, marker="o", markersize=3, linewidth=1.2, color=_PURPLE)
    axis.set_ylabel("patch volume (µm³)")
    axis.set_ylim(bottom=0)
    if (start := onset(patches)) is not None:
        axis.axvline(start, color="#777777", linewidth=1, linestyle="--")
        axis.set_title(f"onset: frame {start}", loc="right", fontsize="medium")


def _draw_way(axis: Axes, patches: Sequence[Patch], start: tuple[float, float, float]) -> None:
    """Draw the way of the centroid from where it was first, along each axis and as a distance."""
    frames = [patch.frame for patch in patches]
    ways = np.array([patch.centroid_um for patch in patches]) - start
    lines = dict(zip("zyx", ways.T, strict=True)) | {
        "distance": np.array([patch.from_start_um for patch in patches])
    }
    for name, values in lines.items():
        axis.plot(frames, values, marker="o", markersize=3, linewidth=1.2, color=_COLOURS[name], label=name)
    axis.set_ylabel("from first place (µm)")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _check(
    mask: NDArray[Any], spacing: tuple[float, float, float], others: dict[str, NDArray[Any] | None]
) -> None:
    check_labels(mask, "the mask's values")
    if mask.ndim != 3 or mask.size == 0:
        raise InputError(f"mask (shape {mask.shape}) must be one (z, y, x) volume; measure frame by frame")
    for name, array in others.items():
        if array is not None and array.shape != mask.shape:
            raise InputError(f"{name} (shape {array.shape}) must have the shape of the mask, {mask.shape}")
    if not all(0 < size < np.inf for size in spacing):
        raise InputError(f"voxel size {spacing} um: all three (z, y, x) must be above 0")


def _mean_and_max(values: NDArray[Any] | None, inside: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the mean and the largest of the values in the patch, NaN where there are none."""
    if values is None or not inside.any():
        return math.nan, math.nan
    chosen = values[inside]
    return float(chosen.mean(dtype=np.float64)), float(chosen.max())
