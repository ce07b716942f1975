"""How much error an ensemble bears: the robustness analysis of Wu et al. 2022 (CVPRW), on phantoms.

    python benchmarks/bench_robustness.py [--plot FILE] [--embryos 2] [--method cluster]

Simulated detectors make false detections in each slice, miss a share of the true ones or move their outlines;
SEG and MUCov of the fused volume, for one detector and for ensembles of 2, 4 and 8. Prints Markdown tables,
in less than two minutes; the running time of the fusion is in bench_fusion.py and bench_slices.py.

The members err independently of one another, which real detectors do not: these are upper bounds. The paper
injects into the detections of trained networks; we start from the truth, with the errors of `BASE`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.data.phantom import Phantom, embryo
from zoo.evaluate.metrics import score
from zoo.fusion.ensemble import fuse
from zoo.fusion.simulate import simulate_members
from zoo.fusion.slices import join

MEMBERS = (1, 2, 4, 8)
NUCLEI = 16
MIN_VOLUME = 300.0  # um3: below the smallest nuclei here (440), above a false detection in one slice
BASE = {"extra": 0, "missing": 0.05, "jitter": 1.0}
SWEEPS: dict[str, tuple[str, Sequence[float]]] = {
    "extra": ("false detections a slice and member", (0, 2, 5, 10, 20)),
    "missing": ("share of true ones missed", (0.1, 0.2, 0.4)),
    "jitter": ("jitter of the masks, voxels", (0, 2, 3)),
}
METRICS = ("seg", "mucov")


def evaluate(phantom: Phantom, members: int, errors: dict[str, float], method: str) -> tuple[float, ...]:
    """Score the ensemble of simulated members on one phantom."""
    found = simulate_members(
        phantom.labels,
        members,
        false=0,
        missing=errors["missing"],
        extra=int(errors["extra"]),
        jitter=errors["jitter"],
    )
    fused = [fuse(detections, phantom.spacing[1:]).detections for detections in found]
    labels = join(fused, phantom.labels.shape, phantom.spacing, method=method, min_volume=MIN_VOLUME)
    scores = score(phantom.labels, labels, METRICS, spacing=phantom.spacing)
    return tuple(scores[metric] for metric in METRICS)


def sweep(phantoms: list[Phantom], kind: str, method: str) -> tuple[list[float], np.ndarray]:
    """Vary one error; its values, and the mean scores (value, members, metric)."""
    values = sorted({BASE[kind], *SWEEPS[kind][1]})
    table = [
        [
            np.mean(
                [evaluate(phantom, members, BASE | {kind: value}, method) for phantom in phantoms], axis=0
            )
            for members in MEMBERS
        ]
        for value in values
    ]
    return values, np.array(table)


def show(kind: str, values: list[float], table: np.ndarray) -> None:
    """Print one sweep."""
    print(f"\n| {SWEEPS[kind][0]} |" + "".join(f" SEG, MUCov: M = {members} |" for members in MEMBERS))
    print("| ---: |" + " ---: |" * len(MEMBERS))
    for value, row in zip(values, table, strict=True):
        print(f"| {value:g} |" + "".join(f" {seg:.3f}, {mucov:.3f} |" for seg, mucov in row), flush=True)


def plot(path: Path, found: dict[str, tuple[list[float], np.ndarray]]) -> None:
    """Draw SEG and MUCov over each error, a line an ensemble."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(METRICS), len(found), figsize=(11, 6), sharex="col", sharey=True, squeeze=False
    )
    for column, (kind, (values, table)) in enumerate(found.items()):
        for row, name in enumerate(("SEG", "MUCov")):
            for index, members in enumerate(MEMBERS):
                label = "one detector" if members == 1 else f"{members} members"
                axes[row, column].plot(values, table[:, index, row], marker="o", label=label)
            axes[row, 0].set_ylabel(name)
            axes[row, column].set_ylim(0, 1)
            axes[row, column].grid(alpha=0.3)
        axes[-1, column].set_xlabel(SWEEPS[kind][0])
    axes[0, 0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Print the tables and write the picture."""
    parser = argparse.ArgumentParser(description="Bear errors of simulated members.")
    parser.add_argument("--plot", type=Path, help="file for the picture, .png or .svg")
    parser.add_argument("--embryos", type=int, default=2, help="phantoms that are averaged")
    parser.add_argument("--method", default="cluster", help="slice fusion: cluster or blob")
    given = parser.parse_args()
    phantoms = [embryo(seed, nuclei=NUCLEI) for seed in range(given.embryos)]
    print(f"{given.embryos} phantom embryos of {NUCLEI} nuclei, slice fusion by {given.method}; unless said")
    print(", ".join(f"{SWEEPS[kind][0]}: {value:g}" for kind, value in BASE.items()))
    found = {}
    for kind in SWEEPS:
        found[kind] = sweep(phantoms, kind, given.method)
        show(kind, *found[kind])
    if given.plot:
        plot(given.plot, found)


if __name__ == "__main__":
    main()
