"""How far a run by blocks is: one bar for all of it, or lines that ``grep`` finds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from zoo.blocks.engine import Outcome
from zoo.blocks.nuclei import NUCLEI
from zoo.blocks.plan import LABELLING_SPEED, Plan, labelling_seconds
from zoo.blocks.run import LEVELS, MAPS
from zoo.blocks.slices import DETECTIONS
from zoo.blocks.view import View
from zoo.data.boxes import Shape, size
from zoo.recipe import Recipe
from zoo.wording import lasting

DETECTORS_VOXEL = 4e-5  # seconds a voxel of a block with its halo; ours: four detectors on two cores
LOG_EVERY = 30.0  # seconds between two lines where there is no terminal
VOXEL = 5e-8  # seconds a working voxel of a network, times the square of its width; ours: that of two cores


class Follower:
    """Goes through the outcomes of all steps of a run, and shows how far it is.

    Parameters
    ----------
    console
        Where to.
    seconds
        What each step is expected to take, all frames together. Only their shares count: the time left is
        reckoned from what was needed so far.
    frames
        How often each step comes.
    """

    def __init__(self, console: Console, seconds: Mapping[str, float], frames: int = 1) -> None:
        self._console, self._seconds, self._frames = console, seconds, frames
        self._whole = max(sum(seconds.values()), 1e-9)
        self._done = 0.0
        self._begun = self._told = monotonic()
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task("", total=self._whole)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: str, total: int, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Pass on the outcomes of a step."""
        before, begun = self._done, monotonic()
        expected = self._seconds.get(step, 0.0) / self._frames
        for count, outcome in enumerate(outcomes, start=1):
            yield outcome
            self._done = before + expected * count / total
            speed = count / max(monotonic() - begun, 1e-3) * 60
            self._show(f"{step}: {count} of {total}, {speed:.1f} a minute", last=count == total)
        self._done = before + expected

    def _show(self, text: str, last: bool) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=self._done)
            return
        now = monotonic()
        if not last and now - self._told < LOG_EVERY:
            return
        self._told = now
        share = min(self._done / self._whole, 1.0)
        left = (now - self._begun) * (1 / share - 1) if share else 0.0
        about = f", about {lasting(left)} left" if left else ""
        self._console.print(f"{text}; {100 * share:.0f} % of all{about}")


def expected_seconds(
    shape: Shape, plan: Plan, views: Mapping[str, tuple[View, Recipe]], frames: int, merge: bool, apart: bool
) -> dict[str, float]:
    """Say about what the steps of a run take.

    Parameters
    ----------
    shape, plan, views
        What is cut, how, and what the networks see; no views where detectors look at slices.
    frames
        Of a series.
    merge, apart
        Whether shards are joined, or one is done.

    Returns
    -------
    dict
        Name of a step to seconds.
    """
    labelling = labelling_seconds(shape, plan)
    writing = {"writing": 0.1 * labelling * frames}
    if merge:
        return writing
    if not views:
        looked = DETECTORS_VOXEL * labelling / LABELLING_SPEED * frames
        seconds = {LEVELS: 0.01 * looked, DETECTIONS: looked, NUCLEI: 0.1 * looked, "labels": 0.05 * looked}
        return seconds if apart else seconds | writing
    seconds = {"markers": 0.4 * labelling * frames, "labels": 0.6 * labelling * frames}
    for name, (view, recipe) in views.items():
        speed = VOXEL * recipe.base**2 * frames
        seen = sum(math.prod(size(view.window(core))) for core in view.windows(plan.windows[name]))
        seconds[LEVELS] = seconds.get(LEVELS, 0.0) + 0.2 * speed * math.prod(view.padded)
        seconds[MAPS] = seconds.get(MAPS, 0.0) + speed * seen
    return seconds if apart else seconds | writing
