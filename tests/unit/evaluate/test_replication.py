"""The reproduction's scoring against arithmetic by hand and a loop over masks."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from zoo.cli import main
from zoo.errors import InputError
from zoo.evaluate.metrics import METRICS, mucov, score, seg
from zoo.evaluate.overlap import count_overlap
from zoo.evaluate.replication import REPLICATED

UNIT = (1.0, 1.0, 1.0)
volumes = array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.integers(0, 4)),
        arrays(np.uint8, shape, elements=st.integers(0, 4)),
    )
)


def line(*runs):
    """Make a (1, 1, N) volume out of (label, length) runs along x."""
    row = np.concatenate([np.full(length, number, np.uint8) for number, length in runs])
    return row[np.newaxis, np.newaxis]


def replication(truth, pred):
    return score(truth, pred, REPLICATED, spacing=UNIT, definition="replication")


@pytest.mark.parametrize("count", [1, 2, 3, 7, 53])
def test_a_perfect_segmentation_of_n_nuclei_scores_one_nth_and_an_iou_above_one(count):
    truth = line((0, 9), *((number, 5) for number in range(1, count + 1)))
    # of N nuclei of one size: products go with sum k * k / N, the two sums with sum k and sum k / N
    iou = (2 * count + 1) / (count + 2)
    assert replication(truth, truth) == pytest.approx({"iou": iou, "seg": 1 / count, "mucov": 1 / count})
    assert (iou > 1) == (count > 1)
    assert score(truth, truth, REPLICATED, spacing=UNIT) == {"iou": 1.0, "seg": 1.0, "mucov": 1.0}


def test_the_order_of_labels_changes_nothing_but_iou():
    truth = line((1, 5), (2, 5), (3, 5), (0, 5))
    found = replication(truth, line((3, 5), (1, 5), (2, 5), (0, 5)))
    assert found["seg"] == found["mucov"] == pytest.approx(1 / 3)
    # products (3 * 1 + 1 * 2 + 2 * 3) / 3, sums 6 and 6 / 3
    assert found["iou"] == pytest.approx((11 / 3) / (6 + 2 - 11 / 3))


def test_by_hand():
    # true numbers 1/2 on x 0..5 and 1 on 6..9; predicted 1 on 0..3, 2 on 4..8, 3 on 10..11
    truth, pred = line((1, 6), (2, 4), (0, 10)), line((1, 4), (2, 5), (0, 1), (3, 2), (0, 8))
    products = 4 * 0.5 * 1 + 2 * 0.5 * 2 + 3 * 1 * 2
    sums = (6 * 0.5 + 4 * 1) + (4 * 1 + 5 * 2 + 2 * 3)
    found = replication(truth, pred)
    assert found["iou"] == pytest.approx(products / (sums - products))
    assert found["seg"] == pytest.approx((3 / 6) / 3)  # true 2 and predicted 2 share 3 of 6; three predicted
    assert found["mucov"] == pytest.approx((4 / 6) / 2)  # predicted 1 and true 1 share 4 of 6; two true


def test_one_half_does_not_count_for_mucov():
    truth = line((1, 6), (2, 4))
    assert replication(truth, line((1, 3), (0, 7)))["mucov"] == 0  # 3 of 6
    assert replication(truth, line((1, 4), (0, 6)))["mucov"] == pytest.approx((4 / 6) / 2)


def test_the_background_stands_in_for_an_object_that_is_missed():
    truth, pred = line((1, 4), (2, 2), (0, 4)), line((1, 4), (0, 6))
    assert replication(truth, pred)["seg"] == pytest.approx(2 / 6)


def test_without_a_label_1_nothing_is_found():
    truth = line((1, 4), (2, 4))
    found = replication(truth, truth + 1)
    assert found["seg"] == found["mucov"] == 0 < found["iou"]


def test_empty_sides_score_as_elsewhere():
    empty, one = line((0, 5)), line((1, 2), (0, 3))
    assert replication(empty, empty) == dict.fromkeys(REPLICATED, 1.0)
    assert replication(one, empty) == replication(empty, one) == dict.fromkeys(REPLICATED, 0.0)


def naive(truth, pred):
    """Divide, and compare by number, one pair of masks at a time."""
    numbers = truth / truth.max()

    def overlap(one, other):
        shared = (one * other).sum()
        return shared / (one.sum() + other.sum() - shared)

    labels, values = np.unique(pred), np.unique(numbers)
    of_pred = [
        max(overlap((pred == other) * 1, (numbers == label) * 1) for other in labels)
        for label in labels[labels > 0]
    ]
    of_true = []
    for value in values[values > 0]:
        fits = [overlap((pred == value) * 1, (numbers == other) * 1) for other in values[values > 0]]
        of_true.append(max((fit for fit in fits if fit > 0.5), default=0))
    return {
        "iou": overlap(pred.astype(float), numbers),
        "seg": float(np.mean(of_pred)),
        "mucov": float(np.mean(of_true)),
    }


@given(volumes)
def test_agrees_with_masks_compared_by_number(pair):
    truth, pred = pair
    if truth.any() and pred.any():
        assert replication(truth, pred) == pytest.approx(naive(truth, pred))


def test_the_functions_of_the_single_metrics_know_it():
    truth = line((1, 5), (2, 5))
    table = count_overlap(truth, truth)
    assert seg(table, "replication") == mucov(table, "replication") == 0.5
    assert seg(table) == mucov(table) == 1.0


@pytest.mark.parametrize("name", [name for name in METRICS if name not in REPLICATED])
def test_other_metrics_are_refused(name):
    truth = line((1, 5), (2, 5))
    with pytest.raises(InputError, match=f"replication has no {name}: it is of iou, seg, mucov only"):
        score(truth, truth, ["iou", name], spacing=UNIT, definition="replication")


def test_the_command_scores_by_it(tmp_path):
    np.save(tmp_path / "labels.npy", np.stack([line((0, 4), (1, 3), (2, 3), (3, 3), (4, 3))[0]] * 2))
    words = ["eval", "--pred", f"{tmp_path}/labels.npy", "--truth", f"{tmp_path}/labels.npy"]
    words += ["--definition", "replication"]
    done = CliRunner().invoke(main, [*words, "--json", f"{tmp_path}/scores.json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["meta"]["definition"] == "replication"
    assert found["volumes"][0]["values"] == pytest.approx({"iou": 9 / 6, "seg": 0.25, "mucov": 0.25})
    refused = CliRunner().invoke(main, [*words, "--metric", "seg,pq"])
    assert refused.exit_code != 0
    assert "replication has no pq" in str(refused.output) + str(refused.exception)
