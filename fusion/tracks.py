"""The objects of a time series, linked from frame to frame into tracks with parents at divisions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.write import smallest_unsigned
from zoo.defaults import MAX_DISTANCE_UM
from zoo.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """Which object belongs to which track.

    Parameters
    ----------
    frames, labels : (N,) int
        Of each object: its frame, counted from 0, and its label there; ordered by frame, then by label.
    centres : (N, 3) float
        Mean position (z, y, x) of its voxels in um; the middle of the first voxel is at 0.
    owners : (N,) int
        Number of its track. Tracks are numbered from 1 in the order of their first objects.
    begins, ends : (K,) int
        Of each track: its first and its last frame. It has one object in each frame from one to the other.
    parents : (K,) int
        The track that it comes from, 0 where none is known. Of a parent with two children the nucleus has
        divided; one with a single child was missed in the frame between the two.
    """

    frames: Ints
    labels: Ints
    centres: Floats
    owners: Ints
    begins: Ints
    ends: Ints
    parents: Ints

    @property
    def divisions(self) -> Ints:
        """(D,). The tracks that end in a division."""
        return np.flatnonzero(np.bincount(self.parents)[1:] > 1) + 1

    def paths(self) -> tuple[Floats, Floats]:
        """Measure how far the tracks went.

        Returns
        -------
        path : (K,) um
            Length of the way through the centres of a track.
        displacement : (K,) um
            Distance of its last centre from its first.
        """
        order = np.argsort(self.owners, kind="stable")  # the objects of a track stay in the order of time
        centres, owners = self.centres[order], self.owners[order]
        steps = np.linalg.norm(np.diff(centres, axis=0), axis=1) * (owners[1:] == owners[:-1])
        first = np.searchsorted(owners, np.arange(len(self.begins)) + 1)
        last = first + self.ends - self.begins
        path = np.zeros(len(self.begins))
        np.add.at(path, owners[1:] - 1, steps)
        return path, np.linalg.norm(centres[last] - centres[first], axis=1)


def check_tracker() -> None:
    """Refuse to go on where laptrack is not installed.

    Raises
    ------
    InputError
        Saying how to install it.
    """
    if find_spec("laptrack") is None:
        raise InputError("tracking needs laptrack: pip install 'cellzoo[track]'")


def link(
    labels: Iterable[NDArray[Any]], spacing: Sequence[float], *, max_distance_um: float = MAX_DISTANCE_UM
) -> Tracks:
    """Link the objects of a time series into tracks.

    Twice linear assignments (Jaqaman et al. [1]_, by the library laptrack [2]_): first the centres of
    neighbouring frames are paired; then what ends is joined with what begins two frames later (a nucleus
    that was missed once), and what else begins becomes a daughter of a nucleus in the frame before. The sum
    of squared distances is least; any link that is short enough is better than none.

    Parameters
    ----------
    labels
        Frames (Z, Y, X) of integers, 0 is the background. They are taken one at a time, and only the places
        of their objects are kept.
    spacing
        Voxel size (z, y, x) in um.
    max_distance_um
        Farthest that a centre may go from one frame to the next, also that of a daughter from its mother's.

    Returns
    -------
    Tracks
        Each object belongs to one track.

    Raises
    ------
    InputError
        If a frame is no label volume, a size or the distance is not above 0, or laptrack is not installed.

    References
    ----------
    .. [1] Jaqaman et al., Nat Methods 5:695, 2008.
    .. [2] Fukai and Kawaguchi, Bioinformatics 39:btac799, 2023.
    """
    check_tracker()
    if not 0 < max_distance_um < math.inf:
        raise InputError(f"largest distance {max_distance_um} um: give a number above 0")
    if len(spacing) != 3 or not all(0 < size < math.inf for size in spacing):
        raise InputError(f"voxel size {tuple(spacing)} um: all three (z, y, x) must be above 0")
    found = [_centres(frame, spacing) for frame in labels]
    frames = np.repeat(np.arange(len(found)), [len(ids) for ids, _ in found])
    ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in found)])
    centres = np.concatenate([np.zeros((0, 3)), *(centres for _, centres in found)])
    return _number(frames, ids, centres, _links([centres for _, centres in found], max_distance_um))


def relabel(labels: Iterable[NDArray[Any]], tracks: Tracks) -> Iterator[NDArray[Any]]:
    """Give each object the number of its track.

    Parameters
    ----------
    labels
        The frames (Z, Y, X) that were linked.
    tracks
        What `link` made of them.

    Yields
    ------
    (Z, Y, X)
        A frame with the numbers of tracks, all frames in the smallest unsigned type that holds them.

    Raises
    ------
    InputError
        If a frame has other objects than the one that was linked.
    """
    dtype = smallest_unsigned(len(tracks.begins))
    for index, frame in enumerate(labels):
        chosen = tracks.frames == index
        inside, ids, place = _objects(frame)
        if not np.array_equal(ids, tracks.labels[chosen]):
            raise InputError(f"frame {index} has other labels than those that were linked: give the same")
        numbered = np.zeros(frame.shape, dtype)
        numbered.reshape(-1)[inside] = tracks.owners[chosen].astype(dtype)[place]
        yield numbered


def _objects(frame: NDArray[Any]) -> tuple[Ints, Ints, Ints]:
    """Return the flat indices of voxels in objects, the labels, ascending, and which of them each has."""
    if frame.ndim != 3 or frame.dtype.kind not in "iu":
        raise InputError(
            f"a frame (shape {frame.shape}, {frame.dtype}) must be a (z, y, x) volume of integer labels"
        )
    inside = np.flatnonzero(frame)
    ids, place = np.unique(frame.reshape(-1)[inside], return_inverse=True)
    if len(ids) and ids[0] < 0:
        raise InputError(f"labels hold {ids[0]}: they must be 0 (the background) or above; renumber them")
    return inside, ids.astype(np.int64), place


def _centres(frame: NDArray[Any], spacing: Sequence[float]) -> tuple[Ints, Floats]:
    """Return the labels of a frame and the centres of their voxels, (N, 3) um."""
    inside, ids, place = _objects(frame)
    sizes = np.bincount(place, minlength=len(ids))
    voxels = np.unravel_index(inside, frame.shape)
    sums = [np.bincount(place, index, len(ids)) for index in voxels]
    return ids, np.stack(sums, axis=1) / sizes[:, None] * np.asarray(spacing, float)


def _links(centres: Sequence[Floats], max_distance_um: float) -> Ints:
    """Return pairs of objects that follow each other, (E, 2), as rows of all objects."""
    if not any(map(len, centres)):  # laptrack fails
        return np.zeros((0, 2), np.int64)
    from laptrack import LapTrack

    limit = max_distance_um**2
    # laptrack takes the costs of beginnings and ends from all distances of a series, so that one frame would
    # change the links of another; with the largest distance for both, none that is allowed is dropped
    tracker = LapTrack(
        cutoff=limit,
        splitting_cutoff=limit,
        gap_closing_cutoff=limit,
        gap_closing_max_frame_count=2,
        track_start_cost=limit,
        track_end_cost=limit,
        segment_start_cost=limit,
        segment_end_cost=limit,
        no_splitting_cost=limit,
    )
    starts = np.cumsum([0, *map(len, centres)])
    pairs = [[starts[frame] + index for frame, index in edge] for edge in tracker.predict(centres).edges]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _number(frames: Ints, labels: Ints, centres: Floats, links: Ints) -> Tracks:
    """Make tracks of linked objects.

    A track goes on while an object has one successor, in the next frame: the Cell Tracking Challenge wants
    tracks without holes, and after one a track begins whose parent is the old one.
    """
    earlier, later = links.T
    goes_on = (np.bincount(earlier, minlength=len(frames))[earlier] == 1) & (
        frames[later] == frames[earlier] + 1
    )
    before = np.full(len(frames), -1)
    before[later[goes_on]] = earlier[goes_on]
    owners = np.cumsum(before < 0, dtype=np.int64)
    for row in np.flatnonzero(before >= 0):  # those of earlier frames stand before it
        owners[row] = owners[before[row]]
    begins = frames[before < 0]
    ends = begins.copy()
    np.maximum.at(ends, owners - 1, frames)
    parents = np.zeros_like(begins)
    parents[owners[later[~goes_on]] - 1] = owners[earlier[~goes_on]]
    return Tracks(frames, labels, centres, owners, begins, ends, parents)
