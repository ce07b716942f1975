"""The nuclei of a synthetic embryo: how many fit, where they lie, which voxels are theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from zoo.errors import InputError

Floats = npt.NDArray[np.floating[Any]]
Phase = Literal["interphase", "metaphase", "anaphase"]

# Measured on eight training embryos of BBBC050 at 2 to 50 nuclei: n nuclei are RADIUS * n ** RADIUS_POWER um
# wide (half their width) and STRETCH times as long along z, since the annotators' outlines follow the blur
RADIUS, RADIUS_POWER = 10.9, -0.148
STRETCH = np.array([1.75, 1.0, 1.0])

# Of a nucleus: semi-axes and the radius of the space it claims, as shares of its radius; light per volume
SHAPES: dict[Phase, tuple[tuple[float, float, float], float, float]] = {
    "interphase": ((1.0, 1.0, 1.0), 1.0, 1.0),
    "metaphase": ((0.40, 0.85, 0.95), 0.8, 2.0),
    "anaphase": ((0.30, 0.70, 0.80), 0.6, 2.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Nucleus:
    """An ellipsoid without scale, so that it can be carried from one stage to the next.

    Attributes
    ----------
    centre
        (3,) float. Position (z, y, x) in shares of the embryo's semi-axes, in the unit ball.
    size
        Its radius in radii of the stage.
    ratios
        (3,) float. Semi-axes in its radius; their product is 1.
    turn
        (3, 3) float. Orthogonal; column k is the direction of semi-axis k.
    glow
        Brightness in that of the stage.
    phase
        Where it is in the cell cycle.
    """

    centre: Floats
    size: float
    ratios: Floats
    turn: Floats
    glow: float
    phase: Phase = "interphase"


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """An embryo of a number of nuclei, in the middle of a volume.

    Attributes
    ----------
    shape
        Voxels (z, y, x).
    spacing
        (3,) float. Voxel size (z, y, x), um.
    semi_axes
        (3,) float. Of the embryo (z, y, x), um.
    radius
        Mean radius of the nuclei across, um; along z they are STRETCH[0] times as long.
    """

    shape: tuple[int, int, int]
    spacing: Floats
    semi_axes: Floats
    radius: float

    @property
    def middle(self) -> Floats:
        """Centre of the volume (z, y, x), um from the centre of voxel 0."""
        return (np.array(self.shape) - 1) / 2 * self.spacing


def natural_packing(nuclei: int) -> float:
    """Tell the share of a mouse embryo's volume that is nuclei: 0.1 at first, more once its cells close up.

    Parameters
    ----------
    nuclei
        Their number.

    Returns
    -------
    float
        As measured on BBBC050: 0.14 at 16 nuclei, 0.18 at 26; at most 0.3.
    """
    return min(0.1 * max(1.0, nuclei / 8) ** 0.5, 0.3)


def fit_stage(nuclei: int, shape: Sequence[int], spacing: Sequence[float], packing: float) -> Stage:
    """Size an embryo by its number of nuclei and shrink it, nuclei too, into a volume.

    Parameters
    ----------
    nuclei
        Number of nuclei.
    shape
        Voxels (z, y, x).
    spacing
        Voxel size (z, y, x), um.
    packing
        Share of the embryo's volume that is nuclei.

    Returns
    -------
    Stage

    Raises
    ------
    InputError
        If an argument is out of its range or the nuclei would be less than four voxels across.
    """
    if not 1 <= nuclei <= np.iinfo(np.uint16).max:
        raise InputError(f"nuclei {nuclei} must be 1 to {np.iinfo(np.uint16).max}")
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape {tuple(shape)} must be three numbers of voxels (z, y, x), 1 or more")
    voxel = np.asarray(spacing, dtype=float)
    if voxel.shape != (3,) or not (np.isfinite(voxel) & (voxel > 0)).all():
        raise InputError(f"spacing {tuple(spacing)} must be three positive numbers (z, y, x), in um")
    if not 0 < packing <= 0.6:
        raise InputError(f"packing {packing} must be above 0 and at most 0.6, where balls jam")
    radius = RADIUS * nuclei**RADIUS_POWER
    wanted = radius * float(np.cbrt(nuclei * STRETCH.prod() / packing))
    semi_axes = np.minimum(np.array(shape) * voxel / 2, wanted)
    radius *= float(np.cbrt(semi_axes.prod())) / wanted
    radius = min(radius, 0.8 * float((semi_axes / STRETCH).min()))
    if (radius * STRETCH < 2 * voxel).any():
        raise InputError(
            f"{nuclei} nuclei in {tuple(shape)} voxels of {tuple(spacing)} um would be less than 4 voxels "
            "across: give fewer nuclei, a larger shape or a higher packing"
        )
    return Stage((int(shape[0]), int(shape[1]), int(shape[2])), voxel, semi_axes, radius)


def draw_nuclei(rng: np.random.Generator, count: int, mitotic: float) -> list[Nucleus]:
    """Draw nuclei spread evenly over the unit ball, some of them dividing.

    Parameters
    ----------
    rng
        Source of all that is random.
    count
        Number of nuclei.
    mitotic
        Share, on average, that are metaphase plates or one of two anaphase plates.

    Returns
    -------
    list of Nucleus
        `count` of them; they may overlap until `settle`.
    """
    dividing = int(rng.binomial(count, mitotic))
    pairs = int(rng.binomial(dividing // 2, 0.5))
    nuclei: list[Nucleus] = []
    for index in range(count - pairs):
        ratios = np.exp(rng.normal(0, 0.12, 3))
        nucleus = Nucleus(
            centre=_free_place(rng, [other.centre for other in nuclei]),
            size=float(np.exp(rng.normal(0, 0.07))),
            ratios=ratios / np.cbrt(ratios.prod()),
            turn=np.linalg.qr(rng.normal(size=(3, 3)))[0],
            glow=float(np.exp(rng.normal(0, 0.2))),
        )
        if index < pairs:
            nuclei += divide(nucleus, "anaphase")
        else:
            nuclei.append(replace(nucleus, phase="metaphase") if index < dividing - pairs else nucleus)
    return nuclei


def _free_place(rng: np.random.Generator, taken: list[Floats]) -> Floats:
    """Draw places in the unit ball and take the one farthest from all others: cells fill an embryo evenly."""
    ways = rng.normal(size=(4, 3))
    places = ways / np.linalg.norm(ways, axis=1)[:, None] * np.cbrt(rng.random((4, 1)))
    apart = np.linalg.norm(places[:, None] - np.array(taken).reshape(-1, 3), axis=2)
    place: Floats = places[apart.min(axis=1, initial=np.inf).argmax()]
    return place


def divide(mother: Nucleus, phase: Phase) -> list[Nucleus]:
    """Part a nucleus into two along its first semi-axis.

    Parameters
    ----------
    mother
        The nucleus that divides.
    phase
        Phase of the daughters: ``"anaphase"`` for two plates.

    Returns
    -------
    list of Nucleus
        Two; they overlap until `settle`.
    """
    apart = 0.1 * mother.turn[:, 0]
    return [replace(mother, centre=mother.centre + side * apart, phase=phase) for side in (-1, 1)]


def settle(nuclei: list[Nucleus], stage: Stage, gap: float) -> list[Nucleus]:
    """Push nuclei apart, as balls, until they keep a gap or the embryo is full.

    Parameters
    ----------
    nuclei
        Their centres are where they start.
    stage
        The embryo that holds them.
    gap
        Distance between surfaces, um; negative lets them overlap by so much.

    Returns
    -------
    list of Nucleus
        The same with new centres, in the embryo.
    """
    claims = stage.radius * np.array([nucleus.size * SHAPES[nucleus.phase][1] for nucleus in nuclei])
    # With z divided by the stretch nuclei are round, and pushing is that of balls
    house = stage.semi_axes / STRETCH
    room = np.maximum(house - claims[:, None], 0.05 * house)
    places = np.array([nucleus.centre for nucleus in nuclei]) * house
    reach = claims[:, None] + claims + gap
    np.fill_diagonal(reach, 0)
    for _ in range(500):
        places /= np.maximum(np.linalg.norm(places / room, axis=1), 1)[:, None]
        apart = places[:, None] - places
        distance = np.linalg.norm(apart, axis=2)
        lack = np.maximum(reach - distance, 0)
        if lack.max() < 0.01:
            break
        push = lack / np.maximum(distance, 1e-9) / 2
        # Half of it, since a nucleus pushed by many at once would overshoot and never come to rest
        places += 0.5 * (push[:, :, None] * apart).sum(axis=1)
    places /= np.maximum(np.linalg.norm(places / room, axis=1), 1)[:, None]
    return [replace(nucleus, centre=place / house) for nucleus, place in zip(nuclei, places, strict=True)]


def paint(nuclei: list[Nucleus], stage: Stage) -> tuple[npt.NDArray[np.uint16], Floats]:
    """Label the voxels of nuclei; where two overlap, the nearer in shares of its semi-axes has the voxel.

    Parameters
    ----------
    nuclei
        Nuclei in their places.
    stage
        The embryo that holds them.

    Returns
    -------
    labels : (Z, Y, X) uint16
        Nuclei 1..n in the order given, each one 6-connected piece.
    away : (Z, Y, X) float32
        Squared distance from the nucleus' centre in its semi-axes; 1 at the surface and outside.

    Raises
    ------
    InputError
        If a nucleus has no voxel because others cover it.
    """
    labels = np.zeros(stage.shape, np.uint16)
    nearest = np.ones(stage.shape, np.float32)
    for number, nucleus in enumerate(nuclei, start=1):
        box, away = _ellipsoid(nucleus, stage)
        won = away < nearest[box]
        labels[box][won] = number
        nearest[box][won] = away[won]
    boxes = ndi.find_objects(labels, len(nuclei))
    for number, found in enumerate(boxes, start=1):
        if found is None:
            raise InputError(
                f"the embryo does not hold {len(nuclei)} nuclei apart: give fewer nuclei, a lower packing or "
                "a larger gap"
            )
        pieces, count = ndi.label(labels[found] == number)
        if count > 1:
            largest = np.bincount(pieces.ravel())[1:].argmax() + 1
            labels[found][(pieces > 0) & (pieces != largest)] = 0
    nearest[labels == 0] = 1
    return labels, nearest


def _ellipsoid(nucleus: Nucleus, stage: Stage) -> tuple[tuple[slice, ...], Floats]:
    """Measure the squared distance from a nucleus in semi-axes, 1 at its surface, in its bounding box."""
    axes = stage.radius * nucleus.size * nucleus.ratios * SHAPES[nucleus.phase][0]
    # A plate thinner than two voxels would fall to pieces on the grid
    axes = np.maximum(axes, (stage.spacing / STRETCH).max())
    half = STRETCH * np.sqrt((nucleus.turn**2 * axes**2).sum(axis=1))
    centre = stage.middle + nucleus.centre * stage.semi_axes
    start = np.maximum(np.ceil((centre - half) / stage.spacing), 0).astype(int)
    stop = np.minimum(np.floor((centre + half) / stage.spacing) + 1, stage.shape).astype(int)
    grid = [
        (np.arange(low, high) * step - middle) / stretch
        for low, high, step, middle, stretch in zip(start, stop, stage.spacing, centre, STRETCH, strict=True)
    ]
    z, y, x = np.ix_(*grid)
    to_axes = nucleus.turn / axes
    away = sum((z * to_axes[0, k] + y * to_axes[1, k] + x * to_axes[2, k]) ** 2 for k in range(3))
    return tuple(slice(low, high) for low, high in zip(start, stop, strict=True)), np.asarray(away)
