"""Cropped masks in tables, as a run by blocks keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np


def pack(starts: np.ndarray, crops: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Lay crops of a volume or its slices out as one row of values.

    Parameters
    ----------
    starts : (N, D) int
        First voxel of each.
    crops
        N arrays of D axes and of one type; of bool, eight become a byte.

    Returns
    -------
    dict
        ``starts``, ``edges`` and ``values``, for :func:`unpack`.
    """
    axes = starts.shape[1]
    rows = [crop.ravel() for crop in crops]
    values = np.concatenate(rows) if rows else np.zeros(0, np.uint8)
    return {
        "starts": np.asarray(starts, np.int64),
        "edges": np.array([crop.shape for crop in crops], np.int64).reshape(-1, axes),
        "values": np.packbits(values) if values.dtype == bool else values,
    }


def unpack(table: Mapping[str, np.ndarray], bits: bool) -> Iterator[np.ndarray]:
    """Yield the crops of a table in their order; ``bits`` where they were of bool."""
    sizes = table["edges"].prod(axis=1)
    values = table["values"]
    if bits:
        values = np.unpackbits(values, count=int(sizes.sum())).astype(bool)
    ends = np.cumsum(sizes)
    for edges, first, end in zip(table["edges"], ends - sizes, ends, strict=True):
        yield values[first:end].reshape(edges)
