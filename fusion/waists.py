"""Where a chain of segments is two nuclei above one another: at its waist."""

from __future__ import annotations

import numpy as np

from zoo.fusion.gaps import Ints

# Ours: of 0 (never), 0.5, 0.6, 0.7 and 0.8 the best on validation embryo Emb06 (docs/models/emrcnn.md)
WAIST = 0.7
# Two nuclei of two segments and the one between them; shorter chains have bumps, not waists
LEAST = 5


def part_at_waists(links: Ints, areas: Ints) -> Ints:
    """Take links away where the area of a chain's segments falls and rises again.

    A nucleus is convex: from its lower tip its slices grow, then shrink. A chain is cut above the segment
    that is smallest for what lies below and above it, where that is less than 0.7 of the largest segment on
    either side; then its two parts are looked at in the same way.

    Parameters
    ----------
    links
        (L, 2) int. A lower and an upper segment each; every segment at most once on either side.
    areas
        (N,) int. Of each segment, pixels.

    Returns
    -------
    (K, 2) int
        The links that are left, in their order.
    """
    above = np.full(len(areas), -1)
    above[links[:, 0]] = links[:, 1]
    starts = np.setdiff1d(links[:, 0], links[:, 1])
    cut = np.zeros(len(areas), bool)
    for start in starts:
        chain = [int(start)]
        while above[chain[-1]] >= 0:
            chain.append(int(above[chain[-1]]))
        cut[[chain[at] for at in _waists(areas[chain])]] = True
    return links[~cut[links[:, 0]]]


def _waists(areas: Ints) -> list[int]:
    """Return where a chain's areas have their waists, each the last index of the part below it."""
    if len(areas) < LEAST:
        return []
    inner = areas[1:-1]
    below = np.maximum.accumulate(areas)[:-2]
    over = np.maximum.accumulate(areas[::-1])[::-1][2:]
    shares = inner / np.minimum(below, over)
    at = int(shares.argmin()) + 1
    if shares[at - 1] >= WAIST:
        return []
    return [*_waists(areas[: at + 1]), at, *(at + 1 + later for later in _waists(areas[at + 1 :]))]
