"""Does an array fit into this machine? Asked before it is made."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from zoo.errors import InputError


def check_fits(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    """Refuse an array that is larger than the machine's memory.

    Parameters
    ----------
    shape
        The shape of the array.
    dtype
        Its type.
    path
        The file that it is read from, for the message.

    Raises
    ------
    InputError
        If it takes more bytes than the machine has.
    """
    needed = math.prod(shape) * np.dtype(dtype).itemsize
    # all of it, not what is free at the moment: that leaves out what the system's file cache would give back
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise InputError(
            f"{path} needs {needed / 1e9:,.1f} GB of memory for {' x '.join(map(str, shape))} voxels, this "
            f"machine has {memory / 1e9:,.1f} GB: read some frames (--frames) or crop it"
        )
