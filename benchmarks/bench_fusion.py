"""Time of the vote in one slice: choosing the number of clusters, and all of `fuse`.

Run as ``python benchmarks/bench_fusion.py [--plot FILE]``; it prints markdown tables, in about half a minute.

The first compares one tree for all numbers of clusters with scikit-learn's usual way, a fit and a score for
each. The second is the cost over the detections n and the members M. The third simulates members whose
detections are missing, false and jittered, and compares linkages and silhouettes on the same data.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import ward
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score

from zoo.evaluate.metrics import score
from zoo.fusion.detections import Detections, to_labels
from zoo.fusion.ensemble import LINKAGES, cluster_range, fuse
from zoo.fusion.silhouette import DEFINITIONS, mean_silhouettes

PITCH = 16
"""Pixels between neighbouring nuclei, on average."""
RADIUS = 7.0
SPACING = (1.0, 1.0)
COUNTS = (100, 200, 400, 800, 1600, 3200)
MEMBERS = (2, 4, 8)


def discs(
    centres: NDArray[np.float64], radii: NDArray[np.float64], scores: NDArray[np.float64]
) -> Detections:
    """Make a detection of the pixels within a radius of each centre."""
    starts = np.floor(centres - radii[:, None]).astype(int)
    masks = []
    for centre, radius, start in zip(centres, radii, starts, strict=True):
        y, x = np.ogrid[: 2 * radius + 2, : 2 * radius + 2]
        masks.append(np.hypot(y + start[0] - centre[0], x + start[1] - centre[1]) <= radius)
    return Detections(starts, tuple(masks), scores.astype(np.float32))


def simulate(
    nuclei: int, members: int, seed: int, missing: float = 0.05, false: float = 0.05, jitter: float = 1.0
) -> tuple[NDArray[np.int32], list[Detections]]:
    """Simulate one slice: its true labels, and what each member finds in it."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(nuclei)))
    grid = np.argwhere(np.ones((side, side)))[:nuclei]
    centres = (grid + 1) * PITCH + rng.uniform(-1.5, 1.5, (nuclei, 2))
    radii = rng.uniform(RADIUS - 1, RADIUS + 1, nuclei)
    size = (side + 1) * PITCH
    truth = to_labels(discs(centres, radii, np.ones(nuclei)), (size, size))
    found = []
    for _ in range(members):
        kept = rng.random(nuclei) >= missing
        moved = centres[kept] + rng.uniform(-jitter, jitter, (kept.sum(), 2))
        strays = rng.uniform(PITCH, size - PITCH, (rng.binomial(nuclei, false), 2))
        sizes = np.concatenate([radii[kept], rng.uniform(RADIUS - 1, RADIUS + 1, len(strays))])
        found.append(discs(np.concatenate([moved, strays]), sizes, rng.uniform(0.5, 1, len(sizes))))
    return truth, found


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return float(np.median(times))


def choose_by_tree(points: NDArray[np.float64], tried: range) -> int:
    return tried[int(mean_silhouettes(points, ward(points), tried[0], tried[-1]).argmax())]


def choose_by_fits(points: NDArray[np.float64], tried: range) -> int:
    scores = [
        silhouette_score(points, AgglomerativeClustering(k, linkage="ward").fit_predict(points))
        for k in tried
    ]
    return tried[int(np.argmax(scores))]


def print_choices() -> None:
    """Compare the two ways to choose k, in the range that `fuse` tries in three slices and in a wide one."""
    print("## Choosing k on 800 detections (8 members, 100 nuclei)\n")
    print("| seed | detections | k tried | chosen | fits (CPU-s) | tree (CPU-s) | times faster |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for seed, wide in [(0, False), (1, False), (2, False), (0, True)]:
        _, members = simulate(100, 8, seed)
        points = np.concatenate([member.centroids(SPACING) for member in members])
        low, high = (2, 200) if wide else cluster_range(np.array([len(member) for member in members]))
        tried = range(low, high + 1)
        chosen = choose_by_tree(points, tried)
        if choose_by_fits(points, tried) != chosen:
            raise SystemExit("the two ways disagree: the times mean nothing")
        # by turns, so that a busy machine slows both
        rounds = [
            (
                seconds(partial(choose_by_fits, points, tried), 1),
                seconds(partial(choose_by_tree, points, tried), 5),
            )
            for _ in range(1 if wide else 5)
        ]
        fits, tree = np.median(rounds, axis=0)
        print(
            f"| {seed} | {len(points)} | {low} to {high} | {chosen} | {fits:.3g} | {tree:.3g} "
            f"| {fits / tree:.0f} |"
        )


def print_costs() -> dict[int, list[tuple[int, float]]]:
    """Measure all of `fuse`."""
    print("\n## fuse (CPU-s a slice)\n")
    print("| detections | " + " | ".join(f"M = {m}" for m in MEMBERS) + " |")
    print("| ---: |" + " ---: |" * len(MEMBERS))
    costs: dict[int, list[tuple[int, float]]] = {m: [] for m in MEMBERS}
    for count in COUNTS:
        for m in MEMBERS:
            _, members = simulate(count // m, m, seed=1)
            n = sum(len(member) for member in members)
            repeats = 5 if count <= 800 else 1
            costs[m].append((n, seconds(partial(fuse, members, SPACING), repeats)))
        print(f"| {count} | " + " | ".join(f"{costs[m][-1][1]:.3g}" for m in MEMBERS) + " |")
    return costs


def print_variants() -> None:
    """Compare linkages and silhouettes on the same simulated slices."""
    print("\n## Simulated members (8 members, 100 nuclei, means of 5 slices)\n")
    print("| missing, false, jitter | linkage | silhouette | objects | SEG | F1@0.5 |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for missing, false, jitter in [(0.05, 0.05, 1.0), (0.2, 0.2, 2.0), (0.3, 0.5, 3.0)]:
        slices = [simulate(100, 8, seed, missing, false, jitter) for seed in range(5)]
        for linkage in LINKAGES:
            for silhouette in DEFINITIONS:
                rows = []
                for truth, members in slices:
                    fused = fuse(members, SPACING, linkage=linkage, silhouette=silhouette).detections
                    pred = to_labels(fused, truth.shape)
                    found = score(truth[None], pred[None], ["seg", "f1@0.5"], spacing=(1.0, *SPACING))
                    rows.append((len(fused), found["seg"], found["f1@0.5"]))
                objects, seg, f1 = np.mean(rows, axis=0)
                print(
                    f"| {missing:.0%}, {false:.0%}, {jitter:g} px | {linkage} | {silhouette} "
                    f"| {objects:.1f} | {seg:.3f} | {f1:.3f} |"
                )


def plot(costs: dict[int, list[tuple[int, float]]], file: Path) -> None:
    """Draw the cost over n, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    for m, points in costs.items():
        axes.loglog(*zip(*points, strict=True), "o-", label=f"M = {m}")
    axes.set(xlabel="detections in the slice, n", ylabel="time of fuse (CPU-s)")
    axes.legend()
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the cost of fuse over n")
    options = parser.parse_args()
    print(f"seeds 0 to 4; {platform.machine()}, numpy {np.__version__}\n")
    print_choices()
    costs = print_costs()
    print_variants()
    if options.plot:
        plot(costs, options.plot)


if __name__ == "__main__":
    main()
