import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from zoo.train import progress
from zoo.train.progress import Bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def log():
    return Console(file=io.StringIO(), force_terminal=False, width=40)


def lines(console):
    return console.file.getvalue().splitlines()


def test_a_log_gets_a_line_an_epoch_and_nothing_else(clock, log):
    with Bar(log, epochs=3, steps=2, first=0) as bar:
        for epoch in range(3):
            for _ in range(2):
                bar.step({"loss": 9.0})
            assert len(lines(log)) == epoch
            clock.seconds += 20
            bar.epoch({"loss": 0.5 / (epoch + 1), "iou": 0.25, "lr": 0.1, "seconds": 20.0})
    assert lines(log) == [
        "epoch 1/3  loss 0.500  iou 0.250  about 40 s left",
        "epoch 2/3  loss 0.250  iou 0.250  about 20 s left",
        "epoch 3/3  loss 0.167  iou 0.250",
    ]


def test_a_detectors_line_tells_its_own_scores(clock, log):
    with Bar(log, epochs=1, steps=1, first=0) as bar:
        bar.epoch({"epoch": 1.0, "val_f1": 0.75, "val_seg": 0.5, "loss": 2.0, "lr": 1e-3})
    assert lines(log) == ["epoch 1/1  loss 2.000  val_seg 0.500  val_f1 0.750"]


def test_a_long_line_is_not_broken(clock, log):
    logs = dict.fromkeys(("loss", "iou", "val_loss", "val_iou"), 0.125)
    with Bar(log, epochs=2, steps=1, first=0) as bar:
        bar.epoch(logs)
    (line,) = lines(log)
    assert line == "epoch 1/2  loss 0.125  iou 0.125  val_loss 0.125  val_iou 0.125  about 0 s left"


@pytest.mark.parametrize(
    "seconds, told", [(89, "about 89 s left"), (90, "about 2 min left"), (3600, "about 60 min left")]
)
def test_what_is_left_is_in_minutes_where_it_is_long(clock, log, seconds, told):
    with Bar(log, epochs=2, steps=1, first=0) as bar:
        clock.seconds += seconds
        bar.epoch({"loss": 1.0})
    assert lines(log) == [f"epoch 1/2  loss 1.000  {told}"]


def test_a_resumed_run_counts_on_and_reckons_with_its_own_epochs(clock, log):
    with Bar(log, epochs=10, steps=4, first=6) as bar:
        clock.seconds += 60
        bar.epoch({"loss": 1.0})
        clock.seconds += 10  # 35 s an epoch
        bar.epoch({"loss": 1.0})
    assert lines(log) == [
        "epoch 7/10  loss 1.000  about 3 min left",
        "epoch 8/10  loss 1.000  about 70 s left",
    ]


def test_the_bar_counts_the_steps_of_all_epochs(clock, log):
    with Bar(log, epochs=10, steps=4, first=6) as bar:
        (task,) = bar.bar.tasks
        assert (task.completed, task.total, task.description) == (24, 40, "epoch 7/10")
        for _ in range(4):
            bar.step({"loss": 0.5, "val_seg": 0.25})
        bar.epoch({"loss": 0.5})
        assert (task.completed, task.description) == (28, "epoch 8/10")
        assert task.fields["values"] == "loss 0.500  val_seg 0.250"


def test_a_terminal_gets_the_bar_and_the_lines():
    terminal = Console(
        file=io.StringIO(), force_terminal=True, width=120, color_system=None, legacy_windows=False
    )
    with Bar(terminal, epochs=2, steps=1, first=0) as bar:
        bar.step({"loss": 0.5})
        bar.epoch({"loss": 0.5})
    shown = terminal.file.getvalue()
    assert "epoch 1/2  loss 0.500  about 0 s left" in shown
    assert "1/2" in shown.split("about 0 s left")[1]  # of the bar's steps
    assert "epoch 2/2" in shown


def test_an_error_ends_the_bar_and_goes_on(log):
    with pytest.raises(RuntimeError, match="out of memory"), Bar(log, epochs=1, steps=1, first=0) as bar:
        raise RuntimeError("out of memory")
    assert not bar.bar.live.is_started
