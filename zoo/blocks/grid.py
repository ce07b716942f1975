"""All boxes that a volume is cut into, found by arithmetic: a run of terabytes has a million of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from zoo.data.boxes import Box, Shape, cut


@dataclass(frozen=True, slots=True)
class Grid:
    """The boxes of :func:`zoo.data.boxes.cut`, by their numbers in scan order.

    Attributes
    ----------
    shape, edges
        Of the volume and of a box, (z, y, x) voxels.
    """

    shape: Shape
    edges: Shape

    @property
    def counts(self) -> Shape:
        """How many boxes lie along each axis."""
        z, y, x = (-(-n // edge) for n, edge in zip(self.shape, self.edges, strict=True))
        return z, y, x

    def __len__(self) -> int:
        z, y, x = self.counts
        return z * y * x

    def __iter__(self) -> Iterator[Box]:
        return iter(cut(self.shape, self.edges))

    def __getitem__(self, number: int) -> Box:
        """Return a box."""
        if not 0 <= number < len(self):
            raise IndexError(f"box {number} of {len(self)}")
        _, rows, columns = self.counts
        place = number // (rows * columns), number // columns % rows, number % columns
        z, y, x = (
            slice(i * edge, min((i + 1) * edge, n))
            for i, edge, n in zip(place, self.edges, self.shape, strict=True)
        )
        return z, y, x

    def touching(self, box: Sequence[slice]) -> list[int]:
        """Return the numbers of the boxes that have a voxel in common with one, ascending."""
        _, rows, columns = self.counts
        places = (
            range(side.start // edge, -(-side.stop // edge))
            for side, edge in zip(box, self.edges, strict=True)
        )
        return [(z * rows + y) * columns + x for z, y, x in product(*places)]
