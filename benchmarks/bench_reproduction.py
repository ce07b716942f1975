"""What each quirk of QCANet's published code, and its reproduction's scoring, costs the same two networks.

    python benchmarks/bench_reproduction.py --data bbbc050/train --nsn runs/qcanet_nsn --ndn runs/qcanet_ndn

Prints Markdown tables; docs/reproduction.md says what they mean. The quirks live here, not in the product:
each was written anew from what the published code does, and all other steps are the product's. Those that
change a training need networks of their own: ``--nsn-batch``, ``--nsn-lr`` and ``--ndn-raw``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from skimage import transform

from zoo import registry
from zoo.data.datasets import Volume
from zoo.data.layouts import find
from zoo.data.resample import resample, working_shape
from zoo.data.tiles import pad_to_multiple
from zoo.evaluate.metrics import score
from zoo.evaluate.overlap import renumber
from zoo.fusion.watershed import remove_small, split_touching
from zoo.prepare import isotropic
from zoo.segment import Network, predict_probability
from zoo.weights import open_networks

METRICS = ("iou", "seg", "mucov")
PUBLISHED_UM = 0.8  # voxels that the published networks work on
STEP = 48  # of these voxels: windows of 96, of which the inner half is kept
UNMEASURED = "not measured here"


@dataclass(frozen=True, kw_only=True)
class Quirk:
    """One way to go from an image to scores; the defaults are ours.

    Parameters
    ----------
    name
        Its line in the table.
    nsn, ndn
        Keys of the networks that are taken.
    training
        Whether the NSN's layers act as in training.
    scaling
        Of intensities, in place of the recipe's.
    padding
        How the image is filled up to a cube of its longest axis, a mode of ``numpy.pad``; empty for not.
    above_zero
        Masks that are cut at 0.5 first, resized with anti-aliasing, cut at ``> 0``: of ``nsn`` and ``ndn``.
    voxel_um
        Voxels on which they are cut first; ``None`` for those the network works on.
    slab
        Whether the end of the stack is left without a prediction.
    unmarked, definition
        As in the product.
    """

    name: str
    nsn: str = "nsn"
    ndn: str = "ndn"
    training: bool = False
    scaling: str = ""
    padding: str = ""
    above_zero: tuple[str, ...] = ()
    voxel_um: float | None = None
    slab: bool = False
    unmarked: str = "keep"
    definition: str = "standard"


OURS = Quirk(name="ours, unchanged")
BOTH = ("nsn", "ndn")
PREDICTING = Quirk(
    name="a (0.8 um), e (mirrored), g and h together: all that touch a prediction",
    above_zero=BOTH,
    voxel_um=PUBLISHED_UM,
    padding="reflect",
    unmarked="drop",
    scaling="minmax",
)
ALL = replace(PREDICTING, name="these and f", slab=True)
QUIRKS = (
    Quirk(name="a: mask resized with anti-aliasing, cut at `> 0`", above_zero=("nsn",)),
    Quirk(name="a: markers resized with anti-aliasing, cut at `> 0`", above_zero=("ndn",)),
    Quirk(name="a: both", above_zero=BOTH),
    Quirk(name="a: both, from voxels of 0.8 um", above_zero=BOTH, voxel_um=PUBLISHED_UM),
    Quirk(name="b: batch norm (`--nsn-batch`), as it should be", nsn="nsn-batch"),
    Quirk(name="b: the same, never leaves training mode", nsn="nsn-batch-training", training=True),
    Quirk(name="c: learning rate read and ignored (`--nsn-lr`)", nsn="nsn-lr"),
    Quirk(name="d: raw markers (`--ndn-raw`)", ndn="ndn-raw"),
    Quirk(name="e: padded to a cube of the longest axis, mirrored", padding="reflect"),
    Quirk(name="e: the same, zeros", padding="constant"),
    Quirk(name="f: last slab of z not predicted", slab=True),
    Quirk(name="g: nuclei without a marker dropped", unmarked="drop"),
    Quirk(name="h: minimum and maximum for scaling", scaling="minmax"),
    PREDICTING,
    ALL,
    replace(OURS, name="i: the reproduction's scoring of our unchanged result", definition="replication"),
    replace(ALL, name="a, e, f, g, h and i together", definition="replication"),
)


def predict(network: Network, volume: Volume, quirk: Quirk) -> np.ndarray:
    """Return the probability on the network's own voxels, (z, y, x)."""
    recipe = network.recipe
    scaled = isotropic(volume.image, volume.spacing, replace(recipe, scaling=quirk.scaling or recipe.scaling))
    filled = pad_to_cube(scaled, quirk.padding) if quirk.padding else scaled
    padded, inside = pad_to_multiple(filled, recipe.multiple)
    batch = padded[None, ..., None].astype(np.float32)
    if quirk.training and network.entry.name == "qcanet_nsn":
        output = np.asarray(network.model(batch, training=True))
    else:
        output = network.model.predict_on_batch(batch)
    return output[0, ..., -1][inside][tuple(slice(n) for n in scaled.shape)]


def pad_to_cube(image: np.ndarray, mode: str) -> np.ndarray:
    """Fill the end of each axis up to the longest one."""
    return np.pad(image, [(0, max(image.shape) - n) for n in image.shape], mode=mode)  # type: ignore[call-overload]


def resize_above_zero(mask: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Bring a mask to another shape and take each voxel that is not quite 0."""
    return transform.resize(mask.astype(np.float64), shape, order=1, anti_aliasing=True) > 0


def cut(probability: np.ndarray, part: str, volume: Volume, quirk: Quirk) -> np.ndarray:
    """Turn a probability into a mask at the image's voxels."""
    shape = volume.image.shape
    if part not in quirk.above_zero:
        mask = resample(probability, shape) >= 0.5
    else:
        if quirk.voxel_um:
            probability = resample(probability, working_shape(shape, volume.spacing, quirk.voxel_um))
        mask = resize_above_zero(probability >= 0.5, shape)
    if quirk.slab:
        mask[slices_predicted(len(mask), volume.spacing[0]) :] = False
    return mask


def slices_predicted(slices: int, um: float) -> int:
    """Count the slices in the whole steps of the published window, of ``um`` each."""
    steps = int(slices * um / (STEP * PUBLISHED_UM))
    return min(slices, round(steps * STEP * PUBLISHED_UM / um))


def run(volume: Volume, networks: Mapping[str, Network], quirks: Sequence[Quirk]) -> list[list[float]]:
    """Score one volume by each way, going through a network only where the image it sees is another one."""
    min_volume = registry.get("qcanet").subject.min_volume

    @cache
    def probability(key: str, as_seen: Quirk) -> np.ndarray:
        return predict(networks[key], volume, as_seen)

    rows = []
    for quirk in quirks:
        as_seen = Quirk(name="", scaling=quirk.scaling, padding=quirk.padding, training=quirk.training)
        masks = [
            cut(probability(key, as_seen), part, volume, quirk)
            for part, key in (("nsn", quirk.nsn), ("ndn", quirk.ndn))
        ]
        labels = split_touching(*masks, volume.spacing, quirk.unmarked)
        labels = remove_small(labels, min_volume, volume.spacing)
        rows.append(list(_score(volume, labels, quirk.definition)))
    return rows


def perfect(volume: Volume) -> list[float]:
    """Return the IoU of the true mask sent through the resizing, from the voxels of `PERFECT_UM`."""
    truth = volume.labels > 0
    found = []
    for um, back_only in PERFECT_UM.values():
        shape = working_shape(truth.shape, volume.spacing, um)
        there = resample(truth, shape) >= 0.5 if back_only else resize_above_zero(truth, shape)
        found.append(_score(volume, resize_above_zero(there, truth.shape).astype(int), "standard")[0])
    return found


PERFECT_UM = {
    "0.8 um (the published networks')": (0.8, True),
    "0.8 um, brought there by the same step": (0.8, False),
    "1.4 um (our NDN's)": (1.4, True),
    "1.6 um (our NSN's)": (1.6, True),
}


def _score(volume: Volume, labels: np.ndarray, definition: str) -> tuple[float, ...]:
    values = score(volume.labels, labels, METRICS, spacing=volume.spacing, definition=definition)
    return tuple(values[metric] for metric in METRICS)


def check(network: Network, volume: Volume) -> None:
    """Stop where our way to the probability, without quirks, is not the product's."""
    ours = resample(predict(network, volume, OURS), volume.image.shape)
    if not np.allclose(ours, predict_probability(network, volume.image, volume.spacing), atol=1e-5):
        raise SystemExit(f"{network.entry.name}: the benchmark predicts otherwise than the product")


def open_all(given: argparse.Namespace) -> dict[str, Network]:
    """Open the run folders that were given; batch norm twice, as training mode moves its averages."""
    folders = {
        "nsn": given.nsn,
        "ndn": given.ndn,
        "nsn-batch": given.nsn_batch,
        "nsn-batch-training": given.nsn_batch,
        "nsn-lr": given.nsn_lr,
        "ndn-raw": given.ndn_raw,
    }
    networks = {}
    for key, folder in folders.items():
        if folder is not None:
            name = f"qcanet_{key[:3]}"
            networks[key] = open_networks(registry.get(name), [str(folder)])[name]
    if given.nsn_batch and networks["nsn-batch"].recipe.norm != "batch":
        raise SystemExit(f"--nsn-batch {given.nsn_batch} has no batch norm: train one with --set norm=batch")
    return networks


def show(names: Sequence[str], table: np.ndarray) -> None:
    """Print scores with what they differ by from the first line's."""
    print("\n| | IoU | SEG | MUCov |\n| --- | ---: | ---: | ---: |")
    for number, (name, row) in enumerate(zip(names, table, strict=True)):
        cells = [f"{value:.3f}" for value in row]
        if np.isnan(row).all():
            cells = [UNMEASURED] * 3
        elif number:
            cells = [f"{cell} ({cost:+.3f})" for cell, cost in zip(cells, row - table[0], strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="What each quirk costs the same two networks.")
    parser.add_argument("--data", type=Path, required=True, help="BBBC050's training folder")
    parser.add_argument("--embryos", default="Emb04,Emb10", help="that no training saw")
    for name in ("--nsn", "--ndn"):
        parser.add_argument(name, type=Path, required=True, metavar="RUN")
    for name in ("--nsn-batch", "--nsn-lr", "--ndn-raw"):
        parser.add_argument(name, type=Path, metavar="RUN")
    given = parser.parse_args()
    networks = open_all(given)
    dataset = find(given.data)
    ways = [OURS, *QUIRKS]
    measured = [way for way in ways if way.nsn in networks and way.ndn in networks]
    scores, masks, exact = [], [], []
    for sample in dataset.only(given.embryos.split(",")).samples:
        volume = sample.load()
        if not scores:
            check(networks["nsn"], volume)
            check(networks["ndn"], volume)
        scores.append(run(volume, networks, measured))
        masks.append(perfect(volume))
        exact.append(_score(volume, volume.labels, "replication"))
        print(volume.name, *(f"{value:.3f}" for value in scores[-1][0]), file=sys.stderr, flush=True)
    found = dict(zip(measured, np.mean(scores, axis=0), strict=True))
    table = np.array([found.get(way, np.full(3, np.nan)) for way in ways] + [np.mean(exact, axis=0)])
    print(f"{len(scores)} volumes of {given.embryos}; mean, and its difference from the first line")
    show([*(way.name for way in ways), "i: the reproduction's scoring of the truth itself"], table)
    print("\n| a true mask cut on voxels of | IoU: mean | least | most |\n| --- | ---: | ---: | ---: |")
    for name, values in zip(PERFECT_UM, np.transpose(masks), strict=True):
        print(f"| {name} | {values.mean():.3f} | {values.min():.3f} | {values.max():.3f} |")
    counts = np.array([len(renumber(sample.load().labels)[0]) for sample in dataset.samples])
    print(f"\nmean of 1/N over all {len(counts)} volumes, N nuclei each: {np.mean(1 / counts):.3f}")


if __name__ == "__main__":
    main()
