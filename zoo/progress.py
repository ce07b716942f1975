"""How far long work is, said from deep inside it to whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Listener = Callable[[str, int, int], None]
Item = TypeVar("Item")

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_stage: ContextVar[str] = ContextVar("stage", default="")


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have a listener told of the work in a ``with`` block.

    Parameters
    ----------
    listener
        Takes the stage of the work, how many of its parts are done, and how many there are: 0 where it has
        none.
    """
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def stage(name: str) -> None:
    """Say what is done next."""
    _stage.set(name)
    _tell(0, 0)


def parts(items: Sequence[Item]) -> Iterator[Item]:
    """Hand on the parts of a stage one by one, and say how many are done."""
    for done, item in enumerate(items):
        _tell(done, len(items))
        yield item
    _tell(len(items), len(items))


def _tell(done: int, total: int) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(_stage.get(), done, total)
