"""Pieces of work that tell where they are done, or fail."""

import errno
import os
import time

from zoo.errors import InputError


class Unpackable(Exception):
    """Made of two words, and packed as one."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def where(number):
    return [str(os.getpid()), str(number)]


def end_all(number):
    os._exit(number)


def refuse(number):
    try:
        raise OSError(errno.ENOSPC, "no space", "here")
    except OSError as fault:
        raise InputError(f"piece {number}") from fault


def fail(number):
    raise Unpackable("piece", number)


def sleep(number):
    time.sleep(number)
    return []


def foreign(number):
    import zipfile

    raise zipfile.BadZipFile(f"piece {number}")
