"""What holds for scores whatever the volumes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from strategies import POWERS, SPACINGS, labels, pairs, renumbered

from zoo.evaluate.foreground import Counts, dice, iou, pool
from zoo.evaluate.metrics import ap50, det_f1, f1, mucov, pq, score, seg
from zoo.evaluate.overlap import centroids, count_overlap, renumber, run_starts

UNIT = (1.0, 1.0, 1.0)
OF_OBJECTS = ("seg", "mucov", "f1@0.3", "f1@0.5", "ap50", "pq")
ALL = ("iou", "dice", "miou", "accuracy", *OF_OBJECTS)
PLACES = st.integers(0, 6).flatmap(
    lambda n: arrays(float, (n, 3), elements=st.integers(0, 4).map(float), fill=st.nothing())
)


def scores(truth, pred, names=ALL, **more):
    return pytest.approx(score(truth, pred, names, spacing=UNIT, **more))


def best_iou(table):
    """The best IoU of each true object."""
    best = np.zeros(table.truth_ids.size)
    np.maximum.at(best, table.rows, table.iou)
    return best


@given(pairs())
def test_scores_are_shares_whatever_the_definition(pair):
    for definition in ("standard", "original"):
        assert all(0 <= n <= 1 for n in score(*pair, ALL, spacing=UNIT, definition=definition).values())


@given(pairs())
def test_seg_is_at_most_mucov_of_the_swapped_pair_and_equals_it_where_all_is_clear(pair):
    truth, pred = pair
    table = count_overlap(truth, pred)
    swapped = mucov(count_overlap(pred, truth))
    assert seg(table) <= swapped + 1e-12
    best = best_iou(table)
    # an IoU above one half is a cover of more than half; one of nothing is 0 in both
    if ((best > 0.5) | (best == 0)).all():
        assert seg(table) == pytest.approx(swapped)


@given(pairs())
def test_objects_matched_above_one_half_are_a_lower_bound_of_seg_and_mucov(pair):
    table = count_overlap(*pair)
    matched = pq(table) * (table.truth_ids.size + table.pred_ids.size) / 2
    if table.truth_ids.size and table.pred_ids.size:
        assert seg(table) * table.truth_ids.size >= matched - 1e-9
        assert mucov(table) * table.pred_ids.size >= matched - 1e-9


@given(pairs())
def test_scores_of_one_table_fit_together(pair):
    table = count_overlap(*pair)
    assert ap50(table) == pytest.approx(f1(table) / (2 - f1(table)))
    assert pq(table) <= f1(table) + 1e-12
    falling = [f1(table, threshold) for threshold in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert falling == sorted(falling, reverse=True)
    counts = Counts.of(table)
    assert dice(counts) == pytest.approx(2 * iou(counts) / (1 + iou(counts)))


@given(labels(), st.permutations(range(1, 5)))
def test_a_volume_scores_1_against_itself_whatever_its_numbers(volume, order):
    other = renumbered(volume, order)
    assert set(score(volume, other, ALL, spacing=UNIT).values()) == {1.0}


@given(pairs(), st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3))
def test_turning_and_mirroring_both_volumes_changes_nothing(pair, axes, steps):
    turned = [v.transpose(axes)[tuple(slice(None, None, step) for step in steps)] for v in pair]
    assert score(*turned, ALL, spacing=UNIT) == scores(*pair)


@given(pairs(side=4), st.integers(2, 3), st.integers(0, 2))
def test_finer_voxels_change_nothing(pair, times, axis):
    finer = [np.repeat(v, times, axis) for v in pair]
    assert score(*finer, ALL, spacing=UNIT) == scores(*pair)


@given(pairs(), st.integers(1, 3))
def test_more_background_changes_no_score_of_objects(pair, margin):
    names = ("iou", "dice", *OF_OBJECTS)
    padded = [np.pad(v, margin) for v in pair]
    assert score(*padded, names, spacing=UNIT) == scores(*pair, names)


@given(pairs())
def test_counts_of_parts_pool_to_those_of_the_whole(pair):
    parts = [Counts.of(count_overlap(*(v[z : z + 1] for v in pair))) for z in range(len(pair[0]))]
    assert pool(parts) == Counts.of(count_overlap(*pair))


@given(pairs(), st.sampled_from([np.uint8, np.uint16, np.uint32, np.int64, np.uint64]))
def test_the_type_of_the_labels_changes_nothing(pair, dtype):
    assert score(*(v.astype(dtype) for v in pair), ALL, spacing=UNIT) == scores(*pair)


@given(labels(), st.lists(st.integers(1, 2**63 - 1), min_size=4, max_size=4, unique=True))
def test_numbers_may_be_as_large_as_their_type(volume, numbers):
    large = renumbered(volume.astype(np.uint64), numbers)
    ids, dense = renumber(large)
    assert ids.tolist() == sorted(set(large[large > 0].tolist()))
    np.testing.assert_array_equal(np.concatenate([[np.uint64(0)], ids.astype(np.uint64)])[dense], large)


@given(pairs(side=4))
def test_runs_are_those_of_a_loop(pair):
    one, other = pair
    expected = [
        i
        for i in range(one.size)
        if i % one.shape[-1] == 0
        or one.ravel()[i] != one.ravel()[i - 1]
        or other.ravel()[i] != other.ravel()[i - 1]
    ]
    assert run_starts(one, other).tolist() == expected


@given(labels(), SPACINGS)
def test_centroids_are_means_of_voxels_in_um(volume, spacing):
    expected = [np.argwhere(volume == n).mean(axis=0) * spacing for n in np.unique(volume[volume > 0])]
    np.testing.assert_allclose(centroids(volume, spacing), np.reshape(expected, (-1, 3)))


@given(PLACES, PLACES, st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_det_f1_is_that_of_the_hungarian_method(one, other, radius):
    if len(one) and len(other):
        near = cdist(one, other) <= radius
        rows, columns = linear_sum_assignment(~near)
        expected = 2 * near[rows, columns].sum() / (len(one) + len(other))
    else:
        expected = float(len(one) == len(other))
    assert det_f1(one, other, radius) == pytest.approx(expected)


@given(PLACES, PLACES, POWERS, st.integers(-5, 5), st.randoms(use_true_random=False))
def test_det_f1_knows_neither_unit_nor_place_nor_order_nor_side(one, other, unit, shift, random):
    before = det_f1(one, other, 2.0)
    order = random.sample(range(len(one)), len(one))
    assert det_f1((one[order] + shift) * unit, (other + shift) * unit, 2.0 * unit) == before
    assert det_f1(other, one, 2.0) == before
    rising = [det_f1(one, other, radius) for radius in (1.0, 2.0, 3.0)]
    assert rising == sorted(rising)


@given(pairs(side=4, most=3))
def test_f1_below_one_half_takes_the_most_pairs(pair):
    table = count_overlap(*pair)
    good = set(zip(*(side[table.iou > 0.2].tolist() for side in (table.rows, table.cols)), strict=True))
    columns = range(table.pred_ids.size)
    most = max(
        (
            sum((row, column) in good for row, column in enumerate(chosen))
            for chosen in itertools.permutations([*columns, *[-1] * 3], table.truth_ids.size)
        ),
        default=0,
    )
    both = table.truth_ids.size + table.pred_ids.size
    assert f1(table, 0.2) == pytest.approx(2 * most / both if both else 1)
