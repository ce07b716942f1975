"""The run folder of an ensemble: one run folder a member inside, each trained and resumed on its own."""

from __future__ import annotations

from collections.abc import Sequence
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
        runs.create(_folder(path, index + 1), own, overwrite=False)
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
    return {n: runs.open_run(_folder(ensemble.path, n)) for n in (numbers or range(1, count + 1))}


def trained(ensemble: Run) -> dict[int, Run]:
    """Open those members of an ensemble that have weights."""
    numbers = range(1, len(ensemble.recipe.members) + 1)
    found = {
        n: runs.open_run(_folder(ensemble.path, n)) for n in numbers if _folder(ensemble.path, n).is_dir()
    }
    return {n: run for n, run in found.items() if run.best.is_file()}


def alike(members: dict[int, Run]) -> list[list[int]]:
    """Group members of one recipe, which differ in their seed alone and can share a traced network."""
    groups: dict[str, list[int]] = {}
    for number, run in members.items():
        groups.setdefault(repr(run.recipe), []).append(number)
    return list(groups.values())


def _folder(path: Path, number: int) -> Path:
    return path / f"member{number}"
