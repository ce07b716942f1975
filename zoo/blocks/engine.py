"""Who does the steps of a run: this process, or the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from zoo.data.write import DISK_FULL
from zoo.errors import InputError

TRIES = 3  # of a piece that fails, before the others go on without it

Work = Callable[[int], list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a piece.

    Attributes
    ----------
    number
        Which it was.
    unread
        What could not be read of the volume, where the rest was done all the same.
    fault
        Why it failed, empty where it did not.
    """

    number: int
    unread: tuple[str, ...] = ()
    fault: str = ""


def here(work: Work, numbers: Iterable[int]) -> Iterator[Outcome]:
    """Do pieces of work one after the other in this process."""
    for number in numbers:
        yield tried(work, number)


def tried(work: Work, number: int) -> Outcome:
    """Do a piece, up to three times; bad input is as bad the next time.

    Raises
    ------
    InputError
        Where the disk is full: no other piece would fare better.
    """
    said = ""
    for _ in range(TRIES):
        try:
            return Outcome(number, tuple(work(number)))
        except InputError as fault:
            stop_on_full_disk(fault)
            return Outcome(number, fault=str(fault))
        except Exception as fault:
            stop_on_full_disk(fault)
            said = in_one_line(fault)
    return Outcome(number, fault=said)


def in_one_line(fault: BaseException) -> str:
    """Say what was raised."""
    return f"{type(fault).__name__}: {' '.join(str(fault).split())[:200]}".removesuffix(": ")


def stop_on_full_disk(fault: BaseException) -> None:
    """Raise `InputError` where a fault is, or comes from, a full disk."""
    cause = fault if isinstance(fault, OSError) else fault.__cause__
    if isinstance(cause, OSError) and cause.errno in DISK_FULL:
        raise InputError(
            f"the disk is full ({cause.filename or cause.strerror}): free some space and give the command "
            "again; what is done stays"
        ) from None
