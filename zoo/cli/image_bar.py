"""How far the segmentation of an image is: its frames, and what is done to the one at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from zoo import progress

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from zoo.segment import Segmentation

    Segment = Callable[[np.ndarray], Segmentation]


class ImageBar:
    """One line for the frames of a series, and one for the stage of the frame at hand.

    Parameters
    ----------
    bars
        Where the lines are.
    name
        Of the image.
    """

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars, self._name = bars, escape(name)
        self._line = bars.add_task(self._name, total=None)

    def frames(self, frames: np.ndarray) -> Iterable[np.ndarray]:
        """Hand on the frames of a stack one by one."""
        return self._bars.track(frames, description="frames") if len(frames) > 1 else frames

    def watched(self, segment: Segment) -> Segment:
        """Show how far the segmentation of each frame is."""

        def watched(frame: np.ndarray) -> Segmentation:
            with progress.listening(self._show):
                result = segment(frame)
            self._show("measuring", 0, 0)
            return result

        return watched

    def _show(self, stage: str, done: int, total: int) -> None:
        (line,) = (task for task in self._bars.tasks if task.id == self._line)
        # without a total the bar swings; 'update' would keep that of the stage before, and stop its clock
        line.total, line.finished_time = total or None, None
        self._bars.update(self._line, description=f"{self._name}: {escape(stage)}", completed=done)


@contextmanager
def image_bar(console: Console, name: str) -> Iterator[ImageBar]:
    """Show bars while an image is segmented; they go when it is done, and need a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield ImageBar(bars, name)
