"""Lists of arrays in one file: the weights of a detector and its optimiser's state."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np

from zoo.data.write import atomic
from zoo.errors import InputError


def save(path: Path, groups: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write named lists of arrays, at once or not at all.

    Parameters
    ----------
    path
        The file to write, HDF5.
    groups
        Name to arrays; their order is kept.
    """
    content = BytesIO()  # on a full disk HDF5 itself ends in a crash
    with h5py.File(content, "w") as file:
        for name, arrays in groups.items():
            for index, array in enumerate(arrays):
                file.create_dataset(f"{name}/{index:04d}", data=array)
    with atomic(path) as part:
        part.write_bytes(content.getbuffer())


def load(path: Path, name: str, like: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Read a list of arrays.

    Parameters
    ----------
    path
        From :func:`save`.
    name
        Of the list.
    like
        Arrays of the shapes that are expected.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or holds other shapes: weights of another network.
    """
    try:
        with h5py.File(path, "r") as file:
            arrays = [np.asarray(file[name][key]) for key in sorted(file[name])]
    except (OSError, KeyError, TypeError, AttributeError, ValueError, RuntimeError) as fault:
        reason = " ".join(str(fault).split())
        raise InputError(f"weights {path} cannot be read ({reason}): train anew") from None
    found, wanted = [array.shape for array in arrays], [np.shape(array) for array in like]
    if found != wanted:
        raise InputError(
            f"weights {path} are of another network ({_told(found)}; this one has {_told(wanted)}): give "
            "those of its own backbone"
        )
    return arrays


def _told(shapes: Sequence[tuple[int, ...]]) -> str:
    return f"{len(shapes)} arrays, {sum(map(math.prod, shapes)):,} values"
