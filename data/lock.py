"""Keeping other commands out of a folder, where the file system has locks."""

from __future__ import annotations

import fcntl

from zoo.errors import InputError


def lock(descriptor: int, told: str, share: bool = False) -> None:
    """Lock an open file or folder until it is closed.

    Parameters
    ----------
    descriptor
        Of the open file or folder.
    told
        What to say where another command holds it.
    share
        Whether others that share it are let in.

    Raises
    ------
    InputError
        Where another command holds it.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if share else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(told) from None
    except OSError:
        pass  # a file system without locks
