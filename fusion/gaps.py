"""Chains of 2-D segments: which goes on in which, and what stands in a missing slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from zoo.fusion.detections import Detections

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]


def mutual(pairs: Ints, *costs: Floats) -> npt.NDArray[np.bool_]:
    """Find the pairs in which each is the other's cheapest partner.

    Parameters
    ----------
    pairs
        (P, 2) int. A lower and an upper segment each.
    *costs
        (P,) float each. The second decides between equals of the first, and so on; of equals in all the pair
        of the smaller numbers is the cheaper, so that the order of the pairs does not matter.

    Returns
    -------
    (P,) bool
        At most one pair a lower and one an upper segment.
    """
    order = np.lexsort((pairs[:, 1], pairs[:, 0], *costs[::-1]))
    found = np.ones(len(pairs), bool)
    for side in (0, 1):
        best = np.zeros(len(pairs), bool)
        best[order[np.unique(pairs[order, side], return_index=True)[1]]] = True
        found &= best
    return found


def overlaps(volume: Ints, segments: Detections, lower: Ints, step: int) -> tuple[Ints, Ints]:
    """Count the pixels that segments share with those some slices above.

    Parameters
    ----------
    volume
        (Z, Y, X) int. Segment i is i + 1.
    segments
        N masks of one slice (z, y, x) each.
    lower
        (L,) int. Which segments to look above of.
    step
        How many slices above.

    Returns
    -------
    pairs : (P, 2) int
        A lower and an upper segment each, sharing a pixel or more when laid upon one another.
    shared : (P,) int
        Pixels in common.
    """
    pairs, shared = [np.zeros((0, 2), int)], [np.zeros(0, int)]
    for i in lower:
        z, y, x = segments.starts[i]
        if z + step >= len(volume):
            continue
        mask = segments.masks[i][0]
        above = volume[z + step, y : y + mask.shape[0], x : x + mask.shape[1]][mask]
        upper, counts = np.unique(above[above > 0], return_counts=True)
        pairs.append(np.column_stack([np.full(len(upper), i), upper - 1]))
        shared.append(counts)
    return np.concatenate(pairs), np.concatenate(shared)


def fill(volume: Ints, segments: Detections, links: Ints) -> Ints:
    """Fill the slices that a link leaps over with the intersection of its two segments.

    Only empty voxels are filled. Short gaps come first, then those of the lower numbers. A gap that another
    object bars, so that the two segments would not hang together, stays empty.

    Parameters
    ----------
    volume
        (Z, Y, X) int. Segment i is i + 1; changed in place: a filled voxel takes the lower segment's number.
    segments
        N masks of one slice (z, y, x) each.
    links
        (L, 2) int. A lower and an upper segment each; every segment at most once on either side.

    Returns
    -------
    (K, 2) int
        The links whose two segments overlap, directly or through what was filled.
    """
    boxes = segments.boxes()
    steps = segments.starts[links[:, 1], 0] - segments.starts[links[:, 0], 0]
    kept = []
    for lower, upper in links[np.lexsort((links[:, 0], steps))]:
        low, high = boxes[lower], boxes[upper]
        shared = tuple(
            slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(low[1:], high[1:], strict=True)
        )
        if any(side.start >= side.stop for side in shared):
            continue
        both = _crop(segments.masks[lower][0], low, shared) & _crop(segments.masks[upper][0], high, shared)
        gap = volume[(slice(low[0].stop, high[0].start), *shared)]
        free = both & (gap == 0)
        stack = np.concatenate([both[None], free, both[None]])
        if (stack[:-1] & stack[1:]).any(axis=(1, 2)).all():
            gap[free] = lower + 1
            kept.append((lower, upper))
    return np.array(kept, int).reshape(-1, 2)


def chains(count: int, links: Ints) -> Ints:
    """Find the chains that links make of segments.

    Parameters
    ----------
    count
        Number of segments N.
    links
        (L, 2) int. Two segments each.

    Returns
    -------
    (N,) int
        The chain of each segment, 0.. in the order of their lowest-numbered segments.
    """
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(count, count))
    found = connected_components(graph, directed=False)[1]
    first, chain = np.unique(found, return_index=True, return_inverse=True)[1:]
    return np.argsort(np.argsort(first))[chain]


def _crop(mask: npt.NDArray[np.bool_], box: tuple[slice, ...], shared: tuple[slice, ...]) -> Any:
    """Cut the part of the image out of a mask that lies at `box`, both (y, x)."""
    return mask[
        tuple(
            slice(part.start - side.start, part.stop - side.start)
            for part, side in zip(shared, box[1:], strict=True)
        )
    ]
