"""What a training shows while it runs: a bar on a terminal, a line an epoch in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar(keras.callbacks.Callback):
    """A bar over all steps of all epochs with loss, IoU and time left.

    Parameters
    ----------
    console
        Where to; not a terminal gets a line an epoch instead.
    epochs, first
        Number of epochs of the whole run, and of those that were finished before.
    """

    def __init__(self, console: Console, epochs: int, first: int) -> None:
        super().__init__()
        self.console, self.epochs, self.first = console, epochs, first
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
        self.task: Any = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Start the bar and its clock."""
        steps = self.params["steps"]
        self.task = self.bar.add_task("", total=self.epochs * steps, completed=self.first * steps, values="")
        self.bar.start()
        self.began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Name the epoch."""
        self.bar.update(self.task, description=f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Move on by a step."""
        self.bar.update(self.task, advance=1, values=_values(logs or {}))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Leave a line."""
        done, to_do = epoch + 1 - self.first, self.epochs - epoch - 1
        left = _left((time.monotonic() - self.began) / done * to_do)
        self.console.print(
            f"epoch {epoch + 1}/{self.epochs}  {_values(logs or {})}{f'  {left}' if to_do else ''}",
            highlight=False,
            soft_wrap=True,
        )

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Take the bar away."""
        self.bar.stop()


def _left(seconds: float) -> str:
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"


def _values(logs: Mapping[str, float]) -> str:
    shown = ("loss", "iou", "val_loss", "val_iou")
    return "  ".join(f"{name} {float(logs[name]):.3f}" for name in shown if name in logs)
