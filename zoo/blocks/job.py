"""What every worker of a run by blocks must know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from zoo import registry
from zoo.blocks.grid import Grid
from zoo.blocks.store import Store
from zoo.blocks.view import View
from zoo.data.boxes import Box, Shape, grown, size
from zoo.data.io import Spacing
from zoo.data.volumes import Volume
from zoo.entry import Entry
from zoo.familiar import rescaled
from zoo.recipe import Recipe
from zoo.segment import Network
from zoo.weights import open_networks, open_runs

if TYPE_CHECKING:
    from zoo.train.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A volume, what segments it, and how it is cut. It goes to other processes.

    Attributes
    ----------
    name
        Of a pipeline in the registry that has an NSN and an NDN, or an ensemble of detectors.
    weights
        As :func:`zoo.weights.open_networks` takes them.
    volume, spacing
        What is segmented, and its voxel size (z, y, x) in um.
    store
        Where the steps meet.
    block, halo
        Of the labels: edges, and what is looked at around them, (z, y, x) voxels of the volume.
    windows
        Edges of the windows of each network, (z, y, x) working voxels.
    room
        Voxels that a block with its halos may have, for the memory's sake.
    apart
        Bytes after which another process takes over from that of the networks; 0 where they have none.
    deterministic
        Whether they compute the same bits each time.
    threshold, diameter
        As of :func:`zoo.segment.segment`.
    time
        Which frame of a series it is; ``None`` where there is no time axis.
    """

    name: str
    weights: tuple[str, ...]
    volume: Volume
    spacing: Spacing
    store: Store
    block: Shape
    halo: Shape
    windows: Mapping[str, Shape]
    room: int
    threshold: float
    apart: int = 0
    deterministic: bool = False
    diameter: float | None = None
    time: int | None = None

    @property
    def entry(self) -> Entry:
        """The pipeline."""
        return registry.get(self.name)

    @property
    def blocks(self) -> Grid:
        """All blocks, in scan order."""
        return Grid(self.volume.shape, self.block)

    def network(self, name: str) -> Network:
        """Return a network, loaded once a process."""
        return load_networks(self.name, self.weights, self.deterministic)[name]

    def shown(self, name: str) -> Spacing:
        """Return the voxel size that a network is shown, (z, y, x) in um."""
        if self.diameter is None:
            return self.spacing
        objects = read_runs(self.name, self.weights)[name].settings.get("objects")
        return rescaled(self.spacing, self.diameter, objects)

    def recipe(self, name: str) -> Recipe:
        """Return the recipe that a network was trained by."""
        return cast(Recipe, read_runs(self.name, self.weights)[name].recipe)

    def view(self, name: str) -> View:
        """Return the grid that a network sees."""
        return View.of(self.volume.shape, self.shown(name), self.recipe(name))

    def all_windows(self, name: str) -> Grid:
        """Return all windows of a network, in scan order."""
        return self.view(name).windows(self.windows[name])

    @property
    def halo_um(self) -> float:
        """The least extent of the halo, um, but for axes that it covers from face to face."""
        sides = [
            edge * um
            for edge, um, n in zip(self.halo, self.spacing, self.volume.shape, strict=True)
            if edge < n
        ]
        return min(sides, default=math.inf)

    def is_whole(self, window: Box) -> bool:
        """Tell whether a window is all of the volume."""
        return size(window) == self.volume.shape

    def has_room(self, block: Box, times: int) -> bool:
        """Tell whether the memory allows a block with so many halos."""
        return math.prod(size(self.around(block, times))) <= self.room

    def around(self, block: Box, times: int = 1) -> Box:
        """Return a block with its halo, or with several of them."""
        return grown(block, [times * edge for edge in self.halo], self.volume.shape)


@lru_cache(maxsize=2)
def read_runs(name: str, weights: tuple[str, ...]) -> Mapping[str, Run]:
    """Read what is known of the networks of a pipeline, once a process: who only hands out needs no more."""
    return open_runs(registry.get(name), weights)


@lru_cache(maxsize=2)
def load_networks(name: str, weights: tuple[str, ...], deterministic: bool = False) -> Mapping[str, Network]:
    """Load the networks of a pipeline, once a process, and have them compute the same bits where asked."""
    if deterministic:
        from zoo.train.device import be_deterministic

        be_deterministic(0)
    return open_networks(registry.get(name), weights)
