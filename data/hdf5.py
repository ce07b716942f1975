"""Is a file of weights what it should be? Its list of arrays decides, before any is read or Keras loaded.

HDF5 can name arrays in other files, declare terabytes that it does not hold, and hold text and references:
nothing that weights need, and each a way to read or fill what is not theirs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import h5py

from zoo.errors import InputError

_MOST = 4  # bytes of arrays a byte of the file; ours: weights hardly compress, and are not compressed here


def check_arrays(path: Path) -> None:
    """Refuse a file of weights that is damaged, or holds anything but arrays of numbers of its own.

    Parameters
    ----------
    path
        HDF5.

    Raises
    ------
    InputError
        If it cannot be opened; if a name in it stands for something outside; if an array lies in another
        file, is not of numbers, or declares more than the file can hold.
    """
    declared = 0

    def fault(name: str, link: object) -> str | None:
        """Say what is wrong; what h5py's walk is given back ends it."""
        nonlocal declared
        if not isinstance(link, h5py.HardLink):
            return f"{name} is a link to another place"
        item = file[name]
        if not isinstance(item, h5py.Dataset):
            return None
        if item.is_virtual or item.external:
            return f"{name} lies in another file"
        if item.dtype.kind not in "biuf":
            return f"{name} is of the type {item.dtype}, not of numbers"
        declared += item.nbytes
        return None

    try:
        size = path.stat().st_size
        with h5py.File(path, "r") as file:
            found = file.visititems_links(fault)
    except Exception as error:  # a damaged file makes h5py raise nearly any type
        _refuse(path, " ".join(str(error).split())[:200])
    if found is None and declared > _MOST * size:
        found = f"its arrays would take {declared:,} bytes, and it has {size:,}"
    if found is not None:
        _refuse(path, found)


def _refuse(path: Path, why: str) -> NoReturn:
    raise InputError(f"weights {path} cannot be loaded, as they are damaged or unsafe ({why}): get them anew")
