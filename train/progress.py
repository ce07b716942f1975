"""What a training shows while it runs: a bar on a terminal, a line an epoch in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zoo.wording import lasting

SHOWN = ("loss", "iou", "val_loss", "val_iou", "val_seg", "val_f1")


class Bar:
    """A bar over all steps of all epochs with loss, scores and time left; ends with its ``with`` block.

    Parameters
    ----------
    console
        Where to; not a terminal gets a line an epoch instead.
    epochs, steps
        Number of epochs of the whole run, and of steps in each.
    first
        Number of epochs that were finished before.
    """

    def __init__(self, console: Console, epochs: int, steps: int, first: int) -> None:
        self.console, self.epochs, self.steps, self.first = console, epochs, steps, first
        self.done = first
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task(self._name(), total=epochs * steps, completed=first * steps, values="")

    def __enter__(self) -> Bar:
        self.bar.start()
        self.began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def step(self, logs: Mapping[str, float]) -> None:
        """Move on by a step."""
        self.bar.update(self.task, advance=1, values=_values(logs))

    def epoch(self, logs: Mapping[str, float]) -> None:
        """Leave a line for a finished epoch."""
        self.done += 1
        to_do = self.epochs - self.done
        left = _left((time.monotonic() - self.began) / (self.done - self.first) * to_do)
        self.console.print(
            f"epoch {self.done}/{self.epochs}  {_values(logs)}{f'  {left}' if to_do else ''}",
            highlight=False,
            soft_wrap=True,
        )
        self.bar.update(self.task, description=self._name())

    def _name(self) -> str:
        return f"epoch {min(self.done + 1, self.epochs)}/{self.epochs}"


def _left(seconds: float) -> str:
    return f"about {lasting(seconds)} left"


def _values(logs: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {float(logs[name]):.3f}" for name in SHOWN if name in logs)
