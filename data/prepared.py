"""Data sets that ``zoo prepare`` made: how it was, and which volumes train, validate and test.

:mod:`zoo.data.preparation` makes them; the built-in one is of synthetic yeast movies.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from zoo.data import movies
from zoo.data.cell import box_to_fit
from zoo.data.datasets import DataSet, Sample, Volume
from zoo.data.io import Spacing
from zoo.data.movies import Fit, Scaling
from zoo.data.resample import spacing_after
from zoo.data.targets import markers_from_labels
from zoo.data.yeast import yeast_movie
from zoo.errors import InputError

SETTINGS, SPLIT = "prepared.json", "split.csv"
PARTS = ("train", "validation", "test")
COLUMNS = ["volume", "part"]
SYNTHETIC: dict[str, Any] = {"size": [32, 32, 32], "fit": "cell", "scaling": "percentile"}
_FRAMES = 8  # of each built-in movie, as many as there are without asking for them


def synthetic(count: int = 12, seed: int = 0) -> DataSet:
    """Return frames of built-in synthetic yeast movies, made as they are asked for.

    Parameters
    ----------
    count
        Number of movies; eight frames of each.
    seed
        Movie ``i`` is made with ``seed + i``; movies are groups.
    """
    samples = []
    for number in range(seed, seed + count):
        name = f"yeast{number:04d}"
        for frame in range(_FRAMES):
            load = partial(_load, number, frame, name)
            samples.append(Sample(name=f"{name}_t{frame:03d}", group=name, load=load))
    return DataSet(layout="synthetic", samples=tuple(samples), prepared=SYNTHETIC)


def _load(number: int, frame: int, name: str) -> Volume:
    image, mask, um = _movie(number)
    size, fit = SYNTHETIC["size"], SYNTHETIC["fit"]
    truth = movies.fit_mask(mask[frame], size, fit)
    labels = truth.astype(np.uint8)
    return Volume(
        name=f"{name}_t{frame:03d}",
        group=name,
        image=movies.fit_image(image[frame], size, fit),
        labels=labels,
        mask=truth,
        markers=markers_from_labels(labels),
        spacing=um,
    )


@lru_cache(maxsize=1)  # frames are asked for in their order
def _movie(number: int) -> tuple[np.ndarray, np.ndarray, Spacing]:
    made = yeast_movie(number, frames=_FRAMES)
    box = (slice(None), *box_to_fit(made.image, made.spacing, SYNTHETIC["fit"]))
    image, mask = made.image[box], made.mask[box]
    um = spacing_after(made.spacing, mask.shape[1:], SYNTHETIC["size"])
    return movies.scale(image, SYNTHETIC["scaling"]), mask, um


def read_settings(root: Path) -> dict[str, Any] | None:
    """Read how a data set was prepared.

    Parameters
    ----------
    root
        The data set's folder.

    Returns
    -------
    dict or None
        What ``prepared.json`` holds: the attributes of `Settings` and more; None where there is no such file.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = root / SETTINGS
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        named = told["fit"] in get_args(Fit) and told["scaling"] in get_args(Scaling)
        whole = named and len(told["size"]) == 3 and all(isinstance(n, int) and n > 1 for n in told["size"])
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"{path} is damaged: make the data set anew with 'zoo prepare'")
    return dict(told)


def read_split(root: Path) -> dict[str, str] | None:
    """Read which volumes of a data set train, validate and test.

    Parameters
    ----------
    root
        The data set's folder.

    Returns
    -------
    dict or None
        Volume to ``train``, ``validation`` or ``test``; None where there is no ``split.csv``.

    Raises
    ------
    InputError
        If a line has other columns, an unknown part, or a volume that was there before.
    """
    path = root / SPLIT
    if not path.is_file():
        return None
    found: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # Excel puts a mark before the first line
            reader = csv.reader(file)
            if next(reader, None) != COLUMNS:
                raise InputError(f"{path}, line 1, must be {','.join(COLUMNS)}: add or correct it")
            for row in filter(None, reader):
                _add_part(found, row, f"{path}, line {reader.line_num},")
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV file in UTF-8 ({error}): save it again") from None
    return found


def _add_part(found: dict[str, str], row: Sequence[str], where: str) -> None:
    volume, part = row if len(row) == 2 else ("", "")
    if not volume:
        raise InputError(f"{where} must be volume,part: it has {len(row)} columns, or no name")
    if part not in PARTS:
        raise InputError(f"{where} has the part {part!r}: allowed are {', '.join(PARTS)}")
    if volume in found:
        raise InputError(f"{where} has the volume {volume} again: give each a single part")
    found[volume] = part
