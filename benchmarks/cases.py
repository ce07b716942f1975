"""What a row of ``bench_all.py`` is: one thing done in two ways, at three sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to do it.

    Parameters
    ----------
    what
        Its cell in the table.
    prepare
        Takes a size, and returns what is measured. It imports and makes what that needs.
    peer
        Module of another project without which it is not run.
    env
        Set before its process begins.
    """

    what: str
    prepare: Callable[[int], Work]
    peer: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A row of the table.

    Parameters
    ----------
    name
        What ``--only`` takes.
    topic
        First cell.
    ours, theirs
        The two ways; without a second one there is no ratio.
    sizes
        From small to large. The largest is the row's; all three tell the growth.
    amount
        Takes a size, and returns how large the input is, in `unit`.
    unit
        Of `amount`.
    same
        Takes a way's result, and returns a number in which the two must agree to 0.1 %; ``None`` where they
        are not meant to.
    note
        Takes a way's result, and returns what its cell says besides.
    """

    name: str
    topic: str
    ours: Way
    theirs: Way | None = None
    sizes: tuple[int, int, int]
    amount: Callable[[int], int]
    unit: str
    same: Callable[[Any], float] | None = None
    note: Callable[[Any], str] | None = None
