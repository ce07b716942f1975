"""One table of all: each thing beside another way to do it, with peak memory and growth.

python benchmarks/bench_all.py [--only NAME,...] [--csv FILE]

Each way is a process of its own on one thread; the two of a row are asked by turns, A B A B, so that a busy
machine slows both. Seconds are CPU seconds, of its threads and of the server it started too: the least of the
rounds. Peak memory is the most that the first run at the largest size held above what there was before.
Growth is k where the time grows as the input to the k: a straight line through the logarithms of three sizes.
Peers that are not installed get a row that says so.
"""

from __future__ import annotations

import argparse
import csv
import gc
import importlib
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from cases import Case, Way, Work

MODULES = ("cases_arrays", "cases_networks")
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",  # CPU seconds of what waits for a GPU would say nothing
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
ROUNDS = (2, 15)  # at least and at most
ENOUGH = 1.0  # CPU seconds of rounds
AGREE = 1e-3
HEADER = (
    "topic",
    "what",
    "against",
    "size",
    "CPU s",
    "ratio",
    "peak MB",
    "theirs, MB",
    "growth k",
    "theirs, k",
)


@dataclass(kw_only=True)
class Row:
    """A row of the table; ``None`` is an empty cell.

    Parameters
    ----------
    name, topic, ours, theirs, size
        Texts.
    seconds, their_seconds
        At the largest size.
    peak, their_peak
        MB.
    growth, their_growth
        Exponents.
    """

    name: str
    topic: str
    ours: str
    theirs: str
    size: str
    seconds: float | None = None
    their_seconds: float | None = None
    peak: float | None = None
    their_peak: float | None = None
    growth: float | None = None
    their_growth: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times longer the other way takes."""
        if self.seconds is None or self.their_seconds is None:
            return None
        return self.their_seconds / self.seconds


@dataclass
class Found:
    """What one way took, size by size."""

    seconds: list[float] = field(default_factory=list)
    peak: float = 0.0
    same: float | None = None
    note: str = ""


class Child:
    """A process that does one way of a case, each time it is asked."""

    def __init__(self, module: str, case: Case, side: str, folder: Path) -> None:
        way: Way = getattr(case, side)
        command = [sys.executable, __file__, "--child", module, case.name, side]
        environment = os.environ | ONE_THREAD | dict(way.env)
        paths = [str(Path(__file__).parent), *sys.path]  # where the cases and the peers were found
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self.said = folder / f"{case.name}_{side}.txt"
        self.found = Found()
        with self.said.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, order: str, size: int = 0) -> dict[str, Any]:
        """Have it do one thing, and return what it says."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps([order, size]) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; it has said why
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args} ended:\n{self.said.read_text()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        obey(*sys.argv[2:])
        return
    known = {
        case.name: (module, case) for module in MODULES for case in importlib.import_module(module).CASES
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME,...", help=", ".join(known))
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the table's numbers")
    given = parser.parse_args()
    names = given.only.split(",") if given.only else list(known)
    if wrong := [name for name in names if name not in known]:
        parser.error(f"--only {wrong[0]} is no row: give {', '.join(known)}")
    rows = []
    print("\n".join(heading()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows.append(measure(*known[name], Path(folder)))
            print(line(rows[-1]), flush=True)
    if given.csv:
        write_csv(rows, given.csv)


def measure(module: str, case: Case, folder: Path) -> Row:
    """Measure a case of a module; files that it makes go into a folder."""
    theirs, size = case.theirs, f"{case.amount(case.sizes[-1]):,} {case.unit}"
    row = Row(name=case.name, topic=case.topic, ours=case.ours.what, theirs="", size=size)
    with Child(module, case, "ours", folder) as first:
        if theirs is None or not installed(theirs.peer):
            alternate([first], case)
        else:
            with Child(module, case, "theirs", folder) as second:
                alternate([first, second], case)
                row.theirs = theirs.what + second.found.note
                row.their_seconds, row.their_peak = second.found.seconds[0], second.found.peak
                row.their_growth = of_case(case, second.found)
                check(case, first.found.same, second.found.same)
    if theirs is not None and not row.theirs:
        row.theirs = f"{theirs.peer}: not installed"
    row.ours += first.found.note
    row.seconds, row.peak, row.growth = first.found.seconds[0], first.found.peak, of_case(case, first.found)
    return row


def alternate(children: Sequence[Child], case: Case) -> None:
    """Have the children work by turns, at the largest size first: later ones find memory that was freed."""
    for size in reversed(case.sizes):
        taken = []
        for child in children:
            child.ask("prepare", size)
            answer = child.ask("first")
            taken.append(answer["seconds"])
            if size == case.sizes[-1]:
                child.found.peak = answer["peak"]
                child.found.same = answer["same"]
                child.found.note = f" ({answer['note']})" if answer["note"] else ""
        least = [math.inf] * len(children)
        for _ in range(rounds(max(taken))):
            for i, child in enumerate(children):
                least[i] = min(least[i], child.ask("again")["seconds"])
        for child, seconds in zip(children, least, strict=True):
            child.found.seconds.append(seconds)


def rounds(seconds: float) -> int:
    """Return how often to repeat what takes so long."""
    least, most = ROUNDS
    return max(least, min(most, int(ENOUGH / max(seconds, 1e-6))))


def installed(module: str) -> bool:
    return not module or importlib.util.find_spec(module) is not None


def check(case: Case, ours: float | None, theirs: float | None) -> None:
    if ours is not None and theirs is not None and not math.isclose(ours, theirs, rel_tol=AGREE):
        raise SystemExit(f"{case.name}: the two ways disagree, {ours} and {theirs}: the times mean nothing")


def of_case(case: Case, found: Found) -> float:
    return growth([case.amount(size) for size in reversed(case.sizes)], found.seconds)


def growth(amounts: Sequence[float], seconds: Sequence[float]) -> float:
    """Return k where seconds grow as amounts to the k, by least squares on the logarithms."""
    slope, _ = statistics.linear_regression([math.log(n) for n in amounts], [math.log(s) for s in seconds])
    return slope


# the child


def obey(module: str, name: str, side: str) -> None:
    """Do what is asked on standard input, line by line; whatever else is printed goes to the errors."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    case: Case = next(one for one in importlib.import_module(module).CASES if one.name == name)
    way: Way = getattr(case, side)
    work: Work = lambda: None  # noqa: E731
    for asked in sys.stdin:
        order, size = json.loads(asked)
        answer: dict[str, Any] = {}
        if order == "prepare":
            work = way.prepare(size)
        elif order == "first":
            answer = first_run(case, work)
        else:
            answer = {"seconds": timed(work)[0]}
        print(json.dumps(answer), file=answers, flush=True)


def first_run(case: Case, work: Work) -> dict[str, Any]:
    """Run it, with an eye on memory, and tell what came out."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    seconds, result = timed(work)
    return {
        "seconds": seconds,
        "peak": max(memory("VmHWM") - before, 0) / 1e6,
        "same": None if case.same is None else float(case.same(result)),
        "note": "" if case.note is None else case.note(result),
    }


def memory(key: str) -> int:
    """Return what the system says of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(text.split()[1]) * 1024 for text in lines if text.startswith(key))


def timed(work: Work) -> tuple[float, object]:
    others, began = started(), time.process_time()
    result = work()
    own = time.process_time() - began
    return own + started() - others, result


def started() -> float:
    """Return the CPU seconds of the processes that this one started."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(one.user + one.system for one in times)


# the table


def heading() -> list[str]:
    rule = " | ".join(["---"] * 4 + ["---:"] * (len(HEADER) - 4))
    return [f"| {' | '.join(HEADER)} |", f"| {rule} |"]


def line(row: Row) -> str:
    """Return a row of the table in Markdown."""
    numbers = [
        "" if row.seconds is None else f"{row.seconds:.3g}",
        "" if row.ratio is None else (f"{row.ratio:,.0f}" if row.ratio >= 10 else f"{row.ratio:.2g}"),
        *("" if peak is None else f"{peak:,.0f}" for peak in (row.peak, row.their_peak)),
        *("" if k is None else f"{k:.2f}" for k in (row.growth, row.their_growth)),
    ]
    return f"| {' | '.join([row.topic, row.ours, row.theirs, row.size, *numbers])} |"


def write_csv(rows: Sequence[Row], path: Path) -> None:
    from zoo.data.write import atomic

    with atomic(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*asdict(rows[0]), "ratio"])
        writer.writeheader()
        writer.writerows(asdict(row) | {"ratio": row.ratio} for row in rows)


if __name__ == "__main__":
    main()
