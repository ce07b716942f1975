"""How a large volume is cut so that each piece fits into the memory, and what that will take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np

from zoo.blocks.view import View
from zoo.data.boxes import Shape, cut, grown, size
from zoo.errors import InputError
from zoo.forecast import bytes_needed
from zoo.recipe import Recipe
from zoo.wording import counted, sized

HALO_UM = 16.0  # ours: more than a late nucleus is wide; where an object goes on, more is looked at
PROCESS = 1.3e9  # bytes that Python, TensorFlow and two compact networks take (docs/benchmarks.md)
WITHOUT = 0.3e9  # bytes that a process takes which leaves the networks to another (docs/benchmarks.md)
KEPT = 1.25  # times what a window needs: TensorFlow's memory falls to pieces (docs/benchmarks.md)
LABELLING = 56  # bytes a voxel of a block with its halo, at most (docs/benchmarks.md)
LABELLING_SPEED = 4e-7  # seconds a voxel of a block with its halo, both passes (docs/benchmarks.md)
BLOCK, WINDOW = 64, 32  # least edges: of blocks in voxels, of windows in working voxels
STEP = 32  # edges of blocks are whole ones of these, so that they can be stored in chunks of 32 to 128
LONGEST = 1024  # edge of a piece of what is longer than that
SLICES_HALO_UM = 48.0  # of blocks of slices: detectors see far, and the vote weighs all objects around
DETECTORS = 2.5e9  # bytes that Python, TensorFlow and four detectors at work take (docs/benchmarks.md)
WIDEST = 256  # of blocks of slices: a detector finds so many objects a slice and no more


@dataclass(frozen=True, slots=True)
class Plan:
    """How a volume is cut.

    Attributes
    ----------
    block, halo
        Of the labels, (z, y, x) voxels of the volume.
    windows
        Edges for each network, (z, y, x) working voxels.
    memory
        Bytes that a worker will take, unless a block needs a larger halo.
    room
        Voxels that a block may have with whatever halo it needs.
    apart
        Bytes after which another process takes over from that of the networks, as what they took is not given
        back; 0 where they need none of their own.
    """

    block: Shape
    halo: Shape
    windows: Mapping[str, Shape]
    memory: int
    room: int
    apart: int = 0


def make_plan(
    shape: Shape,
    spacing: Sequence[float],
    views: Mapping[str, tuple[View, Recipe]],
    memory: float,
    block: Shape | None = None,
    workers: int = 1,
) -> Plan:
    """Choose the blocks and windows that look least at what others look at too, within a memory.

    Parameters
    ----------
    shape, spacing
        Of the volume: (z, y, x) voxels, and their size in um.
    views
        What each network sees, and its recipe, by name.
    memory
        Bytes that a worker may take.
    block
        What the user wants, (z, y, x) voxels; ``None`` for what :func:`cheapest` finds.
    workers
        How many share the pieces.

    Raises
    ------
    InputError
        Where not even the smallest fit: it says what they would need.
    """
    halo = _halo(HALO_UM, spacing, shape)
    asked = None if block is None else within(block, shape)
    least = {name: _window_bytes(view, recipe, _least(view)) for name, (view, recipe) in views.items()}
    name = max(least, key=least.__getitem__)
    smallest = LABELLING * _largest(shape, asked or (BLOCK,) * 3, halo)
    separate = max(PROCESS + WITHOUT + KEPT * least[name], WITHOUT + smallest)
    blocks = "blocks" if asked is None else f"blocks of {_times(asked)} voxels"
    what = blocks if smallest > least[name] else f"windows of {name}"
    _check_fits(min(PROCESS + least[name] + smallest, separate), memory, what)

    def choose(seen: float, labelled: float) -> Plan:
        """Cut so that windows and blocks each have so many bytes; the plan's memory is that of both."""
        windows = {
            name: cheapest(
                view.padded,
                (view.around,) * 3,
                view.multiple,
                _least(view)[0],
                int(seen / _voxel_bytes(recipe) + 1e-6),  # of the smallest window not a voxel less
                workers,
            )
            for name, (view, recipe) in views.items()
        }
        block = asked or cheapest(shape, halo, STEP, BLOCK, int(labelled / LABELLING + 1e-6), workers)
        most = max(_window_bytes(view, recipe, windows[name]) for name, (view, recipe) in views.items())
        taken = PROCESS + most + LABELLING * _largest(shape, block, halo)
        return Plan(block, halo, windows, int(taken), int((memory - PROCESS - most) / LABELLING))

    free = memory - PROCESS
    plan = choose(free, free)
    if plan.memory <= memory:
        return plan
    if separate > memory:  # no room for two processes
        share = min(max(free / 2, least[name]), free - smallest)
        return choose(share, free - share)
    plan = choose((free - WITHOUT) / KEPT, memory - WITHOUT)
    labelling = LABELLING * _largest(shape, plan.block, halo)
    seen = plan.memory - labelling - PROCESS
    return replace(
        plan,
        memory=int(max(WITHOUT + PROCESS + KEPT * seen, WITHOUT + labelling)),
        room=int((memory - WITHOUT) / LABELLING),
        apart=int(PROCESS + seen),
    )


def _least(view: View) -> Shape:
    """Return the smallest window: a pooled voxel of a deep network is larger than that of others."""
    return (max(WINDOW, view.multiple),) * 3


def _voxel_bytes(recipe: Recipe) -> float:
    return bytes_needed(recipe, (1000, 1000, 1000)) / 1e9


def _window_bytes(view: View, recipe: Recipe, edges: Shape) -> float:
    """Return what the largest of a network's windows takes."""
    return _voxel_bytes(recipe) * _largest(view.padded, edges, (view.around,) * 3)


def plan_slices(
    shape: Shape, spacing: Sequence[float], memory: float, block: Shape | None = None, workers: int = 1
) -> Plan:
    """Choose the blocks of an ensemble that looks at slices: whole in z, unless the memory is too small.

    Parameters
    ----------
    shape, spacing, memory, block, workers
        As for `make_plan`.

    Raises
    ------
    InputError
        Where not even the smallest fit: it says what they would need.
    """
    halo = _halo(SLICES_HALO_UM, spacing, shape)
    room = int((memory - DETECTORS) / LABELLING)
    flat, around = (1, *shape[1:]), (0, *halo[1:])
    if block is not None:
        block = within(block, shape)
        needed = DETECTORS + LABELLING * _largest(shape, block, halo)
        _check_fits(needed, memory, f"blocks of {_times(block)} voxels")
    elif shape[0] * _largest(flat, (1, BLOCK, BLOCK), around) <= room:
        block = (shape[0], *cheapest(flat, around, STEP, BLOCK, room // shape[0], workers, WIDEST)[1:])
    else:
        _check_fits(DETECTORS + LABELLING * _largest(shape, (BLOCK,) * 3, halo), memory, "blocks")
        block = cheapest(shape, halo, STEP, BLOCK, room, workers, WIDEST)
    return Plan(block, halo, {}, int(DETECTORS + LABELLING * _largest(shape, block, halo)), room)


def _halo(extent: float, spacing: Sequence[float], shape: Shape) -> Shape:
    """Return the voxels of an extent in um, no more than the volume has."""
    z, y, x = (min(math.ceil(extent / um), n) for um, n in zip(spacing, shape, strict=True))
    return z, y, x


def within(block: Shape, shape: Shape) -> Shape:
    """Return the block that the user wants, no larger than the volume."""
    z, y, x = (min(edge, n) for edge, n in zip(block, shape, strict=True))
    return z, y, x


def cheapest(
    shape: Shape, halo: Shape, step: int, least: int, room: int, workers: int, longest: int = LONGEST
) -> Shape:
    """Find the pieces of a volume, all of about one size, that take the least time.

    A piece takes as long as it has voxels, those around it included; workers that each take the next piece
    need at most their share of all, and of the largest piece what the others wait for (Graham 1969).

    Parameters
    ----------
    shape, halo
        Of the volume, and what each piece needs around it, (z, y, x) voxels.
    step
        Edges are whole ones of it, or those of the volume.
    least
        Shortest edge that is looked at, a whole one of `step`; so long ones must fit.
    room
        Voxels that a piece may have with what is around it.
    workers
        How many.
    longest
        Edge of a piece of what is longer than that.

    Returns
    -------
    (z, y, x)
        Edges, voxels.
    """
    edges, counts, sides = [], [], []
    for n, around in zip(shape, halo, strict=True):
        equal = {-(-n // (pieces * step)) * step for pieces in range(1, n // least + 2)} | {least}
        own = sorted(min(edge, n) for edge in equal if edge >= least and min(edge, n) <= longest)
        edges.append(own)
        counts.append([-(-n // edge) for edge in own])
        sides.append([_sides(n, edge, around) for edge in own])
    count = _product(counts)
    total = _product([[own.sum() for own in row] for row in sides])
    largest = _product([[own.max() for own in row] for row in sides])
    cost = np.where(largest <= room, total + (workers - 1) * largest, np.inf)
    fewest = np.lexsort((count.ravel(), cost.ravel()))[0]
    z, y, x = (own[i] for own, i in zip(edges, np.unravel_index(fewest, cost.shape), strict=True))
    return z, y, x


def _sides(n: int, edge: int, around: int) -> np.ndarray:
    """Return how long each piece of an axis is with what is around it."""
    starts = np.arange(0, n, edge)
    return np.minimum(starts + edge + around, n) - np.maximum(starts - around, 0)


def _product(along: Sequence[Sequence[int]]) -> np.ndarray:
    z, y, x = (np.asarray(one, float) for one in along)
    return z[:, None, None] * y[:, None] * x


def describe(shape: Shape, plan: Plan, views: Mapping[str, tuple[View, Recipe]]) -> list[str]:
    """Say what a plan means, a line each."""
    blocks = cut(shape, plan.block)
    looked = sum(math.prod(size(grown(block, plan.halo, shape))) for block in blocks)
    lines = [
        f"volume: {_times(shape)} voxels",
        f"blocks: {len(blocks):,} of {_times(plan.block)} voxels, halo {_times(plan.halo)}: "
        f"{looked / math.prod(shape):.2f} times the volume is looked at",
    ]
    for name, (view, _) in views.items():
        windows = view.windows(plan.windows[name])
        seen = sum(math.prod(size(view.window(core))) for core in windows)
        lines.append(
            f"{name}: {_times(view.padded)} working voxels in {counted(len(windows), 'window')} of "
            f"{_times(plan.windows[name])}, halo {view.halo}: "
            f"{seen / math.prod(view.padded):.2f} times as many"
        )
    maps = sum(2 * math.prod(view.padded) for view, _ in views.values())
    lines.append(f"memory: {sized(plan.memory)} a worker")
    lines.append(f"disk meanwhile: up to {sized(maps + 12 * math.prod(shape))}, compressed to less")
    return lines


def network_seconds(
    plan: Plan, views: Mapping[str, tuple[View, Recipe]], networks: Mapping[str, Any]
) -> float:
    """Forecast how long the networks take here, from a window of 64 working voxels that each is given."""
    total = 0.0
    for name, (view, _) in views.items():
        image = np.zeros((1, 64, 64, 64, 1), np.float32)
        networks[name].model.predict_on_batch(image)  # the first time it is traced
        begun = perf_counter()
        networks[name].model.predict_on_batch(image)
        seen = sum(math.prod(size(view.window(core))) for core in view.windows(plan.windows[name]))
        total += (perf_counter() - begun) * seen / image.size
    return total


def labelling_seconds(shape: Shape, plan: Plan) -> float:
    """Forecast how long the blocks take, by the speed that was measured once (docs/benchmarks.md)."""
    return LABELLING_SPEED * sum(
        math.prod(size(grown(block, plan.halo, shape))) for block in cut(shape, plan.block)
    )


def _largest(shape: Shape, edges: Shape, halo: Shape) -> int:
    """Return how many voxels the largest piece has with what is around it."""
    sides = (_sides(n, edge, around) for n, edge, around in zip(shape, edges, halo, strict=True))
    return math.prod(int(side.max()) for side in sides)


def _check_fits(needed: float, memory: float, what: str) -> None:
    if needed > memory:
        raise InputError(
            f"{what} need {needed / 1e9:.1f} GB of memory, {memory / 1e9:.1f} GB may be taken: close other "
            "programs, give a larger --max-memory, fewer workers or a smaller --block"
        )


def _times(numbers: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in numbers)
