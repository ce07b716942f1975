"""Metrics against arithmetic by hand and the slow loops they stand for."""

import itertools

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment

from zoo.errors import InputError
from zoo.evaluate import metrics
from zoo.evaluate.foreground import FOREGROUND
from zoo.evaluate.metrics import METRICS, det_f1, f1, parse_metrics, score
from zoo.evaluate.overlap import count_overlap

UNIT = (1.0, 1.0, 1.0)
OVERLAPS = ("seg", "mucov", "f1@0.5", "f1@0.3", "ap50", "pq")
VOXELWISE = (*FOREGROUND, *OVERLAPS)
# 1 for the same volumes, 0 where only one side has objects; the others also count the background
OF_OBJECTS = tuple(name for name in METRICS if name not in ("miou", "accuracy"))

volumes = array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.integers(0, 3)),
        arrays(np.uint8, shape, elements=st.integers(0, 3)),
    )
)


def line(*runs):
    """Make a (2, 1, N) volume out of (label, length) runs along x, the same in both slices."""
    row = np.concatenate([np.full(length, number, np.uint16) for number, length in runs])
    return np.stack([row[np.newaxis]] * 2)


# In each of the two slices: truth 1 on x 0..9, 2 on 10..19, 3 on 30..39; prediction 1 on 0..7, 2 on 8..17,
# 3 on 45..49. All counts below are a slice's; both slices have the same, and ratios do not change.
# shared: (1,1) 8, (1,2) 2, (2,2) 8; IoU: 8/10, 2/18, 8/12
TRUTH = line((1, 10), (2, 10), (0, 10), (3, 10), (0, 10))
PRED = line((1, 8), (2, 10), (0, 27), (3, 5))
BY_HAND = {
    "seg": (8 / 10 + 8 / 12 + 0) / 3,
    "mucov": (8 / 10 + 8 / 12 + 0) / 3,
    "f1@0.5": 4 / 6,  # 2 found, 3 true, 3 predicted
    "f1@0.7": 2 / 6,
    "f1@0.1": 4 / 6,  # (1,2) would pass with 2/18, but both its objects are taken by better use
    "ap50": 2 / 4,
    "pq": (8 / 10 + 8 / 12) / 3,
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name):
    assert score(TRUTH, PRED, [name], spacing=UNIT) == {name: pytest.approx(BY_HAND[name])}


def naive(truth, pred, name, definition="standard"):
    """Count with one boolean mask a pair."""
    true_ids = [i for i in np.unique(truth) if i]
    pred_ids = [j for j in np.unique(pred) if j]
    if not true_ids or not pred_ids:
        return float(len(true_ids) == len(pred_ids))
    shared = np.array(
        [[np.logical_and(truth == i, pred == j).sum() for j in pred_ids] for i in true_ids], dtype=float
    )
    union = np.array(
        [[np.logical_or(truth == i, pred == j).sum() for j in pred_ids] for i in true_ids], dtype=float
    )
    overlap = shared / union
    coverage = shared / np.array([[(truth == i).sum()] for i in true_ids])
    if definition == "original":
        by_object = zip(overlap, coverage, strict=True)
        if name == "mucov":
            by_object = zip(overlap.T, coverage.T, strict=True)
        return float(np.mean([published_choice(*values) for values in by_object]))
    count = len(true_ids) + len(pred_ids)
    threshold = float(name[3:]) if name.startswith("f1@") else 0.5
    good = overlap > threshold
    found = good[linear_sum_assignment(good, maximize=True)].sum()
    return {
        "seg": lambda: np.where(coverage > 0.5, overlap, 0).max(axis=1).mean(),
        "mucov": lambda: overlap.max(axis=0).mean(),
        "ap50": lambda: found / (count - found),
        "pq": lambda: overlap[good].sum() / (count / 2),
    }.get(name, lambda: 2 * found / count)()


def published_choice(overlap, coverage):
    """Follow one object through the published loop over its partners, as its control flow prescribes."""
    best_iou, best_coverage = 0.0, 0.0
    for value, covered in zip(overlap, coverage, strict=True):
        if value >= best_iou:
            best_iou, best_coverage = value, max(best_coverage, covered)
    return best_iou if best_coverage > 0.5 else 0.0


@given(volumes, st.sampled_from(OVERLAPS))
def test_agrees_with_one_mask_a_pair(pair, name):
    assert score(*pair, [name], spacing=UNIT)[name] == pytest.approx(naive(*pair, name))


@given(volumes, st.sampled_from(["seg", "mucov"]))
def test_original_definition_agrees_with_the_published_control_flow(pair, name):
    expected = naive(*pair, name, definition="original")
    assert score(*pair, [name], spacing=UNIT, definition="original")[name] == pytest.approx(expected)


@given(volumes, st.permutations([1, 2, 3]), st.permutations([1, 2, 3]))
def test_the_numbering_of_objects_makes_no_difference(pair, for_truth, for_pred):
    truth, pred = pair
    renumbered = np.array([0, *for_truth])[truth], np.array([0, *for_pred])[pred] * 1000
    names = (*VOXELWISE, "det_f1")
    before = score(truth, pred, names, spacing=UNIT, radius_um=1.2)
    assert score(*renumbered, names, spacing=UNIT, radius_um=1.2) == pytest.approx(before)


@given(volumes)
def test_truth_and_prediction_can_be_swapped_but_for_seg_and_mucov(pair):
    names = (*FOREGROUND, "f1@0.5", "f1@0.3", "ap50", "pq", "det_f1")
    forth = score(*pair, names, spacing=UNIT, radius_um=1.2)
    assert score(*pair[::-1], names, spacing=UNIT, radius_um=1.2) == pytest.approx(forth)


@pytest.mark.parametrize("definition", ["standard", "original"])
def test_perfect_empty_and_missed(definition):
    empty = np.zeros_like(TRUTH)
    cases = {(True, True): 1.0, (True, False): 0.0, (False, True): 0.0, (False, False): 1.0}
    for (has_truth, has_pred), expected in cases.items():
        truth, pred = TRUTH if has_truth else empty, TRUTH if has_pred else empty
        scores = score(truth, pred, OF_OBJECTS, spacing=UNIT, definition=definition)
        assert scores == dict.fromkeys(OF_OBJECTS, expected), (has_truth, has_pred)


def test_objects_that_never_meet_score_zero():
    scores = score(line((1, 5), (0, 45)), line((0, 40), (1, 10)), OF_OBJECTS, spacing=UNIT)
    assert scores == dict.fromkeys(OF_OBJECTS, 0.0)


def test_exactly_half_is_not_more_than_half():
    # prediction 1 covers 5 of the 10 voxels and has 5: coverage and IoU are one half
    truth, pred = line((1, 10)), line((1, 5), (0, 5))
    scores = score(truth, pred, ["seg", "mucov", "f1@0.5", "ap50", "pq"], spacing=UNIT)
    assert scores == {"seg": 0.0, "mucov": 0.5, "f1@0.5": 0.0, "ap50": 0.0, "pq": 0.0}


def test_seg_takes_the_object_that_covers_more_than_half_though_another_fits_better():
    # truth: 10 voxels. One object covers 6 of them and has 60 (IoU 6/64), one covers 4 and has 4 (IoU 4/10)
    truth = line((1, 10), (0, 54))
    for large, small, original in ((1, 2, 4 / 10), (2, 1, 0.0)):
        pred = line((small, 4), (large, 60))
        assert score(truth, pred, ["seg"], spacing=UNIT)["seg"] == pytest.approx(6 / 64)
        # the published code passes the coverage of the large one on to the small one if that comes later
        found = score(truth, pred, ["seg"], spacing=UNIT, definition="original")
        assert found["seg"] == pytest.approx(original)


def test_original_mucov_needs_more_than_half_of_the_true_object():
    # the prediction lies within the true object: all of it is shared, but 4 of 10 true voxels are covered
    truth, pred = line((1, 10)), line((1, 4), (0, 6))
    assert score(truth, pred, ["mucov"], spacing=UNIT)["mucov"] == pytest.approx(0.4)
    assert score(truth, pred, ["mucov"], spacing=UNIT, definition="original")["mucov"] == 0.0


def test_a_low_threshold_finds_the_most_pairs():
    # IoU > 0.2: (1,1) 3/9 and (1,2) 3/9, (2,2) 3/9; taking (1,2) first would leave one pair, there are two
    truth, pred = line((1, 6), (2, 6)), line((1, 3), (2, 6), (0, 3))
    table = count_overlap(truth, pred)
    assert sorted(table.iou) == pytest.approx([3 / 9, 3 / 9, 3 / 6])
    assert f1(table, 0.2) == 1.0


def test_det_f1_by_hand():
    truth = np.array([[0, 0, 0], [10, 0, 0], [20, 0, 0]], dtype=float)
    pred = np.array([[0, 3, 4], [10, 3, 4.01]], dtype=float)  # 5 um, and a hair more than 5
    assert det_f1(truth, pred) == pytest.approx(2 / 5)
    assert det_f1(truth, pred, radius_um=5.1) == pytest.approx(4 / 5)
    assert det_f1(truth, truth, radius_um=1e-6) == 1.0


def test_det_f1_uses_each_centre_once():
    one, two = np.zeros((1, 3)), np.array([[0, 0, 1.0], [0, 0, -1.0]])
    assert det_f1(one, two) == pytest.approx(2 / 3)


def test_det_f1_looks_at_the_voxel_size():
    truth, pred = np.zeros((5, 1, 1), np.uint8), np.zeros((5, 1, 1), np.uint8)
    truth[0], pred[3] = 1, 1
    assert score(truth, pred, ["det_f1"], spacing=(1.0, 1.0, 1.0)) == {"det_f1": 1.0}
    assert score(truth, pred, ["det_f1"], spacing=(2.0, 1.0, 1.0)) == {"det_f1": 0.0}
    assert score(truth, pred, ["det_f1"], spacing=(2.0, 1.0, 1.0), radius_um=6.0) == {"det_f1": 1.0}


@pytest.mark.parametrize("seed", range(8))
def test_det_f1_finds_as_many_pairs_as_a_hungarian_assignment(seed):
    rng = np.random.default_rng(seed)
    truth, pred = rng.uniform(0, 40, (30, 3)), rng.uniform(0, 40, (25, 3))
    distance = np.linalg.norm(truth[:, None] - pred[None], axis=2)
    for radius in (3.0, 8.0, 20.0):
        # a pair out of reach costs more than all others together
        cost = np.where(distance <= radius, distance, 1e6)
        found = (distance <= radius)[linear_sum_assignment(cost)].sum()
        assert det_f1(truth, pred, radius) == pytest.approx(2 * found / 55)


def test_the_table_is_counted_once(monkeypatch):
    calls = itertools.count(1)
    real = metrics.count_overlap
    monkeypatch.setattr(metrics, "count_overlap", lambda *pair: next(calls) and real(*pair))
    score(TRUTH, PRED, METRICS, spacing=UNIT)
    assert next(calls) == 2


def test_parse_metrics():
    assert parse_metrics("iou, SEG,,f1@0.75 ,iou") == ("iou", "seg", "f1@0.75")
    assert parse_metrics(",".join(METRICS)) == METRICS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no metric given: name one or more of iou, dice"),
        (" , ", "no metric given"),
        ("iou,mucof", "unknown metric 'mucof': did you mean 'mucov'"),
        ("f1@1.0", r"f1@1.0.*between 0 and 1"),
        ("f1@nan", "between 0 and 1"),
        ("f1@half", "between 0 and 1"),
    ],
)
def test_parse_metrics_refuses(text, message):
    with pytest.raises(InputError, match=message):
        parse_metrics(text)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="unknown definition 'orignal': did you mean 'original'"):
        score(TRUTH, PRED, ["iou"], spacing=UNIT, definition="orignal")
    with pytest.raises(InputError, match="unknown metric"):
        score(TRUTH, PRED, ["recall"], spacing=UNIT)
    with pytest.raises(InputError, match="shape of the truth"):
        score(TRUTH, PRED[:1], ["iou"], spacing=UNIT)
    with pytest.raises(InputError, match="above 0"):
        score(TRUTH, PRED, ["det_f1"], spacing=UNIT, radius_um=0)


@pytest.mark.real
def test_the_published_output_scores_what_it_is_known_to_score(real_data):
    folder = real_data / "qcanet_example"
    truth, _ = label(tifffile.imread(folder / "images_nsn" / "16_cell_stage.tif"))
    pred = tifffile.imread(folder / "published_output" / "16_cell_stage.tif")
    scores = score(truth, pred, ["iou", "seg", "det_f1"], spacing=(1.75, 0.8, 0.8))
    assert scores == {
        "iou": pytest.approx(0.739, abs=5e-4),
        "seg": pytest.approx(0.736, abs=5e-4),
        "det_f1": 1.0,
    }
