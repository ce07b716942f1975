"""The contingency table against hand counts, scikit-image and plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import regionprops
from skimage.metrics import contingency_table

from zoo.errors import InputError
from zoo.evaluate.overlap import centroids, check_labels, count_overlap, renumber

TRUTH = np.array([[[1, 1, 0], [1, 2, 2]], [[1, 0, 0], [0, 2, 2]]], dtype=np.uint8)  # (2, 2, 3)
PRED = np.array([[[7, 7, 7], [0, 7, 3]], [[7, 0, 0], [3, 3, 3]]], dtype=np.uint16)
# 1 (4 voxels) shares 3 with 7; 2 (4 voxels) shares 1 with 7 and 3 with 3; 7 has 5 voxels, 3 has 4

volumes = array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.integers(0, 4)),
        arrays(np.int32, shape, elements=st.integers(0, 4)),
    )
)


def as_pairs(table):
    return {
        (int(table.truth_ids[r]), int(table.pred_ids[c])): int(n)
        for r, c, n in zip(table.rows, table.cols, table.voxels, strict=True)
    }


def test_hand_counted_volume():
    table = count_overlap(TRUTH, PRED)
    assert table.truth_ids.tolist() == [1, 2]
    assert table.truth_sizes.tolist() == [4, 4]
    assert table.pred_ids.tolist() == [3, 7]
    assert table.pred_sizes.tolist() == [4, 5]
    assert as_pairs(table) == {(1, 7): 3, (2, 3): 3, (2, 7): 1}
    assert (table.truth_voxels, table.pred_voxels, table.shared_voxels) == (8, 9, 7)
    # rows are ordered by truth, then prediction: (1, 7), (2, 3), (2, 7)
    assert table.iou == pytest.approx([3 / 6, 3 / 5, 1 / 8])
    assert table.truth_coverage == pytest.approx([3 / 4, 3 / 4, 1 / 4])


@given(volumes)
def test_agrees_with_scikit_image_and_plain_counting(pair):
    truth, pred = pair
    table = count_overlap(truth, pred)
    theirs = contingency_table(truth, pred, normalize=False).toarray()
    expected = {(i, j): int(theirs[i, j]) for i, j in zip(*np.nonzero(theirs), strict=True) if i and j}
    assert as_pairs(table) == expected
    for ids, sizes, labels in (
        (table.truth_ids, table.truth_sizes, truth),
        (table.pred_ids, table.pred_sizes, pred),
    ):
        counted = {i: int((labels == i).sum()) for i in range(1, 5) if (labels == i).any()}
        assert dict(zip(ids.tolist(), sizes.tolist(), strict=True)) == counted


@pytest.mark.parametrize(
    ("dtype", "first", "second"),
    [(np.uint64, 2**63 + 5, 2**64 - 1), (np.int64, 3, 2**62), (np.uint32, 2**31, 2**32 - 1)],
)
def test_labels_may_be_huge_and_far_apart(dtype, first, second):
    truth = np.where(TRUTH == 1, dtype(first), np.where(TRUTH == 2, dtype(second), dtype(0)))
    table = count_overlap(truth, PRED)
    assert [int(i) for i in table.truth_ids] == [first, second]
    assert as_pairs(table) == {(first, 7): 3, (second, 3): 3, (second, 7): 1}
    assert renumber(truth)[1].tolist() == TRUTH.tolist()


def test_memory_order_makes_no_difference():
    table = count_overlap(np.asfortranarray(TRUTH), PRED.transpose(2, 1, 0).copy().transpose(2, 1, 0))
    assert as_pairs(table) == {(1, 7): 3, (2, 3): 3, (2, 7): 1}


def test_masks_count_as_one_object():
    table = count_overlap(TRUTH > 0, PRED > 0)
    assert (table.truth_sizes.tolist(), table.pred_sizes.tolist(), table.voxels.tolist()) == ([8], [9], [7])


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4), (2, 3, 0)])
def test_nothing_there(shape):
    table = count_overlap(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    assert table.truth_ids.size == table.pred_ids.size == table.rows.size == 0
    assert (table.truth_voxels, table.pred_voxels, table.shared_voxels) == (0, 0, 0)


def test_full_of_one_object_without_background():
    table = count_overlap(np.full((2, 2, 2), 4), np.full((2, 2, 2), 9))
    assert as_pairs(table) == {(4, 9): 8}


def test_shapes_must_agree():
    with pytest.raises(InputError, match=r"\(2, 2, 4\).*shape of the truth, \(2, 2, 3\)"):
        count_overlap(TRUTH, np.zeros((2, 2, 4), np.uint8))


def test_floats_and_negative_labels_are_refused():
    with pytest.raises(InputError, match=r"predicted labels are float64.*must be integers"):
        count_overlap(TRUTH, PRED.astype(float))
    with pytest.raises(InputError, match=r"true labels hold -2.*renumber"):
        count_overlap(TRUTH.astype(np.int16) - 2, PRED)
    check_labels(TRUTH.astype(np.int16))


def test_renumber_keeps_what_is_numbered_already():
    ids, dense = renumber(TRUTH)
    assert ids.tolist() == [1, 2]
    assert dense is TRUTH
    ids, dense = renumber(PRED)
    assert ids.tolist() == [3, 7]
    assert dense.tolist() == [[[2, 2, 2], [0, 2, 1]], [[2, 0, 0], [1, 1, 1]]]


def test_centroids_by_hand():
    # 1 at (0,0,0), (0,0,1), (0,1,0), (1,0,0): mean (1/4, 1/4, 1/4), times the voxel size
    # 2 at (0,1,1), (0,1,2), (1,1,1), (1,1,2): mean (1/2, 1, 3/2)
    found = centroids(TRUTH, (2.0, 1.0, 0.5))
    assert found == pytest.approx(np.array([[0.5, 0.25, 0.125], [1.0, 1.0, 0.75]]))


def test_an_object_going_round_the_end_of_a_row_has_its_middle_in_the_middle():
    labels = np.zeros((1, 2, 3), np.uint8)
    labels[0, 0, 2] = labels[0, 1, 0] = 1  # neighbours in memory, not in space
    assert centroids(labels, (1, 1, 1)).tolist() == [[0, 0.5, 1.0]]


@given(volumes)
def test_centroids_agree_with_scikit_image(pair):
    labels = pair[1]
    expected = [region.centroid for region in regionprops(labels)]
    assert centroids(labels, (1, 1, 1)) == pytest.approx(np.array(expected).reshape(-1, 3))
