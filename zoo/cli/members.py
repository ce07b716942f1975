"""The members of an ensemble: how many, which, and their training one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.recipe import change
from zoo.recipe_detector import DetectorRecipe
from zoo.recipe_detector import member as member_recipe

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.data.datasets import Volume
    from zoo.entry import Entry
    from zoo.train.runs import Run


MEMBERS = 4  # of the eight that we list, where nobody says how many


def choose_members(entry: Entry, recipe: Any, count: int | None, settings: Mapping[str, Any]) -> Any:
    """Keep as many members of an ensemble's recipe as are wanted.

    Raises
    ------
    InputError
        For more than there are, a model that is no ensemble, a member's settings that are not allowed, or a
        setting of the command line that a member sets itself.
    """
    listed = getattr(recipe, "members", ())
    if not listed:
        if count:
            raise InputError(f"{entry.name} is no ensemble: leave out --members")
        return recipe
    brought = listed == entry.recipes["default"].members
    count = count or (min(MEMBERS, len(listed)) if brought else len(listed))
    if count > len(listed):
        raise InputError(
            f"--members {count}: the recipe lists {len(listed)}; list more as members = [...] in a FILE.toml"
        )
    chosen = change(recipe, {"members": listed[:count]})
    for index in range(count):
        member_recipe(chosen, index)
        own = sorted(set(listed[index]) & set(settings))
        if own:
            raise InputError(
                f"--set {own[0]} would not reach member {index + 1}, which sets its own: list the members as "
                "members = [...] in a FILE.toml"
            )
    return chosen


def check_members(entry: Entry, recipe: Any, numbers: Sequence[int], init: Path | None) -> None:
    """Check, before any work is done, that members are there and that a checkpoint can be begun with.

    Raises
    ------
    InputError
        Where not.
    """
    count = len(getattr(recipe, "members", ()))
    wrong = [number for number in numbers if not 1 <= number <= count]
    if wrong:
        allowed = f"the ensemble has members 1 to {count}" if count else f"{entry.name} has no members"
        raise InputError(f"--member {wrong[0]}: {allowed}")
    if init and not isinstance(recipe, DetectorRecipe):
        raise InputError(f"--init begins a detector's training, and {entry.name} is none: leave it out")
    if init and not Path(f"{init}.index").is_file():
        raise InputError(
            f"--init {init}: no checkpoint there; give its prefix, of which PREFIX.index is a file"
        )


def batches(recipe: Any) -> set[int]:
    """Return the batch sizes of a recipe and its members."""
    own = [member_recipe(recipe, index).batch for index in range(len(getattr(recipe, "members", ())))]
    return {recipe.batch, *own}


def fit_members(
    ensemble: Run,
    numbers: Sequence[int],
    volumes: list[Volume],
    checks: list[Volume],
    devices: int,
    init: Path | None,
    console: Console,
) -> None:
    """Train members of an ensemble; where their networks differ, each in a process of its own.

    TensorFlow does not give back the memory of a network that was traced: one process for all would grow.

    Raises
    ------
    InputError
        Naming the members that failed; the others are trained all the same.
    """
    from zoo.train import members

    runs = members.open_members(ensemble, numbers)
    groups = members.alike(runs)
    if len(groups) > 1:
        failed = [n for group in groups if not _in_process(ensemble, group, devices, init) for n in group]
        if failed:
            raise InputError(
                f"members {', '.join(map(str, failed))} of {ensemble.path} are not done, as said above; the "
                f"others are: go on with 'zoo train {ensemble.entry.name} --out {ensemble.path} --resume'"
            )
        return
    from zoo.train.detector import Trainer, fit

    trainer = None
    for number, run in runs.items():
        console.print(f"member {number} of {len(ensemble.recipe.members)}: {_difference(ensemble, number)}")
        done = run.checkpoint()
        if done and done[0] < run.recipe.epochs:
            console.print(f"going on after epoch {done[0]} of {run.recipe.epochs}")
        trainer = trainer or Trainer(run.recipe, run.settings["precision"], devices)
        fit(run, volumes, checks, console=console, trainer=trainer, init=init)


def _in_process(ensemble: Run, group: Sequence[int], devices: int, init: Path | None) -> bool:
    command = [
        sys.executable,
        "-P",  # the working directory may hold a zoo.py
        "-m",
        "zoo",
        "train",
        ensemble.entry.name,
        "--out",
        str(ensemble.path),
        "--resume",
    ]
    command += ["--devices", str(devices), *(word for number in group for word in ("--member", str(number)))]
    command += ["--init", str(init)] if init else []
    return subprocess.run(command, check=False).returncode == 0


def _difference(ensemble: Run, number: int) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in ensemble.recipe.members[number - 1].items())
