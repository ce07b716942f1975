"""Foreground metrics against arithmetic by hand, a loop over voxels and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from zoo.evaluate.foreground import FOREGROUND, Counts, pool, pooled
from zoo.evaluate.metrics import score
from zoo.evaluate.overlap import count_overlap

UNIT = (1.0, 1.0, 1.0)

volumes = array_shapes(min_dims=3, max_dims=3, max_side=4).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.integers(0, 2)),
        arrays(np.uint8, shape, elements=st.integers(0, 2)),
    )
)

# 2 voxels in both, 1 in the truth only, 3 in the prediction only, 6 in neither
TRUTH = np.array([1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0], np.uint8).reshape(2, 2, 3)
PRED = np.array([7, 7, 0, 7, 1, 1, 0, 0, 0, 0, 0, 0], np.uint8).reshape(2, 2, 3)
BY_HAND = {"iou": 2 / 6, "dice": 4 / 8, "miou": (2 / 6 + 6 / 10) / 2, "accuracy": 8 / 12}


def counted(truth, pred):
    return Counts.of(count_overlap(truth, pred))


def naive(truth, pred):
    """Look at one voxel after the other, and at one class after the other."""
    pairs = [(bool(t), bool(p)) for t, p in zip(truth.flat, pred.flat, strict=True)]
    by_class = []
    for kind in (True, False):
        either = [pair for pair in pairs if kind in pair]
        by_class.append(sum(t == p for t, p in either) / len(either) if either else 1.0)
    sizes = sum(t for t, _ in pairs) + sum(p for _, p in pairs)
    return {
        "iou": by_class[0],
        "dice": 2 * sum(t and p for t, p in pairs) / sizes if sizes else 1.0,
        "miou": sum(by_class) / 2,
        "accuracy": sum(t == p for t, p in pairs) / len(pairs),
    }


def test_counts_and_metrics_by_hand():
    assert counted(TRUTH, PRED) == Counts(both=2, truth_only=1, pred_only=3, neither=6)
    assert score(TRUTH, PRED, FOREGROUND, spacing=UNIT) == pytest.approx(BY_HAND)


@given(volumes)
def test_agrees_with_a_loop_over_voxels(pair):
    assert score(*pair, FOREGROUND, spacing=UNIT) == pytest.approx(naive(*pair))


@given(volumes)
def test_agrees_with_scikit_learn(pair):
    truth, pred = ((labels > 0).ravel() for labels in pair)
    expected = {
        "iou": jaccard_score(truth, pred, zero_division=1.0),
        "dice": f1_score(truth, pred, zero_division=1.0),
        "miou": jaccard_score(truth, pred, average="macro"),
        "accuracy": accuracy_score(truth, pred),
    }
    assert score(*pair, FOREGROUND, spacing=UNIT) == pytest.approx(expected)


def test_miou_and_accuracy_count_the_background():
    empty = np.zeros_like(TRUTH)
    cases = [(TRUTH, TRUTH, 1.0, 1.0), (empty, empty, 1.0, 1.0), (TRUTH, empty, 9 / 24, 9 / 12)]
    cases.append((empty, PRED, 7 / 24, 7 / 12))  # 7 of the 12 voxels are background in PRED, 9 in TRUTH
    for truth, pred, miou, accuracy in cases:
        scores = score(truth, pred, ["miou", "accuracy"], spacing=UNIT)
        assert scores == pytest.approx({"miou": miou, "accuracy": accuracy})


def test_all_foreground_has_a_perfect_background():
    full = np.ones((2, 2, 2), bool)
    assert score(full, full, FOREGROUND, spacing=UNIT) == dict.fromkeys(FOREGROUND, 1.0)


def test_pooled_values_are_those_of_all_voxels_in_one_volume():
    rng = np.random.default_rng(0)
    pairs = [rng.integers(0, 3, (2, depth, 3, 4)) * (depth != 2) for depth in (1, 2, 5)]
    together = np.concatenate(pairs, axis=1)
    found = pooled(pool(counted(*pair) for pair in pairs), FOREGROUND)
    assert found == pytest.approx(score(*together, FOREGROUND, spacing=UNIT))
    means = [np.mean([score(*pair, [name], spacing=UNIT)[name] for pair in pairs]) for name in FOREGROUND]
    assert not np.isclose(list(found.values()), means).any()


def test_pooled_by_hand_leaves_out_what_is_not_of_the_foreground():
    counts = Counts(2, 1, 3, 6) + Counts(1, 0, 0, 7)
    assert counts == pool([Counts(1, 0, 0, 7), Counts(2, 1, 3, 6)]) == Counts(3, 1, 3, 13)
    found = pooled(counts, ("seg", "accuracy", "f1@0.5", "iou"))
    assert list(found) == ["accuracy", "iou"]
    assert found == pytest.approx({"accuracy": 16 / 20, "iou": 3 / 7})
