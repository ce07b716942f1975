"""Time and memory of the join over z, up to 10,000 segments packed as in tissue.

Run as ``python benchmarks/bench_slices.py``; it prints a markdown table, in about half a minute. Each row
is a process of its own, so that one's memory is not the other's; the peak is of the whole process, Python and
libraries included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np

from zoo.fusion.detections import Detections
from zoo.fusion.slices import join

SPACING = (1.0, 0.8, 0.8)
HEIGHT, RADIUS = 16, 7  # of a nucleus: slices, and voxels in the plane
LAYERS = 5
COUNTS = (1000, 2000, 4000, 6000, 10_000)


def packed(segments: int) -> tuple[list[Detections], tuple[int, int, int]]:
    """Pack nuclei of 16 slices into five layers, each set into the hollows of the one below."""
    rng = np.random.default_rng(0)
    nuclei = segments // HEIGHT
    row = int(np.ceil(np.sqrt(nuclei / LAYERS)))
    step = 2 * RADIUS + 2
    slices: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in range(LAYERS * HEIGHT)]
    for nucleus in range(nuclei):
        layer, place = divmod(nucleus, row * row)
        centre = np.array(divmod(place, row)) * step + step * (1 + layer % 2) // 2 + rng.integers(0, 2, 2)
        for z in range(HEIGHT):
            radius = RADIUS * np.sqrt(1 - ((z + 0.5) / (HEIGHT / 2) - 1) ** 2)
            reach = np.arange(-int(radius), int(radius) + 1)
            slices[layer * HEIGHT + z].append(
                (centre - reach[-1], np.hypot(*np.meshgrid(reach, reach)) <= radius)
            )
    found = [
        Detections(
            np.array([corner for corner, _ in objects], int).reshape(-1, 2),
            tuple(mask for _, mask in objects),
            np.ones(len(objects), np.float32),
        )
        for objects in slices
    ]
    edge = (row + 2) * step
    return found, (len(slices), edge, edge)


def measure(method: str, segments: int) -> dict[str, float]:
    """Join so many segments in this process."""
    slices, shape = packed(segments)
    start, cpu = time.perf_counter(), time.process_time()
    labels = join(slices, shape, SPACING, method=method)
    return {
        "segments": sum(len(part) for part in slices),
        "nuclei": segments // HEIGHT,
        "found": int(labels.max()),
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Print the table."""
    print("| method | segments | nuclei | found | s | CPU-s | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for method in ("blob", "cluster"):
        for count in COUNTS:
            command = [sys.executable, __file__, method, str(count)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = json.loads(output)
            print(
                f"| {method} | {row['segments']} | {row['nuclei']} | {row['found']} | {row['seconds']:.1f} "
                f"| {row['cpu']:.1f} | {row['peak']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
