"""The run folder: everything a training leaves, and enough to rebuild its model or go on with it.

``run.json`` (entry, recipe, seed, versions, volumes), ``history.csv``, ``learning_curve.png``,
``best.weights.h5`` (highest validation IoU, or a detector's SEG), ``last-EPOCH.weights.h5`` (with the
optimiser's state) and, but for detectors, ``tensorboard/``; ``threshold.json`` of a network that tells
foreground from background and was validated.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from zoo import registry
from zoo.data.datasets import Volume
from zoo.data.hdf5 import check_arrays
from zoo.data.lock import lock
from zoo.data.sizes import describe_sizes
from zoo.data.write import atomic, atomic_folder
from zoo.defaults import PRETRAINED, RECORD
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.provenance import versions
from zoo.recipe import change

SETTINGS, HISTORY, BEST, THRESHOLD = "run.json", "history.csv", "best.weights.h5", "threshold.json"
COLUMNS = ("epoch", "loss", "iou", "val_loss", "val_iou", "val_seg", "val_f1", "lr", "seconds")
Row = dict[str, float]


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder and the settings in it."""

    path: Path
    settings: dict[str, Any]

    @property
    def entry(self) -> Entry:
        """The registry entry that was trained."""
        return registry.get(self.settings["entry"])

    @property
    def recipe(self) -> Any:
        """The resolved recipe, of the kind that the entry has.

        A setting that is newer than the run has the value of its kind of recipe, which is what was before it.
        """
        recipe = next(iter(self.entry.recipes.values()))
        before = {one.name: one.default for one in fields(recipe) if one.default is not MISSING}
        return change(replace(recipe, **before), self.settings["recipe"])

    @property
    def best(self) -> Path:
        """The weights of the best epoch, that with the highest :func:`zoo.train.schedule.watched`."""
        return self.path / BEST

    def check_best(self) -> None:
        """Refuse weights that are not there, or not those that were packed.

        Raises
        ------
        InputError
            Where they are missing, damaged or unsafe, or their SHA-256 is not the one that
            :func:`zoo.train.pack.pack` noted or, of those that come with the package, that of the registry.
        """
        if not self.best.is_file():
            raise InputError(f"{self.path} holds no weights yet ({BEST}): train it for an epoch at least")
        self.check_version()
        if self.settings.get("sha256") not in (None, checksum(self.best)):
            raise InputError(
                f"{self.best} is not what was packed, its SHA-256 differs: it is damaged or was changed; "
                "get the folder anew"
            )
        check_arrays(self.best)

    def check_version(self) -> None:
        """Refuse what lies where the package's weights are, and is not what the registry says.

        Raises
        ------
        InputError
            Where the SHA-256 that the settings tell is another one.
        """
        if self.path.parent == PRETRAINED and self.settings.get("sha256") != self.entry.pretrained:
            raise InputError(
                f"{self.path} does not hold the weights that came with this version: install cellzoo anew"
            )

    @property
    def threshold(self) -> float:
        """The threshold that suited the validation volumes best.

        Raises
        ------
        InputError
            Where none was found, or the file is damaged.
        """
        path = self.path / THRESHOLD
        try:
            found = float(json.loads(path.read_text(encoding="utf-8"))["threshold"])
        except FileNotFoundError:
            raise InputError(
                f"{self.path} has no threshold of its own ({THRESHOLD}), which 'zoo train' leaves at its end "
                "for masks where volumes validate: give a number, such as --threshold 0.5"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise InputError(f"{path} cannot be used ({fault}): give a number instead") from None
        if not 0 < found < 1:
            raise InputError(f"{path} says {found}, which is not between 0 and 1: give a number instead")
        return found

    def checkpoint(self) -> tuple[int, Path] | None:
        """Return the last finished epoch, counted from 1, and its file; ``None`` before the first one."""
        found = {}
        for path in self.path.glob("last-*.weights.h5"):
            number = path.name.removeprefix("last-").removesuffix(".weights.h5")
            if number.isdigit():
                found[int(number)] = path
        return max(found.items()) if found else None

    def checkpoint_file(self, epoch: int) -> Path:
        """Return the name of an epoch's checkpoint."""
        return self.path / f"last-{epoch:04d}.weights.h5"

    def clear(self, last: Path | None = None) -> None:
        """Remove what a kill left of files that were being written, and the checkpoints before the last."""
        older = [path for path in self.path.glob("last-*.weights.h5") if last and path != last]
        for path in [*self.path.glob(".????????.*"), *older]:
            path.unlink()

    def history(self) -> list[Row]:
        """Return the finished epochs; one that was cut off before its checkpoint does not count.

        Raises
        ------
        InputError
            Where the file is missing or damaged.
        """
        done = self.checkpoint()
        path = self.path / HISTORY
        if done is None:
            return []
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            finished = [row for row in rows if row["epoch"] <= done[0]]
        except (OSError, ValueError, KeyError, TypeError):
            finished = []
        if [row["epoch"] for row in finished] != list(range(1, done[0] + 1)):
            raise InputError(f"{path} does not hold the {done[0]} epochs of {done[1].name}: train anew")
        return finished

    def write_history(self, rows: Sequence[Row]) -> None:
        """Write ``history.csv`` anew."""
        with atomic(self.path / HISTORY) as part, part.open("w", newline="", encoding="utf-8") as file:
            there = [name for name in COLUMNS if any(name in row for row in rows)]
            writer = csv.DictWriter(file, there, restval="")
            writer.writeheader()
            writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)


# what a run folder holds, also of an ensemble and packed; what is hidden was never finished
_NAMES = "*.weights.h5 learning_curve.png tensorboard member* README.md .*"
OWN = (SETTINGS, HISTORY, THRESHOLD, RECORD, *_NAMES.split())


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other trainings out of a run folder, as each removes what another is about to write.

    Raises
    ------
    InputError
        Where another command trains there.
    """
    folder = os.open(path, os.O_RDONLY)
    try:
        lock(folder, f"another command trains in {path}: wait until it is done, or stop it")
        yield
    finally:
        os.close(folder)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def create(path: Path, settings: dict[str, Any], *, overwrite: bool) -> Run:
    """Make a new run folder.

    Raises
    ------
    InputError
        Where the folder exists: a run is never mixed with another; one that is not a run is never removed.
    """
    if path.exists():
        run_like = (path / SETTINGS).is_file() and not path.is_symlink()
        if not overwrite:
            raise InputError(
                f"{path} exists: go on with --resume, start anew with --overwrite, or choose --out"
            )
        if not run_like and (not path.is_dir() or any(path.iterdir())):
            raise InputError(
                f"{path} is not a run folder (no {SETTINGS}), so it is not removed: choose another --out"
            )
        if others := sorted(held.name for held in path.iterdir() if not any(map(held.match, OWN))):
            raise InputError(
                f"{path} holds {', '.join(others[:5])} too, so it is not removed: move that away"
            )
    with alone(path) if path.is_dir() else nullcontext(), atomic_folder(path) as part:
        # at once: a folder without settings could neither go on nor begin anew
        (part / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return Run(path, settings)


def open_run(path: Path) -> Run:
    """Open a run folder.

    Raises
    ------
    InputError
        Where it is missing, not a run, or of an entry or recipe that this version does not know.
    """
    if (path / SETTINGS).exists() and not (path / SETTINGS).is_file():  # a pipe would be waited for
        raise InputError(f"{path / SETTINGS} is a pipe, a folder or a device: give a run folder")
    try:
        settings = json.loads((path / SETTINGS).read_text(encoding="utf-8"))
        run = Run(path, settings)
        _ = run.entry, run.recipe
    except OSError:
        raise InputError(
            f"{path} is not a run folder (no {SETTINGS}): give the --out of a 'zoo train'"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError) as fault:
        raise InputError(f"{path / SETTINGS} cannot be used: {fault}") from None
    return run


def describe(
    entry: Entry,
    recipe: Any,
    *,
    seed: int,
    precision: str,
    data: str,
    spacing: tuple[float, float, float] | None,
    train: Sequence[Volume],
    validation: Sequence[Volume],
) -> dict[str, Any]:
    """Return what ``run.json`` holds."""
    return {
        "entry": entry.name,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "precision": precision,
        "data": data,
        "spacing": spacing,
        "fingerprint": fingerprint([*train, *validation]),
        "train": [v.name for v in train],
        "validation": [v.name for v in validation],
        # nothing of slices and movies, whose objects are cut or brought to one size
        "objects": None if entry.allows_empty else describe_sizes(train),
        "versions": versions(),
    }


def fingerprint(volumes: Sequence[Volume]) -> str:
    """Return a hash of the names, voxel sizes, images and truths of volumes, in their order."""
    total = hashlib.sha256()
    for volume in volumes:
        total.update(volume.name.encode("utf-8", "surrogateescape"))
        total.update(f"{[float(edge) for edge in volume.spacing]}".encode())
        for array in (volume.image, volume.labels, volume.mask, volume.markers):
            total.update(f"{array.shape}{array.dtype}".encode())
            total.update(array.tobytes())
    return total.hexdigest()
