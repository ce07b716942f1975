"""Synthetic mouse embryos and time series, with their truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from zoo.data.nuclei import (
    SHAPES,
    STRETCH,
    Floats,
    Nucleus,
    Stage,
    divide,
    draw_nuclei,
    fit_stage,
    natural_packing,
    paint,
    settle,
)
from zoo.data.optics import Optics, expose, spread
from zoo.data.targets import markers_from_labels
from zoo.errors import InputError

# Counts of n nuclei before the blur, LIGHT * n ** LIGHT_POWER: after it, their mean above the background is
# that of BBBC050 (760 at 2 nuclei, 200 at 16, 94 at 50)
LIGHT, LIGHT_POWER = 6400.0, -0.68
# Light of the cell bodies, in that of nuclei
HAZE = 0.015
MICROSCOPE = Optics()


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic volume and its truth.

    Attributes
    ----------
    image
        (Z, Y, X) uint16. What the microscope shows, counts.
    labels
        (Z, Y, X) uint16. 0 is background, nuclei are 1..n, each one 6-connected piece.
    mask
        (Z, Y, X) bool. Voxels of any nucleus.
    markers
        (Z, Y, X) bool. A ball of 33 voxels at the centre of each nucleus, as in GroundTruth_NDN of BBBC050;
        fewer where it would leave its nucleus or touch another ball: 6-connected components are nuclei.
    spacing
        Voxel size (z, y, x), um.
    """

    image: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.uint16]
    mask: npt.NDArray[np.bool_]
    markers: npt.NDArray[np.bool_]
    spacing: tuple[float, float, float]


def embryo(
    seed: int = 0,
    *,
    nuclei: int = 16,
    shape: tuple[int, int, int] = (51, 128, 128),
    spacing: tuple[float, float, float] = (1.75, 0.8, 0.8),
    packing: float | None = None,
    gap: float = -0.5,
    mitotic: float = 0.1,
    debris: int = 2,
    optics: Optics = MICROSCOPE,
) -> Phantom:
    """Make a synthetic mouse embryo with nuclei of known outline.

    Nuclei are ellipsoids of varying size, turned freely, in a ball-shaped embryo; the more there are, the
    smaller and dimmer. Where two overlap, a voxel goes to the nearer, in shares of its semi-axes. An embryo
    larger than the volume is shrunk into it, nuclei too. Equal arguments give equal phantoms; `debris` and
    `optics` leave the nuclei as they are.

    Parameters
    ----------
    seed
        Seed of all that is random.
    nuclei
        Number of nuclei, 1 or more.
    shape
        Voxels (z, y, x).
    spacing
        Voxel size (z, y, x), um.
    packing
        Share of the embryo's volume that is nuclei, above 0 and up to 0.6; from 0.4 on nearly all nuclei
        touch. By default that of real embryos of so many nuclei, 0.1 to 0.3, where some do.
    gap
        Least distance between the surfaces of two nuclei, um, as far as there is room for it; below 0 they
        may press into one another by so much.
    mitotic
        Share of nuclei, on average, that divide: bright metaphase plates, and pairs of plates in anaphase,
        which are two nuclei each.
    debris
        Number of polar bodies: small bright spots that are no nuclei and not in the truth.
    optics
        Microscope and camera.

    Returns
    -------
    Phantom
        Image and truth.

    Raises
    ------
    InputError
        If an argument is out of its range, or the volume cannot hold so many nuclei.

    Notes
    -----
    Shapes, sizes, brightness and noise follow BBBC050 (Tokuoka et al. 2020, npj Syst Biol Appl 6:32). Real
    embryos of more than 32 nuclei have a cavity and flat outer nuclei; these have not.
    """
    if not 0 <= mitotic <= 1:
        raise InputError(f"mitotic {mitotic} must be a share, 0 to 1")
    _check(debris, gap)
    geometry, rest = np.random.default_rng(seed).spawn(2)
    stage = fit_stage(nuclei, shape, spacing, natural_packing(nuclei) if packing is None else packing)
    cast = settle(draw_nuclei(geometry, nuclei, mitotic), stage, gap)
    return _picture(cast, stage, rest, debris, optics)


def embryo_series(
    seed: int = 0,
    *,
    frames: int = 6,
    first: int = 4,
    last: int = 16,
    bleaching: float = 0.1,
    shape: tuple[int, int, int] = (51, 128, 128),
    spacing: tuple[float, float, float] = (1.75, 0.8, 0.8),
    packing: float | None = None,
    gap: float = -0.5,
    debris: int = 2,
    optics: Optics = MICROSCOPE,
) -> list[Phantom]:
    """Make a time series of an embryo whose nuclei divide and fade.

    The count grows from `first` to `last` in even ratios. Half of the nuclei about to divide are metaphase
    plates, half of the newborn sisters anaphase plates; the others move a little. Labels are numbered anew
    in each frame.

    Parameters
    ----------
    seed
        Seed of all that is random.
    frames
        Number of time points, 1 or more.
    first, last
        Number of nuclei in the first and in the last frame; from one frame to the next it at most doubles.
    bleaching
        Loss of light a frame: frame t has exp(-bleaching * t) of the light.
    shape, spacing, packing, gap, debris, optics
        As for `embryo`.

    Returns
    -------
    list of Phantom
        One a frame, all of one shape.

    Raises
    ------
    InputError
        If an argument is out of its range, the count would more than double from one frame to the next, or
        the volume cannot hold so many nuclei.
    """
    counts = _counts(frames, first, last)
    if not 0 <= bleaching < math.inf:
        raise InputError(f"bleaching {bleaching} must be 0 or more")
    _check(debris, gap)
    geometry, *rest = np.random.default_rng(seed).spawn(1 + frames)
    cast = draw_nuclei(geometry, first, mitotic=0)
    series = []
    for frame, count in enumerate(counts):
        stage = fit_stage(count, shape, spacing, natural_packing(count) if packing is None else packing)
        births = counts[min(frame + 1, frames - 1)] - count
        dividing = set(geometry.choice(count, births, replace=False).tolist())
        plates = {index for index in dividing if geometry.random() < 0.5}
        cast = [
            replace(nucleus, phase="metaphase") if index in plates else nucleus
            for index, nucleus in enumerate(cast)
        ]
        cast = settle(cast, stage, gap)
        series.append(_picture(cast, stage, rest[frame], debris, optics, math.exp(-bleaching * frame)))
        cast = _next(cast, dividing, geometry)
    return series


def _next(cast: list[Nucleus], dividing: set[int], rng: np.random.Generator) -> list[Nucleus]:
    """Move nuclei by a share of the embryo and let some divide."""
    later: list[Nucleus] = []
    for index, nucleus in enumerate(cast):
        moved = replace(nucleus, centre=nucleus.centre + rng.normal(0, 0.04, 3), phase="interphase")
        if index in dividing:
            later += divide(moved, "anaphase" if rng.random() < 0.5 else "interphase")
        else:
            later.append(moved)
    return later


def _picture(
    cast: list[Nucleus],
    stage: Stage,
    rng: np.random.Generator,
    debris: int,
    optics: Optics,
    light_left: float = 1.0,
) -> Phantom:
    """Paint the nuclei, light them and take their picture."""
    labels, away = paint(cast, stage)
    markers = markers_from_labels(labels)
    # Each takes its random numbers from its own stream, so that one does not change another
    grain, spots, noise = rng.spawn(3)
    glow = np.array([0.0] + [nucleus.glow * SHAPES[nucleus.phase][2] for nucleus in cast], np.float32)
    # Outlines in BBBC050 lie where the light has fallen to a quarter: nuclei are brightest in the middle
    light = glow[labels] * (1 - away) * _texture(grain, stage)
    _add_cells(light, stage)
    _add_debris(light, labels, stage, spots, debris)
    light *= LIGHT * len(cast) ** LIGHT_POWER * light_left
    z, y, x = (float(step) for step in stage.spacing)
    image = expose(spread(light, (z, y, x), optics), optics, noise)
    return Phantom(image, labels, labels > 0, markers, (z, y, x))


def _texture(rng: np.random.Generator, stage: Stage) -> Floats:
    """Make the grain of chromatin, 1 on average, with lumps of 1.2 um."""
    lumps = ndi.gaussian_filter(rng.standard_normal(stage.shape, np.float32), 1.2 / stage.spacing)
    lumps *= 0.3 / max(float(lumps.std()), 1e-6)
    texture: Floats = np.exp(lumps)
    return texture


def _add_cells(light: Floats, stage: Stage) -> None:
    """Add the faint light of the cell bodies, a ball."""
    z, y, x = np.ix_(*_grid(stage, np.zeros(3), stage.semi_axes))
    light += np.float32(HAZE) * (z**2 + y**2 + x**2 < 1)


def _add_debris(
    light: Floats, labels: npt.NDArray[Any], stage: Stage, rng: np.random.Generator, count: int
) -> None:
    """Add polar bodies near the embryo's rim, each in the emptiest of some random places."""
    if count == 0:
        return
    free = ndi.distance_transform_edt(labels == 0, sampling=stage.spacing)
    taken = np.empty((0, 3))
    for _ in range(count):
        ways = rng.normal(size=(30, 3))
        places = 0.9 * ways / np.linalg.norm(ways, axis=1)[:, None] * stage.semi_axes
        voxels = np.rint((places + stage.middle) / stage.spacing).astype(int)
        others = np.linalg.norm(places[:, None] - taken, axis=2).min(axis=1, initial=np.inf)
        place = places[np.minimum(free[tuple(voxels.T)], others).argmax()]
        taken = np.vstack([taken, place])
        size = stage.radius * rng.uniform(0.2, 0.4) * STRETCH
        glow = np.float32(rng.uniform(0.1, 0.4))
        z, y, x = np.ix_(*_grid(stage, place, size))
        spot = (z**2 + y**2 + x**2 < 1) & (labels == 0)
        light[spot] = glow


def _grid(stage: Stage, centre: Floats, scale: Floats) -> list[Floats]:
    """Measure the voxel axes from a place in the embryo, in units of their own."""
    return [
        ((np.arange(length) * step - middle - at) / unit).astype(np.float32)
        for length, step, middle, at, unit in zip(
            stage.shape, stage.spacing, stage.middle, centre, scale, strict=True
        )
    ]


def _counts(frames: int, first: int, last: int) -> list[int]:
    """Spread the growth over the frames."""
    if frames < 1 or first < 1 or last < first:
        raise InputError(
            f"frames {frames}, first {first} and last {last} do not make a series: give 1 frame or more and "
            "1 <= first <= last nuclei"
        )
    counts = [int(count) for count in np.rint(np.geomspace(first, last, frames))]
    if counts[-1] != last or any(later > 2 * now for now, later in pairwise(counts)):
        raise InputError(
            f"{first} to {last} nuclei in {frames} frames would more than double from one frame to the next: "
            "give more frames"
        )
    return counts


def _check(debris: int, gap: float) -> None:
    if debris < 0:
        raise InputError(f"debris {debris} must be a number of spots, 0 or more")
    if not math.isfinite(gap):
        raise InputError(f"gap {gap} must be a finite distance, um")
