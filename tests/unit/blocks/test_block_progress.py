import io
import re

import pytest
from rich.console import Console

from zoo.blocks.engine import Outcome
from zoo.cli import block_progress as module
from zoo.cli.block_progress import Follower

STEPS = {"maps": 60.0, "labels": 40.0}


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def pieces(clock, count, seconds):
    """Give outcomes, each after some seconds."""
    for number in range(count):
        clock[0] += seconds
        yield Outcome(number)


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, soft_wrap=True)


def test_without_a_terminal_there_is_a_line_each_half_minute_and_at_the_end_of_a_step(clock):
    shown = console(terminal=False)
    with Follower(shown, STEPS) as follow:
        assert [outcome.number for outcome in follow("maps", 6, pieces(clock, 6, 20.0))] == list(range(6))
        list(follow("labels", 2, pieces(clock, 2, 10.0)))
    assert shown.file.getvalue().splitlines() == [
        "maps: 2 of 6, 3.0 a minute; 20 % of all, about 3 min left",
        "maps: 4 of 6, 3.0 a minute; 40 % of all, about 2 min left",
        "maps: 6 of 6, 3.0 a minute; 60 % of all, about 80 s left",
        "labels: 2 of 2, 6.0 a minute; 100 % of all",
    ]


def test_frames_share_the_whole(clock):
    shown = console(terminal=False)
    with Follower(shown, STEPS, frames=2) as follow:
        for _ in range(2):
            list(follow("maps", 1, pieces(clock, 1, 1.0)))
            list(follow("labels", 0, pieces(clock, 0, 1.0)))  # nothing to do
    told = [int(share) for share in re.findall(r"(\d+) % of all", shown.file.getvalue())]
    assert told == [30, 80]


def test_a_step_that_nobody_expected_is_told_all_the_same(clock):
    shown = console(terminal=False)
    with Follower(shown, {}) as follow:
        list(follow("writing", 3, pieces(clock, 3, 1.0)))
    assert shown.file.getvalue() == "writing: 3 of 3, 60.0 a minute; 0 % of all\n"


def test_on_a_terminal_there_is_one_bar(clock):
    shown = console(terminal=True)
    with Follower(shown, STEPS) as follow:
        list(follow("maps", 2, pieces(clock, 2, 1.0)))
        list(follow("labels", 2, pieces(clock, 2, 1.0)))
    last = [line for line in shown.file.getvalue().splitlines() if " of 2" in line][-1]
    assert "labels: 2 of 2" in last
    assert "100%" in last
    assert "maps" not in last
