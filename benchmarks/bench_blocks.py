"""Labels by blocks: how time and memory grow with the volume, and what a second worker gives.

python benchmarks/bench_blocks.py [--edges 128,256,512] [--memory 4GB] [--workers 256] [--folder DIR]

Each volume is a synthetic tissue, cubes of 0.5 um (made once in DIR); each run is a process of its own, with
one thread for the networks. What a volume of 32³ takes, mostly the start of Python and TensorFlow, is
taken off for the exponents. Peak memory is the largest sum of the resident sets of its processes, looked at
five times a second, or what the system counted as the largest of one of them where that is more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
ZOO = str(Path(sys.executable).with_name("zoo"))


@dataclass
class Cost:
    """What a command took."""

    wall: float
    cpu: float
    peak: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", default="128,256,512")
    parser.add_argument("--memory", default="4GB", help="of a worker")
    parser.add_argument(
        "--workers", type=int, default=256, help="edge of the volume for two workers; 0: none"
    )
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        print("| voxels | nuclei | CPU s | wall s | peak MB | CPU us a voxel |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: |")
        edges = [int(edge) for edge in given.edges.split(",")]
        start, *costs = (grow(folder, edge, given.memory) for edge in (32, *edges))
        for what in ("cpu", "wall"):
            above = [getattr(cost, what) - getattr(start, what) for cost in costs]
            kept = [(edge, cost) for edge, cost in zip(edges, above, strict=True) if cost > 1]
            if len(kept) > 1:
                slope = np.polyfit(3 * np.log([edge for edge, _ in kept]), np.log([c for _, c in kept]), 1)[0]
                print(f"{what} time grows as voxels to the {slope:.2f} (of {len(kept)} volumes)")
        if given.workers:
            compare(folder, given.workers, given.memory)


def grow(folder: Path, edge: int, memory: str) -> Cost:
    """Segment a cube of tissue, and print what it took."""
    cost = predict(folder, edge, ["--max-memory", memory])
    nuclei = len((folder / f"labels{edge}_criteria.csv").read_text().splitlines()) - 1
    print(
        f"| {edge}³ | {nuclei:,} | {cost.cpu:.0f} | {cost.wall:.0f} | {cost.peak:.0f} | "
        f"{cost.cpu / edge**3 * 1e6:.2f} |",
        flush=True,
    )
    return cost


def compare(folder: Path, edge: int, memory: str) -> None:
    """Segment a cube by one worker and by two, with blocks of one size, and print the ratio.

    A worker has the same memory both times, as it has the same threads.
    """
    block = ["--block", *[str(min(edge // 2, 256))] * 3]
    each = float(memory.removesuffix("GB"))
    one, two = (
        predict(folder, edge, [*block, "--max-memory", f"{count * each:g}GB", "--dask", f"local:{count}"])
        for count in (1, 2)
    )
    ratio = one.wall / two.wall
    print(f"{edge}³ by Dask: one worker {one.wall:.0f} s, two {two.wall:.0f} s, {ratio:.2f} times faster")


def predict(folder: Path, edge: int, options: list[str]) -> Cost:
    """Make a volume if it is not there, and segment it."""
    place = folder / f"tissue{edge}"
    image, out = place / "tissue00.ome.zarr", folder / f"labels{edge}.ome.zarr"
    if not image.exists():
        words = ["sample", "tissue", "--shape", *[str(edge)] * 3, "--out", str(place)]
        subprocess.run([ZOO, *words], check=True, capture_output=True)
    return measured([ZOO, "predict", "qcanet", str(image), "--out", str(out), "--overwrite", *options])


def measured(command: list[str]) -> Cost:
    """Run a command, and measure it and its children."""
    peak = 0.0
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | ONE_THREAD, stderr=subprocess.PIPE, text=True)
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.2):
            held = [memory(pid) for pid in family(process.pid)]
            peak = max(peak, sum(now for now, _ in held), *(most for _, most in held))

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watcher.join()
    if status:
        raise SystemExit(said)
    wall = time.perf_counter() - begun
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak / 1e6)


def family(pid: int) -> list[int]:
    try:
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def memory(pid: int) -> tuple[float, float]:
    """Return the resident set of a process and the largest that it had, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    told = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return float(told.get("VmRSS", 0)) * 1024, float(told.get("VmHWM", 0)) * 1024


if __name__ == "__main__":
    main()
