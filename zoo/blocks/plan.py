"""How a large volume is cut so that each piece fits into the memory, and what that will take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from zoo.blocks.view import View
from zoo.data.boxes import Shape, cut, grown, size
from zoo.errors import InputError
from zoo.forecast import bytes_needed
from zoo.recipe import Recipe

HALO_UM = 16.0  # ours: more than a late nucleus is wide; where an object goes on, more is looked at
PROCESS = 1.3e9  # bytes that Python, TensorFlow and two compact networks take (docs/benchmarks.md)
LABELLING = 56  # bytes a voxel of a block with its halo, at most (docs/benchmarks.md)
LABELLING_SPEED = 4e-7  # seconds a voxel of a block with its halo, both passes (docs/benchmarks.md)
BLOCKS = (512, 384, 256, 192, 128, 96, 64)  # edges that are tried, voxels
WINDOWS = (256, 192, 160, 128, 96, 64, 48, 32)  # the same of the networks, working voxels


@dataclass(frozen=True, slots=True)
class Plan:
    """How a volume is cut.

    Attributes
    ----------
    block, halo
        Of the labels, (z, y, x) voxels of the volume.
    windows
        Edge for each network, working voxels.
    memory
        Bytes that a worker will take, unless a block needs a larger halo.
    room
        Voxels that a block may have with whatever halo it needs.
    """

    block: Shape
    halo: Shape
    windows: Mapping[str, int]
    memory: int
    room: int


def make_plan(
    shape: Shape,
    spacing: Sequence[float],
    views: Mapping[str, tuple[View, Recipe]],
    memory: float,
    block: Shape | None = None,
) -> Plan:
    """Choose the largest blocks and windows that a memory allows.

    Parameters
    ----------
    shape, spacing
        Of the volume: (z, y, x) voxels, and their size in um.
    views
        What each network sees, and its recipe, by name.
    memory
        Bytes that a worker may take.
    block
        What the user wants, (z, y, x) voxels; ``None`` for the largest cubes that fit.

    Raises
    ------
    InputError
        Where not even the smallest fit: it says what they would need.
    """
    z, y, x = (min(math.ceil(HALO_UM / um), n) for um, n in zip(spacing, shape, strict=True))
    halo = z, y, x
    windows, most = {}, 0
    for name, (view, recipe) in views.items():
        costs = {edge: _network_bytes(view, recipe, edge) for edge in WINDOWS if edge % view.multiple == 0}
        windows[name] = _largest(costs, memory, f"windows of {name}")
        most = max(most, costs[windows[name]])
    if block is None:
        costs = {edge: _label_bytes(shape, _cube(edge, shape), halo) for edge in BLOCKS}
        block = _cube(_largest(costs, memory, "blocks"), shape)
    else:
        z, y, x = (min(edge, n) for edge, n in zip(block, shape, strict=True))
        block = z, y, x
        _largest({1: _label_bytes(shape, block, halo)}, memory, f"blocks of {z} x {y} x {x} voxels")
    taken = int(PROCESS + max(most, _label_bytes(shape, block, halo)))
    return Plan(block, halo, windows, taken, int((memory - PROCESS) / LABELLING))


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
            f"{name}: {_times(view.padded)} working voxels in {len(windows):,} windows of "
            f"{plan.windows[name]}, halo {view.halo}: {seen / math.prod(view.padded):.2f} times as many"
        )
    maps = sum(2 * math.prod(view.padded) for view, _ in views.values())
    lines.append(f"memory: {plan.memory / 1e9:.1f} GB a worker")
    lines.append(f"disk meanwhile: up to {(maps + 12 * math.prod(shape)) / 1e9:.1f} GB, compressed to less")
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


def _network_bytes(view: View, recipe: Recipe, edge: int) -> int:
    halo = -(-view.halo // view.multiple) * view.multiple
    return bytes_needed(recipe, [min(edge + 2 * halo, n) for n in view.padded])


def _label_bytes(shape: Shape, block: Shape, halo: Shape) -> int:
    return LABELLING * math.prod(min(b + 2 * h, n) for b, h, n in zip(block, halo, shape, strict=True))


def _largest(costs: Mapping[int, int], memory: float, what: str) -> int:
    fitting = [edge for edge, cost in costs.items() if PROCESS + cost <= memory]
    if not fitting:
        least = (PROCESS + min(costs.values())) / 1e9
        raise InputError(
            f"{what} need {least:.1f} GB of memory, {memory / 1e9:.1f} GB may be taken: close other "
            "programs, give a larger --max-memory, fewer workers or a smaller --block"
        )
    return max(fitting)


def _cube(edge: int, shape: Shape) -> Shape:
    z, y, x = (min(edge, n) for n in shape)
    return z, y, x


def _times(numbers: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in numbers)
