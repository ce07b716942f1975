"""Do the networks' probabilities say how often a nucleus is right? On volumes that they did not know.

python benchmarks/bench_confidence.py --data bbbc050/train [--weights NETWORK=RUN ...] [--plot FILE]

An object that qcanet finds is right where it has an IoU of 0.5 or more with a true nucleus. Prints, for each
column of the measurements that says how sure the networks were, how many of its objects are right; and the
same for a logistic regression of both columns, fitted to all embryos but the one that it is asked of.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from zoo import registry
from zoo.data.layouts import find
from zoo.evaluate.overlap import count_overlap
from zoo.results import measure_result
from zoo.segment import segment
from zoo.unseen import choose_runs, find_candidates, group_by_runs
from zoo.weights import open_networks

METHOD = "qcanet"
RIGHT = 0.5
COLUMNS = ("mean_probability", "centre_probability")
BINS = {
    "mean_probability": (0.0, 0.75, 0.8, 0.85, 0.875, 0.9, 1.01),
    "centre_probability": (0.0, 0.5, 0.8, 0.9, 0.95, 1.01),
    "both, calibrated": (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.01),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", action="append", default=[], metavar="NETWORK=RUN")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    embryos, sure, iou = collect(given.data, given.weights)
    right = iou >= RIGHT
    said = {name: sure[:, i] for i, name in enumerate(COLUMNS)}
    said["both, calibrated"] = calibrated(embryos, sure, right)
    print(f"{len(iou)} objects of {len(set(embryos))} embryos, {right.mean():.3f} of them right\n")
    for name, values in said.items():
        print_table(name, values, iou)
    if given.plot:
        plot(given.plot, said, right)


def collect(data: Path, weights: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the embryo of each object, how sure the networks were of it, and its IoU with the truth."""
    samples = {sample.name: sample for sample in find(data).samples}
    methods, _ = find_candidates([METHOD], weights)
    chosen, _ = choose_runs(methods[METHOD], list(samples))
    entry = registry.get(METHOD)
    embryos, sure, iou = [], [], []
    for runs, names in group_by_runs(methods[METHOD], chosen):
        given = [f"{part}={runs[network].path}" for part, network in entry.networks.items()]
        networks = open_networks(entry, given)
        for name in names:
            volume = samples[name].load()
            result = segment(entry, networks, volume.image, volume.spacing)
            overlap = count_overlap(volume.labels, result.labels)
            best = np.zeros(int(result.labels.max()) + 1)
            np.maximum.at(best, overlap.pred_ids[overlap.cols], overlap.iou)
            for nucleus in measure_result(result, volume.spacing, volume.image):
                embryos.append(volume.group)
                sure.append([getattr(nucleus, column) for column in COLUMNS])
                iou.append(best[nucleus.label])
    return np.array(embryos), np.array(sure), np.array(iou)


def calibrated(embryos: np.ndarray, sure: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the probability that each object is right, by what the other embryos' objects taught."""
    found = np.empty(len(right))
    for embryo in set(embryos):
        own = embryos == embryo
        model = LogisticRegression(C=1e3).fit(logit(sure[~own]), right[~own])
        found[own] = model.predict_proba(logit(sure[own]))[:, 1]
    model = LogisticRegression(C=1e3).fit(logit(sure), right)
    terms = " ".join(
        f"{weight:+.2f} logit({name})" for weight, name in zip(model.coef_[0], COLUMNS, strict=True)
    )
    print(f"of all embryos: logit(right) = {model.intercept_[0]:.2f} {terms}\n")
    return found


def logit(share: np.ndarray) -> np.ndarray:
    held = np.clip(share, 0.01, 0.99)
    return np.log(held / (1 - held))


def print_table(name: str, values: np.ndarray, iou: np.ndarray) -> None:
    brier = np.mean((values - (iou >= RIGHT)) ** 2)
    print(f"| {name} | objects | its mean | right | mean IoU |\n| --- | ---: | ---: | ---: | ---: |")
    for low, high in zip(BINS[name][:-1], BINS[name][1:], strict=True):
        own = (low <= values) & (values < high)
        if own.any():
            print(
                f"| {low:g} to {min(high, 1):g} | {own.sum()} | {values[own].mean():.2f} | "
                f"{(iou[own] >= RIGHT).mean():.2f} | {iou[own].mean():.2f} |"
            )
    print(f"\nmean squared error of what it says (Brier score): {brier:.4f}\n")


def plot(path: Path, said: dict[str, np.ndarray], right: np.ndarray) -> None:
    """Draw how often objects are right over what is said of them, with 95 % intervals (Wilson)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for place, (name, values) in enumerate(said.items(), start=1):
        axes = figure.add_subplot(1, 3, place)
        axes.plot([0, 1], [0, 1], color="0.8")
        for low, high in zip(BINS[name][:-1], BINS[name][1:], strict=True):
            own = right[(low <= values) & (values < high)]
            if len(own):
                middle, reach = wilson(int(own.sum()), len(own))
                at = values[(low <= values) & (values < high)].mean()
                axes.plot([at, at], [middle - reach, middle + reach], color="0.5", linewidth=1)
                axes.plot(at, own.mean(), "o", color="#5b4b8a", markersize=3 + np.log10(len(own)) * 2)
        axes.set(xlabel=name.replace("_", " "), xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    figure.axes[0].set_ylabel(f"share right (IoU {RIGHT:g})")
    figure.savefig(path, dpi=110)


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Return the middle and half the width of Wilson's 95 % interval of a share."""
    z, share = 1.96, hits / count
    scale = 1 + z**2 / count
    reach = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / scale
    return (share + z**2 / (2 * count)) / scale, float(reach)


if __name__ == "__main__":
    main()
