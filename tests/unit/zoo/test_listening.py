"""What long work says of how far it is."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from zoo import progress
from zoo.cli.image_bar import image_bar
from zoo.data.tiles import blend
from zoo.segment import Segmentation


def test_a_listener_hears_stages_and_their_parts() -> None:
    heard: list[tuple[str, int, int]] = []
    with progress.listening(lambda *told: heard.append(told)):
        progress.stage("first")
        assert list(progress.parts("ab")) == ["a", "b"]
        progress.stage("second")
    assert heard == [("first", 0, 0), ("first", 0, 2), ("first", 1, 2), ("first", 2, 2), ("second", 0, 0)]


def test_nobody_hears_what_is_said_outside() -> None:
    heard: list[tuple[str, int, int]] = []
    with pytest.raises(ZeroDivisionError), progress.listening(lambda *told: heard.append(told)):
        raise ZeroDivisionError
    progress.stage("later")
    assert list(progress.parts([1])) == [1]
    assert heard == []


def test_tiles_are_counted() -> None:
    heard: list[tuple[str, int, int]] = []
    image = np.zeros((4, 4, 8), np.float32)
    with progress.listening(lambda *told: heard.append(told)):
        progress.stage("network")
        blend(image, np.copy, (4, 4, 4))
    assert heard[1:] == [("network", done, 3) for done in range(4)]


def drawn(frames: int, *, terminal: bool) -> str:
    """Segment frames of nothing in two parts each, and return what the console shows."""
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=terminal, width=120)

    def segment(frame: np.ndarray) -> Segmentation:
        progress.stage("network")
        for _ in progress.parts(range(2)):
            pass
        return Segmentation(frame)

    with image_bar(console, "a[b].tif") as bar:
        watched = bar.watched(segment)
        for frame in bar.frames(np.zeros((frames, 2, 2, 2), int)):
            watched(frame)
    return seen.getvalue()


def test_a_terminal_shows_the_stage_of_an_image() -> None:
    alone = drawn(1, terminal=True)
    assert "a[b].tif: measuring" in alone
    assert "0/?" in alone.rpartition("measuring")[2]  # which has no parts
    assert "frames" not in alone
    series = drawn(3, terminal=True)
    assert "frames" in series
    assert "3/3" in series


def test_a_log_is_left_alone() -> None:
    assert drawn(3, terminal=False) == ""
