"""How a network sees a volume that stays on the disk: at its own voxels, mirrored at the faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.blocks.grid import Grid
from zoo.data.boxes import Box, Shape, grown, moved
from zoo.data.resample import resample_box, working_shape
from zoo.recipe import Recipe

MOST_HALO = 48  # working voxels; what the deeper networks see beyond it hardly counts (docs/large-volumes.md)

Read = Callable[[Box], np.ndarray]


@dataclass(frozen=True, slots=True)
class View:
    """The working grid of a network.

    Attributes
    ----------
    volume
        Shape of the volume, (z, y, x) voxels of the file.
    shape
        Of the volume resampled to the network's cubes, working voxels.
    padded
        Mirrored at its faces to what the network's poolings divide.
    before
        How much of that lies before the first voxel.
    multiple
        What the poolings divide.
    """

    volume: Shape
    shape: Shape
    padded: Shape
    before: Shape
    multiple: int

    @classmethod
    def of(cls, volume: Shape, spacing: Sequence[float], recipe: Recipe) -> View:
        """Return the grid of a network that is shown a volume of a voxel size (z, y, x), um."""
        z, y, x = working_shape(volume, spacing, recipe.voxel_um)
        edges = [-(-n // recipe.multiple) * recipe.multiple for n in (z, y, x)]
        before = [(edge - n) // 2 for edge, n in zip(edges, (z, y, x), strict=True)]
        return cls(
            volume,
            (z, y, x),
            (edges[0], edges[1], edges[2]),
            (before[0], before[1], before[2]),
            recipe.multiple,
        )

    @property
    def halo(self) -> int:
        """What a window needs around it: what the network sees, working voxels, or `MOST_HALO`.

        Of kernels of 3, two on each level: 2 x 2 voxels of each level's size, and 2 of the deepest, and the
        edge of a pooled voxel.
        """
        return min(7 * self.multiple - 4, MOST_HALO)

    @property
    def around(self) -> int:
        """The halo in whole pooled voxels, working voxels."""
        return -(-self.halo // self.multiple) * self.multiple

    def windows(self, edges: Shape) -> Grid:
        """Cut the padded grid into windows of some edges, (z, y, x) working voxels."""
        return Grid(self.padded, edges)

    def window(self, core: Box) -> Box:
        """Return what the network must see to map a window; whole pooled voxels."""
        return grown(core, (self.around,) * 3, self.padded)

    def read(self, read: Read, box: Box) -> np.ndarray:
        """Read a box of the padded grid.

        Parameters
        ----------
        read
            Takes a box of the volume.
        box
            In the padded grid.

        Returns
        -------
        (Z, Y, X) float32
            Resampled, not scaled.
        """
        ways = [
            _mirrored(np.arange(side.start - first, side.stop - first), n)
            for side, first, n in zip(box, self.before, self.shape, strict=True)
        ]
        z, y, x = (slice(int(way.min()), int(way.max()) + 1) for way in ways)
        part = resample_box(read, self.volume, self.shape, (z, y, x))
        index = [way - side.start for way, side in zip(ways, (z, y, x), strict=True)]
        if all((np.diff(way) == 1).all() for way in index):
            return part
        return part[np.ix_(*index)]

    def back(self, read: Read, box: Box) -> np.ndarray:
        """Bring a map of the padded grid back to a box of the volume.

        Parameters
        ----------
        read
            Takes a box of the padded grid.
        box
            In the volume.

        Returns
        -------
        (Z, Y, X) float32
        """
        return resample_box(lambda part: read(moved(part, self.before)), self.shape, self.volume, box)

    def needed(self, box: Box) -> Box:
        """Return the box of the padded grid that `back` reads for a box of the volume, or a little more."""
        z, y, x = (
            slice(
                max(int(side.start * new / old) - 1, 0) + first,
                min(int(np.ceil(side.stop * new / old)) + 1, new) + first,
            )
            for side, old, new, first in zip(box, self.volume, self.shape, self.before, strict=True)
        )
        return z, y, x


def _mirrored(at: np.ndarray, n: int) -> np.ndarray:
    """Return where voxels beyond the faces are mirrored from, as ``numpy.pad(mode="symmetric")`` does."""
    turn = at % (2 * n)
    return np.where(turn < n, turn, 2 * n - 1 - turn)
