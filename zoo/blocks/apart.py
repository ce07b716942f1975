"""Where the networks of a run are at work: in a process of its own, as TensorFlow gives no memory back.

Its allocator keeps what the largest window took until the process ends, and labels would have to do with the
rest.
"""

from __future__ import annotations

import atexit
import math
import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import RLock, Thread
from time import sleep
from typing import TypeVar

import psutil

from zoo.beside import start
from zoo.blocks.engine import Work, in_one_line

Answer = TypeVar("Answer")


class Helper:
    """A process that does pieces of work one after the other; it ends when this one does."""

    def __init__(self) -> None:
        self.held = 0  # bytes, after the last piece
        self._line, self._process = start("zoo.blocks.apart")

    def do(self, work: Callable[[int], Answer], number: int) -> Answer:
        """Have a piece done, and return or raise what it does.

        Raises
        ------
        RuntimeError
            Where the process is gone.
        """
        try:
            self._line.send((work, number))
            told, fault, cause, self.held = self._line.recv()
        except (EOFError, OSError):
            raise RuntimeError(
                f"the process of the networks has ended (code {self._process.wait()}), most often for want "
                "of memory"
            ) from None
        if fault is not None:
            raise fault from cause
        return told  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._line.close()


_helper: Helper | None = None  # of this process
_one_at_a_time = RLock()  # a worker of Dask may have several threads


def apart(work: Callable[[int], Answer], number: int, most: float = math.inf) -> Answer:
    """Do a piece of work in a process of its own, which stays for the next one unless it holds too much.

    Parameters
    ----------
    work
        What can be pickled.
    number
        Which piece.
    most
        Bytes that the process may hold after it; if more, it ends, and the next piece gets a new one.

    Returns
    -------
    object
        What the work returns.

    Raises
    ------
    RuntimeError
        Where that process has ended; the next piece gets a new one. Else what the work raised.
    """
    global _helper
    with _one_at_a_time:
        if _helper is None:
            _helper = Helper()
        try:
            told = _helper.do(work, number)
        except RuntimeError:
            end()
            raise
        if _helper.held > most:
            end()
    return told


def alone(work: Work, number: int) -> list[str]:
    """Do a piece of work here, after the process that `apart` made has given its memory back."""
    end()
    return work(number)


@atexit.register
def end() -> None:
    """End the process that `apart` made, if there is one."""
    global _helper
    with _one_at_a_time:
        if _helper is not None:
            _helper.end()
        _helper = None


def serve(line: Connection) -> None:
    """Do the pieces that come; answer each with what it returned, or what was raised and its cause."""
    while True:
        work, number = line.recv()
        try:
            told, fault, cause = work(number), None, None
        except Exception as raised:
            told, (fault, cause) = [], _packable(raised)
        line.send((told, fault, cause, psutil.Process().memory_info().rss))


def _packable(fault: Exception) -> tuple[Exception, BaseException | None]:
    """Return an exception and its cause, or what they say where they are not for another process.

    Python's and ours are: others would load what raised them there, such as TensorFlow.
    """
    try:
        pickle.loads(pickle.dumps((fault, fault.__cause__)))  # some can be packed, and not unpacked
    except Exception:
        return RuntimeError(in_one_line(fault)), None
    known, cause = (_is_known(one) for one in (fault, fault.__cause__))
    return fault if known else RuntimeError(in_one_line(fault)), fault.__cause__ if cause else None


def _is_known(fault: BaseException | None) -> bool:
    return type(fault).__module__.partition(".")[0] in ("builtins", "zoo")


def _follow(parent: int) -> None:
    """End this process soon after the one that made it, whatever it does."""
    while os.getppid() == parent:
        sleep(1)
    os._exit(1)


def main(number: int) -> None:
    """Serve whoever holds the other end of an open file descriptor, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: who started this one ends it
    Thread(target=_follow, args=[os.getppid()], daemon=True).start()
    gone = EOFError, BrokenPipeError, ConnectionResetError  # nobody is there any more
    with Connection(number) as line, suppress(*gone):
        serve(line)


if __name__ == "__main__":
    main(int(sys.argv[1]))
