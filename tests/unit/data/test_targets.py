import numpy as np
import pytest
from scipy import ndimage

from zoo.data.targets import MARKER_RADIUS, ball, dilate, markers_from_labels, nuclear_centres


def two_boxes():
    """Boxes of identifiers 9 and 4 that touch over a face; 9 comes first in z."""
    labels = np.zeros((14, 9, 9), np.uint16)
    labels[0:7, 1:8, 1:8] = 9
    labels[7:14, 1:8, 1:8] = 4
    return labels


# ball


def test_ball_of_2_is_the_33_voxels_of_the_data_set():
    around = range(-2, 3)
    expected = [[[z * z + y * y + x * x <= 4 for x in around] for y in around] for z in around]
    np.testing.assert_array_equal(ball(2), expected)
    assert ball(MARKER_RADIUS).sum() == 33


@pytest.mark.parametrize("radius, voxels", [(0, 1), (1, 7), (3, 123)])
def test_balls(radius, voxels):
    assert ball(radius).shape == (2 * radius + 1,) * 3
    assert ball(radius).sum() == voxels


# nuclear_centres


def test_centres_come_in_the_order_of_the_labels():
    np.testing.assert_array_equal(nuclear_centres(two_boxes()), [(10, 4, 4), (3, 4, 4)])


def test_a_hollow_object_has_its_centre_in_its_shell():
    labels = np.zeros((7, 7, 9), np.int32)
    labels[1:6, 1:6, 1:6] = 3
    labels[2:5, 2:5, 2:5] = 0
    ((z, y, x),) = nuclear_centres(labels)
    assert labels[z, y, x] == 3
    assert (z - 3) ** 2 + (y - 3) ** 2 + (x - 3) ** 2 == 4  # the middle of a face: the nearest of the shell


@pytest.mark.parametrize("seed", range(3))
def test_no_voxel_of_an_object_is_nearer_to_its_centroid(seed):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(12, 13, 14)), 1.5)
    labels, count = ndimage.label(field > 0.05)
    labels *= 3  # gaps in the numbers
    centres = nuclear_centres(labels)
    assert len(centres) == count > 1
    for number, centre in enumerate(centres, start=1):
        voxels = np.argwhere(labels == 3 * number)
        away = np.linalg.norm(voxels - voxels.mean(axis=0), axis=1)
        assert labels[tuple(centre)] == 3 * number
        assert np.linalg.norm(centre - voxels.mean(axis=0)) == pytest.approx(away.min())


def test_nothing_has_no_centres():
    assert nuclear_centres(np.zeros((3, 4, 5), np.uint8)).shape == (0, 3)


# markers_from_labels


def test_markers_are_whole_balls_in_the_middle_of_large_objects():
    markers = markers_from_labels(two_boxes())
    expected = np.zeros((14, 9, 9), bool)
    expected[1:6, 2:7, 2:7] = expected[8:13, 2:7, 2:7] = ball(2)
    np.testing.assert_array_equal(markers, expected)


def test_markers_are_cut_at_the_rim_of_objects_and_of_the_volume():
    labels = np.zeros((3, 6, 6), np.uint8)
    labels[0, 0, 0] = 1  # a voxel in a corner
    labels[:, 3:, 3:] = 2  # 3 x 3 x 3: the ball of radius 2 holds all of it
    np.testing.assert_array_equal(markers_from_labels(labels), labels > 0)


def test_each_of_many_small_objects_has_its_own_marker_inside():
    field = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(16, 16, 16)), 1)
    labels, count = ndimage.label(field > 0.1)
    marked = np.where(markers_from_labels(labels), labels, 0)
    assert set(np.unique(marked)) - {0} == set(range(1, count + 1))
    np.testing.assert_array_equal(markers_from_labels(labels) & (labels == 0), False)


def test_no_objects_no_markers():
    markers = markers_from_labels(np.zeros((2, 3, 4), np.uint8))
    assert markers.dtype == bool
    assert markers.shape == (2, 3, 4)
    assert not markers.any()


# dilate


def test_dilation_reaches_as_many_faces_as_steps():
    markers = np.zeros((9, 9, 9), bool)
    markers[4, 4, 4] = True
    z, y, x = np.abs(np.indices(markers.shape) - 4)
    for steps in range(4):
        np.testing.assert_array_equal(dilate(markers, steps), z + y + x <= steps)


def test_dilation_stops_at_the_volume():
    markers = np.zeros((2, 2, 2), bool)
    markers[0, 0, 0] = True
    assert dilate(markers, 1).sum() == 4
