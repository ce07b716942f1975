"""Training the members of an ensemble, one after the other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.data.datasets import Volume
    from zoo.train.runs import Run


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
        trainer = trainer or Trainer(run.recipe, run.settings["precision"], devices)
        fit(run, volumes, checks, console=console, trainer=trainer, init=init)


def _in_process(ensemble: Run, group: Sequence[int], devices: int, init: Path | None) -> bool:
    command = [
        sys.executable,
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
