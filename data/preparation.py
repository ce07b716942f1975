"""A training set out of movies: frames of one size, split into parts, in a folder of their own.

``images/NAME_t012.tif`` and ``labels/NAME_t012.tif`` (the layout "pairs" of `zoo.data.layouts`),
``split.csv`` (volume, part) and ``prepared.json`` (how it was made, of what).
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo import __version__
from zoo.data import movies
from zoo.data.cell import Box, box_to_fit
from zoo.data.io import Spacing
from zoo.data.movies import Fit, Movie, MovieFiles, Scaling
from zoo.data.prepared import COLUMNS, SETTINGS, SPLIT
from zoo.data.resample import spacing_after
from zoo.data.write import atomic, atomic_folder, write_image, write_labels
from zoo.defaults import YEAST_UM
from zoo.errors import InputError

SHARE = 0.15  # ours: of the movies, for validation and again for test


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How movies become volumes.

    Attributes
    ----------
    size : (z, y, x) voxels
        The shape of each volume.
    frames, fit, scaling
        As in :func:`~zoo.data.movies.choose_frames`, :func:`~zoo.data.movies.fit_image` and
        :func:`~zoo.data.movies.scale`; with ``cell`` a movie is first cut by
        :func:`~zoo.data.cell.find_cell`.
    split
        ``movie``: all frames of a movie are in one part. ``frame``: frames are drawn one by one.
    seed
        Of the draws.
    spacing : (z, y, x) um or None
        The size of a voxel, before what the files say.
    channel
        Of the images, counted from 0; needed where they have several.
    """

    size: tuple[int, int, int]
    frames: str
    fit: Fit
    scaling: Scaling
    split: Literal["movie", "frame"]
    seed: int
    spacing: Spacing | None
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is remembered of a movie when its volumes are written."""

    shape: tuple[int, ...]
    frames: tuple[int, ...]
    spacing: Spacing
    spacing_from: str
    single: bool
    volumes: tuple[str, ...]
    lost: int
    marked: int
    box: tuple[tuple[int, int], ...]
    outside: int


@dataclass(slots=True)
class _Tally:
    """What became of each movie, by name."""

    kept: dict[str, _Kept] = field(default_factory=dict)
    no_mask: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    too_large: list[str] = field(default_factory=list)

    def left_out(self, size: Sequence[int]) -> list[str]:
        """Say which movies are not used, and why."""
        why = {
            "without a mask file": self.no_mask,
            "with a mask that is empty in all frames": self.empty,
            f"larger than {_times(size)} voxels (give a larger --size, or --fit cell)": self.too_large,
        }
        return [f"{_movies(len(names))} {reason}: {_named(names)}" for reason, names in why.items() if names]


def prepare(
    folder: Path,
    out: Path,
    settings: Settings,
    *,
    overwrite: bool,
    tell: Callable[[str], None],
    follow: Callable[[Iterable[MovieFiles]], Iterable[MovieFiles]] = iter,
) -> None:
    """Make a data set of the movies in a folder; one of them is in memory at a time.

    It is written under another name and renamed at the end: an error or Ctrl-C leaves nothing.

    Parameters
    ----------
    folder, out
        Where the movies are, as in :func:`zoo.data.movies.find_movies`, and where the data set goes.
    settings
        How.
    overwrite
        Whether a data set that this function made before is replaced.
    tell
        Takes one line at a time: movies that are left out, what was assumed, and what was made.
    follow
        Goes through the movies, to show progress.

    Raises
    ------
    InputError
        If the settings are malformed, `out` exists and may not be replaced, no movie can be used, or some
        cannot be read: the faults of all movies together.
    """
    movies.parse_choice(settings.frames)
    if min(settings.size) < 2:
        raise InputError(f"size {_times(settings.size)} is too small: give 2 voxels or more on each axis")
    found = movies.find_movies(folder)
    for movie in found:
        _check_name(movie.name)
    _check_place(out, folder, overwrite)
    with atomic_folder(out) as part:
        tally = _write_movies(follow(found), part, settings)
        if not tally.kept:
            reasons = "; ".join(tally.left_out(settings.size))
            raise InputError(f"none of the movies in {folder} can be used: {reasons}")
        if not any(kept.marked for kept in tally.kept.values()):
            cut = " inside the box of its cell" if any(kept.outside for kept in tally.kept.values()) else ""
            raise InputError(
                f"none of the frames that --frames {settings.frames} chose has a patch{cut}: choose others"
                + (", or --fit resize" if cut else "")
            )
        split = _split(tally, settings)
        _write_split(part / SPLIT, split)
        _write_settings(part / SETTINGS, tally, settings)
    for remark in _remarks(tally, settings, split):
        tell(remark)
    count = Counter(split.values())
    bare = len(split) - sum(kept.marked for kept in tally.kept.values())
    without = f", {bare} without a patch" if bare else ""
    tell(
        f"{len(split)} volumes of {_movies(len(tally.kept))}{without}: {count['train']} to train, "
        f"{count['validation']} to validate, {count['test']} to test"
    )
    tell(f"data set in {out}")


def _write_movies(found: Iterable[MovieFiles], part: Path, settings: Settings) -> _Tally:
    tally, faults = _Tally(), []
    for number, files in enumerate(found, start=1):  # from 1: numpy takes the seeds (7, 0) and 7 for one
        if files.mask is None:
            tally.no_mask.append(files.name)
            continue
        try:
            _write_movie(files, part, settings, np.random.default_rng((settings.seed, number)), tally)
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        listed = "; ".join(faults[:20]) + ("; ..." if len(faults) > 20 else "")
        raise InputError(f"{_movies(len(faults))} cannot be used: {listed}")
    return tally


def _write_movie(
    files: MovieFiles, part: Path, settings: Settings, rng: np.random.Generator, tally: _Tally
) -> None:
    movie = movies.read_movie(files, settings.spacing, settings.channel)
    if not movie.mask.any():
        tally.empty.append(movie.name)
    elif settings.fit == "pad" and not movies.fits(movie.frames.shape[1:], settings.size):
        tally.too_large.append(movie.name)
    else:
        box = box_to_fit(movie.frames, movie.spacing, settings.fit)
        try:
            scaled = movies.scale(movie.frames[(slice(None), *box)], settings.scaling)
        except InputError as fault:
            raise InputError(f"{files.image}: {fault}") from None
        voxels = np.count_nonzero(movie.mask[(slice(None), *box)], axis=(1, 2, 3))
        chosen = movies.choose_frames(voxels, settings.frames, rng)
        tally.kept[movie.name] = _write_frames(movie, box, scaled, chosen, part, settings)


def _write_frames(
    movie: Movie, box: Box, scaled: np.ndarray, chosen: Sequence[int], part: Path, settings: Settings
) -> _Kept:
    old = scaled.shape[1:]
    um = movie.spacing if settings.fit == "pad" else spacing_after(movie.spacing, old, settings.size)
    digits = max(3, len(str(len(movie.frames) - 1)))
    volumes = tuple(f"{movie.name}_t{frame:0{digits}d}" for frame in chosen)
    lost = marked = 0
    for frame, volume in zip(chosen, volumes, strict=True):
        seen = movie.mask[frame][box]
        mask = movies.fit_mask(seen, settings.size, settings.fit)
        lost += bool(seen.any() and not mask.any())
        marked += bool(mask.any())
        image = movies.fit_image(scaled[frame], settings.size, settings.fit)
        write_image(part / "images" / f"{volume}.tif", image, um)
        write_labels(part / "labels" / f"{volume}.tif", mask, um)
    return _Kept(
        shape=movie.frames.shape,
        frames=tuple(chosen),
        spacing=movie.spacing,
        spacing_from=movie.spacing_from,
        single=movie.single,
        volumes=volumes,
        lost=lost,
        marked=marked,
        box=tuple((edge.start, edge.stop) for edge in box),
        outside=int(np.count_nonzero(movie.mask) - np.count_nonzero(movie.mask[(slice(None), *box)])),
    )


def draw_parts(names: Sequence[str], seed: int) -> dict[str, str]:
    """Draw which of some names train, validate and test.

    Parameters
    ----------
    names
        Movies or volumes.
    seed
        Of the draw.

    Returns
    -------
    dict
        Name to part, in the order of the names. Validation and test get 15 % each, at least one; where
        there are fewer than 3 names, all are to train, and training draws those that validate.
    """
    parts = dict.fromkeys(names, "train")
    if len(names) >= 3:
        count = max(1, round(SHARE * len(names)))
        order = np.random.default_rng(seed).permutation(len(names))
        parts |= {names[i]: "test" for i in order[:count]}
        parts |= {names[i]: "validation" for i in order[count : 2 * count]}
    return parts


def _split(tally: _Tally, settings: Settings) -> dict[str, str]:
    if settings.split == "frame":
        return draw_parts([volume for kept in tally.kept.values() for volume in kept.volumes], settings.seed)
    parts = draw_parts(list(tally.kept), settings.seed)
    return {volume: parts[name] for name, kept in tally.kept.items() for volume in kept.volumes}


def _write_split(path: Path, split: dict[str, str]) -> None:
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(split.items())


def _write_settings(path: Path, tally: _Tally, settings: Settings) -> None:
    shown = ("shape", "box", "frames", "spacing", "spacing_from")
    told: dict[str, Any] = {"kind": "yeast", "version": __version__, **asdict(settings)}
    told["movies"] = {n: {key: getattr(kept, key) for key in shown} for n, kept in tally.kept.items()}
    told["skipped"] = {"no_mask": tally.no_mask, "empty_mask": tally.empty}
    told["too_large"] = tally.too_large
    told["lost_patches"] = sum(kept.lost for kept in tally.kept.values())
    told["outside_cell"] = sum(kept.outside for kept in tally.kept.values())
    with atomic(path) as part:
        part.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _remarks(tally: _Tally, settings: Settings, split: dict[str, str]) -> Iterator[str]:
    """Say what was left out or assumed, and what is to be feared."""
    for reason in tally.left_out(settings.size):
        yield f"left out: {reason}"
    kept = tally.kept
    if single := [name for name in kept if kept[name].single]:
        yield f"3-D files, taken as movies of one frame: {_named(single)}"
    if untold := sum(movie.spacing_from == "default" for movie in kept.values()):
        um = _times(YEAST_UM)
        yield f"no voxel size in {_movies(untold)}: taking {um} um, or give --spacing Z Y X"
    if cut := [name for name in kept if kept[name].outside]:
        voxels = sum(kept[name].outside for name in cut)
        yield (
            f"warning: {voxels} mask voxel{'s' * (voxels > 1)} outside of the box of the cell, cut off in "
            f"{_movies(len(cut))}: {_named(cut)}; or --fit resize"
        )
    if lost := sum(movie.lost for movie in kept.values()):
        frames = f"{lost} frame{'s' * (lost > 1)}"
        yield f"warning: the patch of {frames} vanishes at {_times(settings.size)}: give a larger --size"
    if settings.split == "frame":
        yield (
            "warning: --split frame leaks: frames of one movie look alike and are in several parts, so "
            "scores will be too good; kept to compare with the reproduction study, else split by movie"
        )
    if "test" not in split.values():
        yield f"fewer than 3 {settings.split}s: none is kept for the test"


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")  # as the list of parts holds it
    except UnicodeEncodeError:
        raise InputError(f"the name of the movie {name!r} is no UTF-8: rename it and its mask") from None


def _check_place(out: Path, folder: Path, overwrite: bool) -> None:
    if folder.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{out} holds the movies in {folder}: choose another --out")
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise InputError(f"{out} exists: make it anew with --overwrite, or choose another --out")
    held = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if out.is_symlink() or not out.is_dir() or (held and SETTINGS not in held):
        raise InputError(
            f"{out} is no prepared data set (no {SETTINGS}), so it is not removed: choose another --out"
        )
    if others := sorted(held - {SETTINGS, SPLIT, "images", "labels"}):
        raise InputError(f"{out} holds {', '.join(others[:5])} too, so it is not removed: move that away")


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(map(str, numbers))


def _movies(count: int) -> str:
    return "1 movie" if count == 1 else f"{count} movies"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{', '.join(names[:20])}{more}"
