"""Every method over one data set, each volume by networks that did not know it: what the scoreboard shows."""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psutil
from rich.console import Console
from rich.progress import track

from zoo import registry
from zoo.data.datasets import DataSet, Sample
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.evaluate.report import Case
from zoo.evaluate.scores import Row
from zoo.score import ASSUMED, make_volume_case, score_volume
from zoo.segment import segment
from zoo.unseen import Runs, choose_runs, explain, find_candidates, group_by_runs
from zoo.weights import open_networks, origin

WORST = 3
"""Volumes of each method that are pictured."""

_INTERVAL = 0.005  # seconds between two looks at the memory


@dataclass(frozen=True, slots=True)
class Result:
    """What a method did on a volume.

    Parameters
    ----------
    row
        Scores and seconds.
    memory
        Bytes that the process grew by at most while the volume was segmented.
    runs
        By which runs.
    """

    row: Row
    memory: int
    runs: Runs


@dataclass(frozen=True, slots=True)
class Board:
    """The outcome.

    Parameters
    ----------
    results
        Method to its results, all of the same volumes in the order of the data set.
    worst
        Method to its volumes of the lowest `ranked_by`, at most `WORST`, the worst first.
    ranked_by
        A metric.
    left_out
        What was not compared and why, a sentence each.
    """

    results: Mapping[str, Sequence[Result]]
    worst: Mapping[str, Sequence[Case]]
    ranked_by: str
    left_out: Sequence[str]


def compare(
    dataset: DataSet, asked: Sequence[str], given: Sequence[str], metrics: Sequence[str], console: Console
) -> Board:
    """Run methods over the volumes that none of their networks knew.

    Parameters
    ----------
    dataset
        Volumes with truth.
    asked, given
        Methods and weights, as for `find_candidates`.
    metrics
        As :func:`zoo.evaluate.metrics.parse_metrics` returns them. The worst volumes are those of the lowest
        ``seg``, or of the lowest first metric where that is not among them.
    console
        Where progress is shown.

    Returns
    -------
    Board

    Raises
    ------
    InputError
        As `find_candidates`, or where no volume is left that all methods can be compared on.
    """
    methods, left_out = find_candidates(asked, given)
    candidates = {network: runs for found in methods.values() for network, runs in found.items()}
    chosen, lacking = choose_runs(candidates, [sample.name for sample in dataset.samples])
    left_out += explain(dataset.samples, lacking)
    for line in left_out:
        console.print(line)
    if not chosen:
        known_to = dict.fromkeys(name for names in lacking.values() for name in names)
        raise InputError(
            f"no volume is left of {len(dataset.samples)}, as runs of {', '.join(known_to)} knew them: add "
            "--weights of runs that left embryos out (zoo train --exclude), or choose by --method"
        )
    if dataset.keep(chosen).samples[0].load().spacing_from == "default":
        console.print(ASSUMED)
    ranked_by = "seg" if "seg" in metrics else metrics[0]
    results, worst = {}, {}
    for name, networks in methods.items():
        lowest = Lowest(ranked_by)
        done: dict[str, Result] = {}
        for runs, names in group_by_runs(networks, chosen):
            samples = [sample for sample in dataset.samples if sample.name in names]
            done |= _run(registry.get(name), runs, samples, metrics, lowest, console)
        results[name] = [done[volume] for volume in chosen]
        worst[name] = [case for _, case in lowest.kept]
    return Board(results, worst, ranked_by, left_out)


class PeakMemory:
    """Watch how much memory this process takes while a block runs, from a thread.

    ``bytes`` is then the largest resident set seen less the one at the beginning; what was there before, such
    as the weights, does not count. Where the C library can, what was freed before is given back first, or it
    would be taken again unseen.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        """Begin."""
        gc.collect()
        with suppress(AttributeError, OSError):  # glibc only
            ctypes.CDLL(None).malloc_trim(0)
        self._before = self._process.memory_info().rss
        self._thread.start()
        return self

    def __exit__(self, *fault: object) -> None:
        """End."""
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._look()

    def _look(self) -> None:
        self.bytes = max(self.bytes, self._process.memory_info().rss - self._before)


@dataclass(slots=True)
class Lowest:
    """The cases of the lowest scores, at most `WORST` of them, the lowest first.

    Parameters
    ----------
    metric
        The score that counts.
    kept
        Score and case.
    """

    metric: str
    kept: list[tuple[float, Case]] = field(default_factory=list)

    def wants(self, row: Row) -> bool:
        """Tell whether a volume belongs to them by now, so that no case is made of others."""
        return len(self.kept) < WORST or row.values[self.metric] < self.kept[-1][0]

    def add(self, row: Row, case: Case) -> None:
        """Take a volume and let go of the one that is too many."""
        kept = [*self.kept, (row.values[self.metric], case)]
        self.kept = sorted(kept, key=lambda pair: pair[0])[:WORST]


def _run(
    entry: Entry,
    runs: Runs,
    samples: Sequence[Sample],
    metrics: Sequence[str],
    lowest: Lowest,
    console: Console,
) -> dict[str, Result]:
    """Segment and score volumes by the same runs; no network is left in memory when it returns."""
    by = "".join(f", {network}: {origin(run.path)}" for network, run in runs.items())
    console.print(f"{entry.name}: {len(samples)} volumes{by}")
    parts = entry.networks
    networks = open_networks(entry, [f"{part}={runs[network].path}" for part, network in parts.items()])
    results = {}
    told: set[str] = set()  # most notes are of all volumes
    for sample in track(samples, entry.name, console=console, disable=not console.is_terminal):
        volume = sample.load()
        with PeakMemory() as memory:
            began = time.monotonic()
            result = segment(entry, networks, volume.image, volume.spacing)
            seconds = time.monotonic() - began
        row = score_volume(entry, volume, result.labels, metrics, "standard", seconds)
        results[sample.name] = Result(row, memory.bytes, runs)
        if lowest.wants(row):
            case = make_volume_case(entry, volume, result, row)
            lowest.add(row, replace(case, name=f"{entry.name}: {case.name}"))
        for note in result.notes:
            if note not in told:
                told.add(note)
                console.print(f"{volume.name}: {note}")
    networks.clear()
    gc.collect()  # models are in reference cycles, and the next ones want their memory
    return results
