"""Synthetic tissue of any size: every box of it is computed alone, equal to the crop of the whole.

What is random is drawn from generators seeded by a place (a lattice cell, a tile), never by what was asked
before, so that several processes can each make a part, in memory for that part only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from zoo.data.optics import Optics, expose, spread
from zoo.errors import InputError

Floats = npt.NDArray[np.floating[Any]]
Box = tuple[slice, ...]
Triple = tuple[int, int, int]

# um. A lattice cell holds one nucleus, a pair of sisters, or none; the pitch is no simple multiple of usual
# voxel sizes, so that the borders of blocks of 64 or 128 voxels cut nuclei everywhere, not only between cells
PITCH = 17.0
EMPTY, PAIRS = 0.1, 0.2
# Semi-axes of lone nuclei and of sisters, um: 460 to 1,440 um^3, as in mouse embryos of 50 nuclei
LONE, SISTERS = (5.0, 7.0), (4.8, 5.4)
# How far a lone nucleus lies from the middle of its cell (z, y, x), um, and the distance between sisters in
# that at which they would just touch
JITTER, PRESSED = 2.5, 0.95
# How far a nucleus may reach out of its cell, um
OVERHANG = max(JITTER + LONE[1], (1 + PRESSED) * SISTERS[1]) - PITCH / 2
COARSEST = 2 * SISTERS[0] / 4

# Nuclei at their middle, counts before the blur
LIGHT = 700.0
# No halo, which would reach 40 um into the next tiles, and no depth, which would leave the far end dark
MICROSCOPE = Optics(halo=0, attenuation=math.inf)
# Voxels that are blurred and exposed at once, always all of them: filters sum in another order elsewhere, and
# the noise of a tile is one stream
TILE = (64, 128, 128)
# Voxels after which the grain of chromatin comes again; nuclei lie elsewhere then
GRAIN = 32
# Cells have negative numbers too, which seeds may not be
ORIGIN = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class _Nucleus:
    """An ellipsoid: its lattice cell, which of two sisters it is, its middle (z, y, x), um, and its size.

    The length of ``offset @ to_axes`` is 1 at its surface; `half` is half of its bounding box (z, y, x), um.
    """

    cell: Triple
    twin: int
    centre: Floats
    to_axes: Floats
    half: Floats
    glow: float


@dataclass(frozen=True, slots=True)
class Tissue:
    """A window on endless tissue; the nuclei at its faces are cut.

    Attributes
    ----------
    seed
        Seed of all that is random.
    shape
        Voxels (z, y, x).
    spacing
        Voxel size (z, y, x), um; at most 2.4 um, where the smallest nuclei are 4 voxels across.
    """

    seed: int
    shape: Triple
    spacing: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.seed < 0:
            raise InputError(f"seed {self.seed} must be 0 or more")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise InputError(f"shape {self.shape} must be three numbers of voxels (z, y, x), 1 or more")
        if len(self.spacing) != 3 or not all(0 < step <= COARSEST for step in self.spacing):
            raise InputError(
                f"spacing {self.spacing} must be three numbers (z, y, x) above 0 and at most {COARSEST:g} "
                "um, where the smallest nuclei are 4 voxels across"
            )

    @property
    def largest(self) -> int:
        """No label is larger; most numbers up to it are labels."""
        return 2 * math.prod(len(cells) for cells in self._cells((0, 0, 0), self.shape))

    @property
    def nuclei(self) -> Floats:
        """(N, 3) float. Centres (z, y, x) that lie in the volume, um from the centre of voxel 0."""
        end = self._place(self.shape) - self.spacing
        centres = [nucleus.centre for nucleus in self._nuclei((0, 0, 0), self.shape)]
        found = np.array(centres).reshape(-1, 3)
        return found[((found >= 0) & (found <= end)).all(axis=1)]

    def labels(self, box: Box) -> npt.NDArray[np.int64]:
        """Label the voxels of a box.

        Parameters
        ----------
        box
            Slices (z, y, x) as for an array of `shape`, without a step.

        Returns
        -------
        (Z, Y, X) int64
            0 is background. A nucleus has one label, whatever the box; labels are not dense. Where two nuclei
            overlap, the nearer in shares of its semi-axes has the voxel.

        Raises
        ------
        InputError
            If the slices are not three, or have a step.
        """
        start, stop = self._corners(box)
        nuclei = list(self._nuclei(start, stop))
        index, _ = self._paint(nuclei, start, stop)
        lattice = self._cells((0, 0, 0), self.shape)
        labels = [0]
        for nucleus in nuclei:
            number = 0
            for place, cells in zip(nucleus.cell, lattice, strict=True):
                number = number * len(cells) + place - cells[0]
            labels.append(1 + 2 * number + nucleus.twin)
        return np.array(labels, np.int64)[index]

    def image(self, box: Box) -> npt.NDArray[np.uint16]:
        """Show a box as a microscope does: blurred, with the noise of its camera.

        Parameters
        ----------
        box
            Slices (z, y, x) as for an array of `shape`, without a step. Work is done by whole tiles of
            `TILE` voxels: boxes on their borders are the cheapest.

        Returns
        -------
        (Z, Y, X) uint16
            Counts.

        Raises
        ------
        InputError
            If the slices are not three, or have a step.
        """
        start, stop = self._corners(box)
        image = np.empty([high - low for low, high in zip(start, stop, strict=True)], np.uint16)
        if image.size == 0:
            return image
        grain = _grain(self.seed, self.spacing)
        tiles = [
            range(low // size, -(-high // size)) for low, high, size in zip(start, stop, TILE, strict=True)
        ]
        for tile in itertools.product(*tiles):
            shown = self._show(tile, grain)
            into, out_of = [], []
            for low, high, number, size in zip(start, stop, tile, TILE, strict=True):
                first, last = max(low, number * size), min(high, (number + 1) * size)
                into.append(slice(first - low, last - low))
                out_of.append(slice(first - number * size, last - number * size))
            image[tuple(into)] = shown[tuple(out_of)]
        return image

    def _show(self, tile: Sequence[int], grain: Floats) -> npt.NDArray[np.uint16]:
        """Take the picture of a tile, also where it lies partly outside the volume."""
        # As far as scipy's filter looks: four standard deviations
        reach = [
            int(4 * width / step + 0.5) for width, step in zip(MICROSCOPE.psf, self.spacing, strict=True)
        ]
        start = [number * size - far for number, size, far in zip(tile, TILE, reach, strict=True)]
        stop = [(number + 1) * size + far for number, size, far in zip(tile, TILE, reach, strict=True)]
        nuclei = list(self._nuclei(start, stop))
        index, away = self._paint(nuclei, start, stop)
        glow = np.array([0.0] + [LIGHT * nucleus.glow for nucleus in nuclei], np.float32)
        # Brightest in the middle, as in zoo.data.phantom
        light = glow.take(index)
        light *= 1 - away
        light *= _repeat(grain, start, stop)
        inner = tuple(slice(far, far + size) for far, size in zip(reach, TILE, strict=True))
        noise = np.random.default_rng([self.seed, 1, *tile])
        # Slice by slice, which fits in the processor's cache: twice as fast
        seen = spread(light, self.spacing, MICROSCOPE)[inner]
        return np.stack([expose(plane, MICROSCOPE, noise) for plane in seen])

    def _paint(
        self, nuclei: Sequence[_Nucleus], start: Sequence[int], stop: Sequence[int]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Find which nucleus has a voxel (from 1, 0 for none) and how far it is from its middle, squared.

        Each voxel's arithmetic is the same in any box: coordinates come from its own number, sums have one
        order, and of equals the first nucleus in the order of the lattice wins.
        """
        shape = [high - low for low, high in zip(start, stop, strict=True)]
        index = np.zeros(shape, np.int32)
        nearest = np.ones(shape, np.float32)
        for number, nucleus in enumerate(nuclei, start=1):
            low = np.maximum(np.ceil((nucleus.centre - nucleus.half) / self.spacing), start).astype(int)
            high = np.minimum(np.floor((nucleus.centre + nucleus.half) / self.spacing) + 1, stop).astype(int)
            if (low >= high).any():
                continue
            axes = [
                np.arange(first, last) * step - middle
                for first, last, step, middle in zip(low, high, self.spacing, nucleus.centre, strict=True)
            ]
            away = _squared(axes, nucleus.to_axes)
            box = tuple(slice(first, last) for first, last in zip(low - start, high - start, strict=True))
            won = away < nearest[box]
            np.copyto(index[box], number, where=won)
            np.copyto(nearest[box], away, where=won)
        return index, nearest

    def _nuclei(self, start: Sequence[int], stop: Sequence[int]) -> Iterator[_Nucleus]:
        """Draw the nuclei of all lattice cells that can reach a voxel from `start` up to before `stop`."""
        for z, y, x in itertools.product(*self._cells(start, stop)):
            yield from _draw(self.seed, (z, y, x))

    def _cells(self, start: Sequence[int], stop: Sequence[int]) -> list[range]:
        """Find the lattice cells (z, y, x) whose nuclei can reach a voxel from `start` to before `stop`."""
        low, high = self._place(start), self._place(stop) - self.spacing
        first = np.ceil((low - OVERHANG) / PITCH - 0.5).astype(int)
        last = np.floor((high + OVERHANG) / PITCH + 0.5).astype(int)
        return [range(*ends) for ends in zip(first.tolist(), (last + 1).tolist(), strict=True)]

    def _place(self, voxel: Sequence[int]) -> Floats:
        """Tell where a voxel lies (z, y, x), um from the centre of voxel 0."""
        return np.array(voxel) * self.spacing

    def _corners(self, box: Box) -> tuple[list[int], list[int]]:
        """Resolve slices as numpy does; the end is never before the start."""
        if len(box) != 3 or any(part.step not in (None, 1) for part in box):
            raise InputError(f"box {box} must be three slices (z, y, x) without a step")
        ends = [part.indices(length)[:2] for part, length in zip(box, self.shape, strict=True)]
        return [start for start, _ in ends], [max(start, stop) for start, stop in ends]


def _draw(seed: int, cell: Triple) -> list[_Nucleus]:
    """Draw the nuclei of a lattice cell: none, one, or two sisters pressed against each other."""
    rng = np.random.default_rng([seed, 0, *(number + ORIGIN for number in cell)])
    middle = np.array(cell) * PITCH
    fate = rng.random()
    if fate < EMPTY:
        return []
    if fate >= EMPTY + PAIRS:
        return [_shape(rng, cell, 0, middle + rng.uniform(-JITTER, JITTER, 3), LONE)]
    sisters = [_shape(rng, cell, twin, middle, SISTERS) for twin in (0, 1)]
    way = rng.normal(size=3)
    way /= math.sqrt(float((way**2).sum()))
    lengths = [((way[:, None] * sister.to_axes).sum(axis=0) ** 2).sum() for sister in sisters]
    touching = sum(1 / math.sqrt(float(length)) for length in lengths)
    return [
        replace(sister, centre=middle + side * PRESSED / 2 * touching * way)
        for side, sister in zip((-1, 1), sisters, strict=True)
    ]


def _shape(
    rng: np.random.Generator, cell: Triple, twin: int, centre: Floats, semi_axes: tuple[float, float]
) -> _Nucleus:
    """Draw an ellipsoid, turned freely."""
    axes = rng.uniform(*semi_axes, 3)
    turn = _turn(*rng.normal(size=4).tolist())
    half = np.sqrt((turn**2 * axes**2).sum(axis=1))
    return _Nucleus(cell, twin, centre, turn / axes, half, float(np.exp(rng.normal(0, 0.2))))


def _turn(a: float, b: float, c: float, d: float) -> Floats:
    """Return the rotation matrix of a quaternion of any length but 0; scipy's takes 20 times as long."""
    s = 2 / (a * a + b * b + c * c + d * d)
    return np.array(
        [
            [1 - s * (c * c + d * d), s * (b * c - a * d), s * (b * d + a * c)],
            [s * (b * c + a * d), 1 - s * (b * b + d * d), s * (c * d - a * b)],
            [s * (b * d - a * c), s * (c * d + a * b), 1 - s * (b * b + c * c)],
        ]
    )


def _squared(offsets: Sequence[Floats], to_axes: Floats) -> npt.NDArray[np.float32]:
    """Measure the squared distance, in semi-axes, of the places with offsets z, y and x (each 1-D), um."""
    z, y, x = np.ix_(*offsets)
    shape = (z.size, y.size, x.size)
    total = np.zeros(shape, np.float32)
    for axis in range(3):
        along = np.add(
            (z * to_axes[0, axis] + y * to_axes[1, axis]).astype(np.float32),
            (x * to_axes[2, axis]).astype(np.float32),
        )
        along *= along
        total += along
    return total


def _grain(seed: int, spacing: Sequence[float]) -> Floats:
    """Make a block of the grain of chromatin, 1 on average, with lumps of 1.2 um, that repeats seamlessly."""
    rng = np.random.default_rng([seed, 2])
    lumps = ndi.gaussian_filter(
        rng.standard_normal((GRAIN,) * 3, np.float32), np.divide(1.2, spacing), mode="wrap"
    )
    lumps *= 0.3 / float(lumps.std())
    return np.exp(lumps)


def _repeat(grain: Floats, start: Sequence[int], stop: Sequence[int]) -> Floats:
    """Fill the voxels from `start` to before `stop` with the grain, which comes again and again."""
    first = [low % GRAIN for low in start]
    last = [low + stop[axis] - start[axis] for axis, low in enumerate(first)]
    many = np.tile(grain, [-(-high // GRAIN) for high in last])
    return many[tuple(slice(*ends) for ends in zip(first, last, strict=True))]
