"""Time and memory of the metrics: one contingency table against one boolean mask a pair.

Run as ``python benchmarks/bench_metrics.py``; it prints a markdown table, in about 15 s.

The published evaluation code compares each predicted object with each true one through masks of the whole
volume. The loop below does the least that way can do, ``logical_and(truth == i, pred == j).sum()``; the
published code makes several more arrays a pair. It is timed on a sample of the pairs and multiplied up.
"""

from __future__ import annotations

import platform
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from zoo.evaluate.metrics import METRICS, score
from zoo.evaluate.overlap import count_overlap

SHAPE = (128, 256, 256)
OBJECTS = 150
SAMPLED_PAIRS = 200
SPACING = (1.75, 0.8, 0.8)


def blobs(centres: NDArray[np.float64], radius: float) -> NDArray[np.uint16]:
    """Label each voxel within a radius of its nearest centre: balls, cut flat where they touch."""
    tree = cKDTree(centres)
    rows = np.stack(np.meshgrid(np.arange(SHAPE[1]), np.arange(SHAPE[2]), indexing="ij"), axis=-1).reshape(
        -1, 2
    )
    labels = np.empty(SHAPE, dtype=np.uint16)
    for z in range(SHAPE[0]):
        points = np.column_stack([np.full(len(rows), z), rows])
        distance, nearest = tree.query(points, distance_upper_bound=radius)
        labels[z] = np.where(np.isfinite(distance), nearest + 1, 0).reshape(SHAPE[1:])
    return labels


def count_masks(truth: NDArray, pred: NDArray, pairs: NDArray[np.int64]) -> list[int]:
    """Count the shared voxels of each pair with masks of the whole volume."""
    return [int(np.logical_and(truth == i, pred == j).sum()) for i, j in pairs]


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def peak_mb(work: Callable[[], object]) -> float:
    """Return the most memory that a run holds at a time, beyond the two volumes, in MB."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def main() -> None:
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, SHAPE, (OBJECTS, 3))
    truth = blobs(centres, 16.0)
    pred = blobs(centres + rng.normal(0, 2.0, centres.shape), 15.0)
    all_pairs = np.argwhere(np.ones((OBJECTS, OBJECTS), dtype=bool)) + 1
    sample = rng.permutation(all_pairs)[:SAMPLED_PAIRS]

    table = count_overlap(truth, pred)
    known = {
        (table.truth_ids[row], table.pred_ids[col]): count
        for row, col, count in zip(table.rows, table.cols, table.voxels, strict=True)
    }
    meeting = np.column_stack([np.arange(1, 11)] * 2)  # most sampled pairs share nothing; these ten do
    checked = np.concatenate([sample[:10], meeting])
    if count_masks(truth, pred, checked) != [known.get((i, j), 0) for i, j in checked]:
        raise SystemExit("the two ways disagree: the times mean nothing")

    loop = seconds(lambda: count_masks(truth, pred, sample), 1) / SAMPLED_PAIRS * len(all_pairs)
    ways = [
        (f"one mask a pair, {len(all_pairs)} pairs (from {SAMPLED_PAIRS})", loop),
        ("one table", seconds(lambda: count_overlap(truth, pred), 7)),
        (
            f"one table and all {len(METRICS)} metrics",
            seconds(lambda: score(truth, pred, METRICS, spacing=SPACING), 7),
        ),
    ]
    memory = [
        peak_mb(lambda: count_masks(truth, pred, sample[:3])),
        peak_mb(lambda: count_overlap(truth, pred)),
        peak_mb(lambda: score(truth, pred, METRICS, spacing=SPACING)),
    ]
    print(
        f"{SHAPE} voxels, uint16, {OBJECTS} objects; seed 0; {platform.machine()}, numpy {np.__version__}\n"
    )
    print("| way | CPU-s | times faster | peak memory (MB) |")
    print("| --- | ---: | ---: | ---: |")
    for (name, taken), peak in zip(ways, memory, strict=True):
        print(f"| {name} | {taken:.3g} | {loop / taken:,.0f} | {peak:.0f} |")


if __name__ == "__main__":
    main()
