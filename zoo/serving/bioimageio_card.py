"""What people see of a BioImage.IO package: its page and its picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zoo.entry import Entry
from zoo.evaluate.mosaic import max_projection
from zoo.evaluate.pictures import GREY, VIRIDIS, grey_levels, map_levels, png
from zoo.serving.bioimageio_sample import Sample
from zoo.train.pack import CARD
from zoo.train.runs import THRESHOLD, Run

SIDE = 256  # pixels of each of the two pictures; the format wants covers twice as wide as high
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")


def describe(entry: Entry, run: Run, sample: Sample) -> str:
    """Return the package's page in Markdown.

    Parameters
    ----------
    entry
        Of the network.
    run
        Its run folder; the model card in it is taken along, without links to pages that stay behind.
    sample
        What the network is shown.
    """
    cut = f"{run.threshold:g}, the one that its validation found best" if _has_threshold(run) else "0.5"
    data = Path(run.settings.get("data", "unknown"))  # of its path nobody else need know more than two names
    best = run.settings.get("best") or {}
    scores = [f"- {name.removeprefix('val_')}: {value:.4g}" for name, value in best.items() if "val_" in name]
    lines = [
        f"# {entry.name}",
        "",
        f"{entry.summary[0].upper()}{entry.summary[1:]}.",
        "",
        "## Use",
        "",
        f"{sample.wanted}. The answer is a probability at the same voxels; for a mask cut it at {cut}. "
        "Neighbouring objects of one mask stay one: cellzoo separates them, BioImage.IO has no step for it.",
        "",
        f"- paper: {entry.source.paper}",
        f"- differs from it: {entry.source.differs}",
        f"- licence: {entry.source.licence}",
        f"- trained on: {'/'.join(data.parts[-2:])}",
        "",
        "## Validation",
        "",
        *(scores or ["No scores came with these weights."]),
        "",
    ]
    card = run.path / CARD
    if card.is_file():
        lines += ["## Model card", "", _LINK.sub(r"\1", card.read_text(encoding="utf-8")).strip(), ""]
    return "\n".join(lines)


def _has_threshold(run: Run) -> bool:
    return (run.path / THRESHOLD).is_file()


def paint_cover(image: np.ndarray, probability: np.ndarray) -> bytes:
    """Paint an image and the probability beside it, seen from above; (Z, Y, X) each, to a PNG file."""
    seen = grey_levels(image)[0], map_levels(probability)[0]
    squares = [
        colours[_square(max_projection(levels))]
        for levels, colours in zip(seen, (GREY, VIRIDIS), strict=True)
    ]
    return png(np.concatenate(squares, axis=1))


def _square(plane: np.ndarray) -> np.ndarray:
    rows, columns = (np.arange(SIDE) * edge // SIDE for edge in plane.shape)
    return plane[np.ix_(rows, columns)]
