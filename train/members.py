"""The run folder of an ensemble: one run folder a member inside, each trained and resumed on its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.recipe_detector import member
from zoo.train import runs
from zoo.train.runs import Run


def create(path: Path, settings: dict[str, Any], *, overwrite: bool) -> Run:
    """Make the run folders of an ensemble and of all its members.

    Parameters
    ----------
    path
        Of the ensemble.
    settings
        From :func:`zoo.train.runs.describe`; member number n has the seed plus n - 1.
    overwrite
        Whether an ensemble that is there is replaced.

    Raises
    ------
    InputError
        As :func:`zoo.train.runs.create`, or for a member's settings that are not allowed.
    """
    ensemble = Run(path, settings)
    recipes = [member(ensemble.recipe, index) for index in range(len(ensemble.recipe.members))]
    runs.create(path, settings, overwrite=overwrite)
    for index, recipe in enumerate(recipes):
        own = {**settings, "recipe": recipe.to_dict(), "seed": settings["seed"] + index}
        runs.create(folder_of(path, index + 1), own, overwrite=False)
    return ensemble


def open_members(ensemble: Run, numbers: Sequence[int] = ()) -> dict[int, Run]:
    """Open the run folders of an ensemble's members.

    Parameters
    ----------
    ensemble
        A run whose recipe lists members.
    numbers
        Those that are wanted, from 1; empty for all.

    Raises
    ------
    InputError
        For a number that the ensemble does not have, or a folder that is missing or damaged.
    """
    count = len(ensemble.recipe.members)
    for number in numbers:
        if not 1 <= number <= count:
            raise InputError(f"--member {number}: {ensemble.path} has members 1 to {count}")
    return {n: runs.open_run(folder_of(ensemble.path, n)) for n in (numbers or range(1, count + 1))}


def trained(ensemble: Run) -> dict[int, Run]:
    """Open those members of an ensemble that have weights.

    Raises
    ------
    InputError
        Where an ensemble was packed, and these are not the members that were.
    """
    numbers = range(1, len(ensemble.recipe.members) + 1)
    found = {
        n: runs.open_run(folder_of(ensemble.path, n)) for n in numbers if folder_of(ensemble.path, n).is_dir()
    }
    found = {n: run for n, run in found.items() if run.best.is_file()}
    ensemble.check_version()
    if ensemble.settings.get("sha256") not in (None, seal(found)):
        raise InputError(
            f"{ensemble.path} does not hold the weights that were packed: they are damaged or were changed; "
            "get the folder anew"
        )
    return found


def seal(members: Mapping[int, Run]) -> str:
    """Return the SHA-256 of what packed members tell of themselves: their numbers and their own SHA-256."""
    told = "".join(f"{n} {run.settings.get('sha256')}\n" for n, run in sorted(members.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def alike(members: dict[int, Run]) -> list[list[int]]:
    """Group members of one recipe, which differ in their seed alone and can share a traced network."""
    groups: dict[str, list[int]] = {}
    for number, run in members.items():
        groups.setdefault(repr(run.recipe), []).append(number)
    return list(groups.values())


def folder_of(path: Path, number: int) -> Path:
    """Return where a member of an ensemble lies, whose number counts from 1."""
    return path / f"member{number}"
