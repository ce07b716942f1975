"""Reading on where a chunk is damaged."""

from __future__ import annotations

import numpy as np

from zoo.data.boxes import Box, inside, size
from zoo.data.volumes import Volume
from zoo.errors import InputError

SMALLEST = 32  # voxels: pieces of a damaged part are not made smaller


class Unreadable(InputError):
    """Nothing at all of a box can be read."""


class Reader:
    """Reads boxes of a volume; what cannot be decoded is as dark as the darkest beside it, and named.

    Parameters
    ----------
    volume
        Where from.
    dark
        What a box is filled with of which nothing can be read; ``None`` makes that an error.

    Attributes
    ----------
    faults
        What could not be read, a line each.
    """

    def __init__(self, volume: Volume, dark: float | None = None) -> None:
        self._volume, self._dark = volume, dark
        self.faults: list[str] = []

    def __call__(self, box: Box) -> np.ndarray:
        """Read a box; (Z, Y, X) in the file's type.

        Raises
        ------
        InputError
            Where it has values that are not finite, or (`Unreadable`) nothing at all can be read.
        """
        try:
            found = self._volume.read(box)
        except InputError:
            found = self._read_around(box)
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            where = ", ".join(f"{side.start} to {side.stop - 1}" for side in box)
            raise InputError(
                f"{self._volume.source} has NaN or infinity in z, y, x {where}: put 0 there, for instance"
            )
        return found

    def _read_around(self, box: Box) -> np.ndarray:
        found = np.zeros(size(box), self._volume.dtype)
        known = np.zeros(size(box), bool)
        self._fill(found, known, box, box)
        if not known.any() and self._dark is None:
            raise Unreadable(self.faults[0])
        found[~known] = found[known].min() if known.any() else self._dark
        return found

    def _fill(self, found: np.ndarray, known: np.ndarray, whole: Box, box: Box) -> None:
        """Read a box in halves, and these in halves, where it cannot be read as one."""
        at = inside(box, whole)
        try:
            found[at] = self._volume.read(box)
            known[at] = True
        except InputError as fault:
            edges = size(box)
            longest = int(np.argmax(edges))
            if edges[longest] <= SMALLEST:
                if str(fault) not in self.faults:
                    self.faults.append(str(fault))
                return
            middle = box[longest].start + edges[longest] // 2
            for half in (slice(box[longest].start, middle), slice(middle, box[longest].stop)):
                z, y, x = (half if axis == longest else side for axis, side in enumerate(box))
                self._fill(found, known, whole, (z, y, x))
