import math

import pytest

from zoo.recipe import Recipe
from zoo.train.schedule import is_best, learning_rate, should_stop, watched


def recipe(**values):
    return Recipe(**({"poolings": 2, "base": 2, "lr": 0.1, "lr_drop": 0.2, "epochs": 21} | values))


def history(*ious):
    return [{"epoch": float(n), "iou": 0.9, "val_iou": iou} for n, iou in enumerate(ious, start=1)]


def test_validation_decides_where_there_is_one():
    assert watched({"iou": 0.9, "val_iou": 0.2}) == 0.2
    assert watched({"iou": 0.9}) == 0.9


# learning_rate


def test_constant():
    assert [learning_rate(recipe(schedule="constant"), history(*[0.5] * n)) for n in (0, 20, 99)] == [0.1] * 3


def test_cosine_goes_from_the_rate_to_a_hundredth_of_it():
    rates = [learning_rate(recipe(schedule="cosine"), history(*[0.5] * n)) for n in range(21)]
    expected = [0.1 * (0.01 + 0.99 * (1 + math.cos(math.pi * n / 20)) / 2) for n in range(21)]
    assert rates == pytest.approx(expected)
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.0505)
    assert rates[20] == pytest.approx(0.001)
    assert rates == sorted(rates, reverse=True)


def test_cosine_of_a_single_epoch():
    assert learning_rate(recipe(schedule="cosine", epochs=1), []) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "ious, rate",
    [
        ([], 0.1),
        ([0.5] * 10, 0.1),  # the first, then nine without a higher one
        ([0.5] * 11, 0.02),
        ([0.1, 0.5] + [0.4] * 9, 0.1),
        ([0.1, 0.5] + [0.4] * 10, 0.02),
        ([0.1, 0.5] + [0.4] * 10 + [0.9, 0.95], 0.02),  # once and for good
        ([n / 100 for n in range(60)], 0.1),
    ],
)
def test_plateau_drops_once_when_the_iou_has_stalled_for_ten_epochs(ious, rate):
    assert learning_rate(recipe(schedule="plateau"), history(*ious)) == pytest.approx(rate)


# is_best and should_stop


@pytest.mark.parametrize(
    "ious, best", [([0.0], True), ([0.1, 0.2], True), ([0.2, 0.1], False), ([0.2, 0.1, 0.2], True)]
)
def test_the_best_is_the_highest_and_of_equals_the_later(ious, best):
    assert is_best(history(*ious)) is best


@pytest.mark.parametrize(
    "ious, patience, stops",
    [
        ([0.5] * 50, 0, False),
        ([0.5] * 3, 3, False),
        ([0.5] * 4, 3, True),
        ([0.5, 0.4, 0.4, 0.6], 3, False),
        ([0.1, 0.5, 0.4, 0.4, 0.5], 3, True),
        ([], 1, False),
    ],
)
def test_stops_after_so_many_epochs_without_a_higher_iou(ious, patience, stops):
    assert should_stop(recipe(patience=patience), history(*ious)) is stops


# a detector's history


def test_a_detectors_seg_decides_before_any_iou():
    assert watched({"loss": 0.1, "val_seg": 0.3, "val_f1": 0.8, "val_iou": 0.2, "iou": 0.9}) == 0.3
    assert watched({"loss": 0.1, "val_seg": 0.0}) == 0


def test_without_a_score_the_least_loss_decides():
    assert watched({"epoch": 1.0, "loss": 0.25, "lr": 0.1, "seconds": 3.0}) == -0.25
    losses = [3.0, 2.0, 2.5, 2.0, 1.0]
    rows = [{"epoch": float(n), "loss": loss} for n, loss in enumerate(losses, start=1)]
    assert [is_best(rows[:n]) for n in range(1, 6)] == [True, True, False, True, True]


def test_the_best_epoch_of_a_detector_has_the_highest_seg_not_the_least_loss():
    rows = [
        {"epoch": 1.0, "loss": 2.0, "val_seg": 0.2, "val_f1": 0.9},
        {"epoch": 2.0, "loss": 1.0, "val_seg": 0.1, "val_f1": 0.95},
        {"epoch": 3.0, "loss": 1.5, "val_seg": 0.3, "val_f1": 0.1},
    ]
    assert [is_best(rows[:n]) for n in (1, 2, 3)] == [True, False, True]
