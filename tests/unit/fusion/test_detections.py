import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.measure import regionprops

from zoo.fusion.detections import Detections, from_labels, none_of, separate_slices, to_labels

LABELS = arrays(
    np.int32, array_shapes(min_dims=2, max_dims=3, max_side=7), elements=st.sampled_from([0, 2, 5])
)


def discs():
    """Three objects of the identifiers 9, 4 and 70 in a volume; that of 4 has two pieces."""
    labels = np.zeros((6, 20, 30), int)
    labels[1:4, 2:8, 3:9] = 9
    labels[2:6, 10:13, 10:25] = 4
    labels[2, 15, 1] = 4
    labels[0, 19, 29] = 70
    return labels


def boxes(*items):
    """Detections that fill boxes: start, edges, score."""
    starts, edges, scores = zip(*items, strict=True)
    return Detections(np.array(starts), tuple(np.ones(e, bool) for e in edges), np.array(scores, np.float32))


# from labels


def test_objects_come_in_the_order_of_their_identifiers():
    found = from_labels(discs())
    assert found.starts.tolist() == [[2, 10, 1], [1, 2, 3], [0, 19, 29]]
    assert [mask.shape for mask in found.masks] == [(4, 6, 24), (3, 6, 6), (1, 1, 1)]
    assert found.scores.tolist() == [1, 1, 1]
    assert len(found) == 3


def test_scores_are_those_of_the_objects():
    found = from_labels(discs(), np.array([0.25, 0.5, 0.75]))
    assert found.scores.tolist() == [0.25, 0.5, 0.75]
    assert [mask.sum() for mask in found.masks] == [4 * 3 * 15 + 1, 108, 1]


def test_a_mask_holds_its_own_object_alone():
    labels = np.where(np.add.outer(np.arange(5), np.arange(5)) < 5, 1, 2)
    first, second = from_labels(labels).masks
    np.testing.assert_array_equal(first, labels == 1)
    np.testing.assert_array_equal(second, (labels == 2)[1:, 1:])


def test_large_identifiers_cost_no_memory():
    assert len(from_labels(np.array([[0, 2**60], [2**61, 0]]))) == 2


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_an_image_without_objects_has_no_detections(shape):
    for found in (from_labels(np.zeros(shape, int)), none_of(len(shape))):
        assert len(found) == len(found.masks) == len(found.scores) == len(found.boxes()) == 0
        assert found.starts.shape == (0, len(shape))
        assert found.centroids([1.0] * len(shape)).shape == (0, len(shape))
        assert not to_labels(found, shape).any()


def test_an_image_without_background_is_objects_alone():
    found = from_labels(np.array([[3, 3], [8, 8]]))
    assert found.starts.tolist() == [[0, 0], [1, 0]]


@given(LABELS)
def test_there_and_back_keeps_the_objects(labels):
    back = to_labels(from_labels(labels), labels.shape)
    ids = np.unique(labels[labels > 0])
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, np.select([labels == i for i in [0, *ids]], range(len(ids) + 1)))


# centroids, boxes and choice


def test_centroids_are_those_of_scikit_image_in_um():
    labels = discs()
    expected = {p.label: np.multiply(p.centroid, (2.0, 0.5, 0.25)) for p in regionprops(labels)}
    found = from_labels(labels).centroids((2.0, 0.5, 0.25))
    np.testing.assert_allclose(found, [expected[i] for i in (4, 9, 70)])


def test_a_centroid_by_hand():
    mask = np.array([[True, False], [True, True]])
    found = Detections(np.array([[10, 20]]), (mask,), np.ones(1))
    np.testing.assert_allclose(found.centroids((3, 0.5)), [[(10 + 2 / 3) * 3, (20 + 1 / 3) * 0.5]])


def test_boxes_are_where_the_masks_lie():
    labels = discs()
    found = from_labels(labels)
    for place, mask, label in zip(found.boxes(), found.masks, (4, 9, 70), strict=True):
        np.testing.assert_array_equal(labels[place] == label, mask)
        assert mask.sum() == (labels == label).sum()


def test_take_follows_the_indices():
    found = from_labels(discs(), np.array([0.25, 0.5, 0.75]))
    some = found.take(np.array([2, 0]))
    assert some.starts.tolist() == [[0, 19, 29], [2, 10, 1]]
    assert [mask.shape for mask in some.masks] == [(1, 1, 1), (4, 6, 24)]
    assert some.scores.tolist() == [0.75, 0.25]
    assert len(found.take(np.array([], int))) == 0
    assert found.take(np.array([], int)).starts.shape == (0, 3)


# to labels


def test_overlaps_go_to_the_surer_and_of_equals_to_the_first():
    found = boxes(((0, 0), (1, 4), 0.5), ((0, 2), (1, 4), 0.9), ((0, 5), (1, 4), 0.5), ((0, 8), (1, 3), 0.5))
    #            two hold 2, 3 (the surer: 2), 5 (2) and 8 (of equals the first, 3)
    assert to_labels(found, (1, 12)).tolist() == [[1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 0]]


def test_a_hidden_detection_leaves_its_number_out():
    found = boxes(((1, 1), (2, 2), 0.4), ((0, 0), (4, 4), 0.8), ((0, 5), (1, 1), 0.1))
    labels = to_labels(found, (4, 6))
    assert np.unique(labels).tolist() == [0, 2, 3]
    assert labels[0, 5] == 3


def test_what_a_box_leaves_free_is_not_painted():
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    found = Detections(np.array([[0, 0], [1, 1]]), (ring, np.ones((1, 1), bool)), np.array([0.9, 0.1]))
    assert to_labels(found, (3, 3)).tolist() == [[1, 1, 1], [1, 2, 1], [1, 1, 1]]


# separate slices


def test_no_label_is_in_two_slices():
    planes = [
        boxes(((0, 0), (2, 2), 0.9), ((2, 2), (1, 1), 0.9)),
        none_of(2),
        boxes(((0, 0), (2, 2), 0.9)),
        boxes(((0, 0), (1, 1), 0.9), ((1, 1), (1, 1), 0.8), ((2, 0), (1, 3), 0.7)),
    ]
    volume = separate_slices(planes, (4, 3, 3))
    assert volume.dtype == np.int32
    assert volume.tolist() == [
        [[1, 1, 0], [1, 1, 0], [0, 0, 2]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[3, 3, 0], [3, 3, 0], [0, 0, 0]],
        [[4, 0, 0], [0, 5, 0], [6, 6, 6]],
    ]


def test_a_hidden_detections_number_is_not_used_again():
    hidden = boxes(((0, 0), (1, 1), 0.1), ((0, 0), (1, 1), 0.9))
    volume = separate_slices([hidden, boxes(((0, 0), (1, 1), 0.5))], (2, 1, 1))
    assert volume.ravel().tolist() == [2, 3]
