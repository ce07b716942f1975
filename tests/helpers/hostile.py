"""Hostile input: what a case is, and a warm process that runs each in a fork of its own.

The process imports what the commands need once, all but TensorFlow (which does not outlive a fork), so that a
case costs the command and no more. Each runs the real entry of the command line, timed, its memory measured.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 10  # what a case may take
ADDRESSES = 12 << 30  # bytes of address space beyond what the warm process has: keeps a runaway off others
WARM = (
    "zoo.cli",
    "numpy",
    "tifffile",
    "imagecodecs",
    "h5py",
    "zarr",
    "rich.progress",
    "rich.table",
    "scipy.ndimage",
    "skimage.measure",
    "skimage.draw",
    "skimage.segmentation",
    "matplotlib.figure",
    "zoo.data.io",
    "zoo.data.layouts",
    "zoo.data.preparation",
    "zoo.data.volumes",
    "zoo.data.omezarr",
    "zoo.evaluate.report",
    "zoo.evaluate.scores",
    "zoo.evaluate.metrics",
    "zoo.fusion.classical",
    "zoo.fusion.consensus",
    "zoo.fusion.tracks",
    "zoo.movie_results",
    "zoo.track_results",
    "zoo.score",
    "zoo.train.runs",
    "zoo.train.pack",
    "zoo.blocks.run",
)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A command on a hostile file.

    Attributes
    ----------
    name
        Of the case: the family first, such as ``tiff: cyclic pages``.
    command
        The words after ``zoo``; ``@`` stands for the folder of files.
    build
        Writes the files into that folder.
    certain
        Whether the file is invalid for sure; else the command may also take it (exit code 0).
    """

    name: str
    command: str
    build: Callable[[Path], object]
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did.

    Attributes
    ----------
    code
        Exit code; of a command that was killed, the signal as a negative number.
    out, err
        Its output.
    seconds
        Wall time.
    grown
        Bytes of memory at most, beyond those of the warm process.
    framework
        Whether it imported TensorFlow.
    """

    code: int
    out: str
    err: str
    seconds: float
    grown: int
    framework: bool


class Warm:
    """The warm process, of the caller's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, command: str, files: Path, here: Path) -> Outcome:
        """Run a command in the folder ``here``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = shlex.split(command.replace("@", str(files)))
        self._process.stdin.write(json.dumps({"words": words, "here": str(here)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the warm process ended"
        return Outcome(**json.loads(answer))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()


def _serve() -> None:
    from importlib import import_module

    from zoo.train.device import configure

    configure()
    for name in WARM:
        import_module(name)
    assert "tensorflow" not in sys.modules, "TensorFlow does not outlive a fork"
    for line in sys.stdin:
        print(json.dumps(_run(**json.loads(line))), flush=True)


def _run(words: list[str], here: str) -> dict[str, Any]:
    before = _resident()
    begun = time.perf_counter()
    ends = {name: os.pipe() for name in ("out", "err", "told")}
    child = os.fork()
    if child == 0:
        _become(words, here, {name: pipe[1] for name, pipe in ends.items()})
    texts = {}
    for name, (reading, writing) in ends.items():
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            texts[name] = file
            texts[name] = file.read().decode(errors="replace")
    _, status, used = os.wait4(child, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": texts["out"],
        "err": texts["err"],
        "seconds": time.perf_counter() - begun,
        "grown": max(0, used.ru_maxrss * 1024 - before),
        "framework": texts["told"] == "framework",
    }


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _become(words: list[str], here: str, ends: dict[str, int]) -> None:
    """Be the command, and end."""
    code: Any = 70
    try:
        os.dup2(ends["out"], 1)
        os.dup2(ends["err"], 2)
        signal.alarm(SECONDS)
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESSES, taken + ADDRESSES))
        os.chdir(here)
        os.environ["TMPDIR"] = here
        from zoo.cli import main

        main.main(words, prog_name="zoo")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(ends["told"], b"framework" if "tensorflow" in sys.modules else b"-")
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    _serve()
