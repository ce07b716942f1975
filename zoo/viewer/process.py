"""Where a pipeline runs: in a process of its own, which can be ended at any time.

In napari's process TensorFlow cannot be relied on: it brings an LLVM, Mesa's OpenGL loads another one whose
symbols all can see, and TensorFlow, imported after napari had drawn, hung in the wrong one's constructors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from traceback import format_exc
from typing import TYPE_CHECKING, Any

from zoo.beside import start
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.data.io import Spacing

FAULTS: dict[str, type[Exception]] = {"InputError": InputError, "MemoryError": MemoryError}


class Networks:
    """A pipeline in a process of its own.

    Parameters
    ----------
    name
        Of its entry.
    weights
        As for :func:`zoo.weights.open_networks`.
    spacing
        Voxel size (z, y, x) in um.
    """

    def __init__(self, name: str, weights: Sequence[str], spacing: Spacing) -> None:
        self._line, self._process = start("zoo.viewer.process")
        self.send((name, weights, spacing))

    def send(self, what: object) -> None:
        """Hand over what `serve` waits for."""
        try:
            self._line.send(what)
        except OSError:
            raise self._lost() from None

    def receive(self) -> Any:
        """Wait for what `serve` says next.

        Raises
        ------
        InputError, MemoryError
            As raised there; or where the process is gone.
        RuntimeError
            With the traceback of any other error.
        """
        try:
            fault, said = self._line.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        if fault:
            raise FAULTS.get(fault, RuntimeError)(said)
        return said

    def _lost(self) -> InputError:
        return InputError(
            f"the process that segments has ended (code {self._process.wait()}), most often for want of "
            "memory: close other programs or crop the image"
        )

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()


def serve(line: Connection) -> None:
    """Answer with ``None`` when the networks are there, and for each frame when it is segmented and measured.

    A frame comes as its name, number and array (Z, Y, X); the last answer is labels, measurements and notes.
    """
    from zoo import registry
    from zoo.data.io import check_values
    from zoo.results import measure_result
    from zoo.segment import segment
    from zoo.weights import open_networks

    name, weights, spacing = line.recv()
    entry = registry.get(name)
    networks = open_networks(entry, weights)
    line.send(("", None))
    while True:
        called, time, frame = line.recv()
        check_values(frame, called)
        result = segment(entry, networks, frame, spacing)
        line.send(("", None))
        line.send(("", (result.labels, measure_result(result, spacing, frame, time), result.notes)))


def main(number: int) -> None:
    """Serve whoever holds the other end of an open file descriptor, until it is closed."""
    with Connection(number) as line:
        try:
            serve(line)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass  # nobody is there any more
        except InputError as fault:
            line.send(("InputError", str(fault)))
        except MemoryError as fault:  # numpy's is a kind of its own
            line.send(("MemoryError", str(fault)))
        except Exception:
            line.send(("RuntimeError", format_exc()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
