import numpy as np
import pytest
from scipy import ndimage

from zoo.data.instances import CROP, instances


def ellipse(shape, centre, radii):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1


def sampled_back(found, index, shape):
    """Look a target up where a sampler does that takes a sample's index for its place in the box."""
    y0, x0, y1, x1 = found.boxes[index].astype(int)
    rows, columns = (np.arange(edge) + 0.5 for edge in (y1 - y0, x1 - x0))
    grid = np.meshgrid(rows * CROP / (y1 - y0), columns * CROP / (x1 - x0), indexing="ij")
    image = np.zeros(shape)
    image[y0:y1, x0:x1] = ndimage.map_coordinates(found.masks[index], grid, order=1, mode="nearest")
    return image


def test_boxes_enclose_the_pixels_whole():
    labels = np.zeros((10, 12), int)
    labels[2:5, 3:9] = 1
    labels[7, 0] = 2
    found = instances(labels, 1)
    assert found.boxes.tolist() == [[2, 3, 5, 9], [7, 0, 8, 1]]
    assert found.boxes.dtype == found.masks.dtype == np.float32
    assert found.masks.shape == (2, CROP, CROP)


def test_samples_by_hand():
    # the first lies on the box's edge, half way out of the object; all but those within half a pixel are 1
    labels = np.zeros((9, 9), int)
    labels[1:5, 2:9] = 1
    (mask,) = instances(labels, 1).masks
    along, across = mask[CROP // 2], mask[:, CROP // 2]  # CROP / 7 = 8 samples a column, 14 a row
    np.testing.assert_allclose(along[:5], [0.5, 0.625, 0.75, 0.875, 1])
    np.testing.assert_allclose(along[-5:], [1, 1, 0.875, 0.75, 0.625])
    np.testing.assert_allclose(across[[0, 7, 28, 49, 55]], [0.5, 1, 1, 1, 1 - 6 / 14], rtol=1e-6)


@pytest.mark.parametrize("centre", [(30, 30), (30.3, 29.6), (30.5, 30.5)])
@pytest.mark.parametrize("radii", [(4, 4), (9, 9), (15, 15), (26, 26), (8, 20), (25, 7)])
def test_masks_are_sampled_back_without_a_shift(centre, radii):
    truth = ellipse((60, 60), centre, radii)
    found = instances(truth.astype(int), 1)
    image = sampled_back(found, 0, truth.shape)
    back = image >= 0.5
    assert (back & truth).sum() / (back | truth).sum() > 0.95
    expected = ndimage.center_of_mass(truth)
    np.testing.assert_allclose(ndimage.center_of_mass(image), expected, atol=0.1)
    np.testing.assert_allclose(ndimage.center_of_mass(back), expected, atol=0.1)


def test_no_upper_or_lower_part_is_worse_than_the_other():
    truth = ellipse((60, 60), (30, 30), (20, 20))
    wrong = (sampled_back(instances(truth.astype(int), 1), 0, truth.shape) >= 0.5) != truth
    np.testing.assert_array_equal(wrong[10:51], wrong[10:51][::-1])
    np.testing.assert_array_equal(wrong[:, 10:51], wrong[:, 10:51][:, ::-1])


def test_slivers_are_left_out():
    labels = np.zeros((20, 20), int)
    labels[0, :11] = 1
    labels[2, :12] = 2
    labels[4, :13] = 3
    assert instances(labels, 12).boxes.tolist() == [[2, 0, 3, 12], [4, 0, 5, 13]]
    assert len(instances(labels, 12).masks) == 2
    assert len(instances(labels, 1).boxes) == 3


def test_what_is_left_out_is_told_by_the_area_not_by_the_box():
    assert len(instances(np.eye(11, dtype=int), 12).boxes) == 0
    assert len(instances(np.eye(12, dtype=int), 12).boxes) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_identifiers_need_not_be_consecutive(dtype):
    labels = np.zeros((20, 20), dtype)
    labels[2:6, 2:6], labels[10:15, 3:5], labels[10:12, 10:19] = 200, 7, 31
    found = instances(labels, 1)
    assert found.boxes.tolist() == [[10, 3, 15, 5], [10, 10, 12, 19], [2, 2, 6, 6]]  # of 7, 31 and 200
    dense = np.select([labels == 7, labels == 31, labels == 200], [1, 2, 3])
    np.testing.assert_array_equal(found.masks, instances(dense, 1).masks)


def test_large_identifiers_cost_no_memory():
    labels = np.zeros((8, 8), np.int64)
    labels[2:5, 2:5] = 2**60
    assert instances(labels, 1).boxes.tolist() == [[2, 2, 5, 5]]


def test_an_object_in_two_pieces_is_one():
    labels = np.zeros((20, 30), int)
    labels[3:7, 3:7] = 5
    labels[3:7, 23:27] = 5
    labels[3:7, 12:18] = 6  # another lies between the two
    found = instances(labels, 1)
    assert found.boxes.tolist() == [[3, 3, 7, 27], [3, 12, 7, 18]]
    for index, label in enumerate((5, 6)):
        np.testing.assert_array_equal(sampled_back(found, index, labels.shape) >= 0.5, labels == label)


def test_neighbours_in_a_box_are_not_in_its_mask():
    labels = np.where(np.add.outer(np.arange(12), np.arange(12)) < 12, 1, 2)
    for index in range(2):
        inside = sampled_back(instances(labels, 1), index, labels.shape) >= 0.5
        assert (inside == (labels == index + 1)).mean() > 0.95


def test_a_slice_without_background_and_one_without_objects():
    assert instances(np.full((5, 7), 3), 1).boxes.tolist() == [[0, 0, 5, 7]]
    empty = instances(np.zeros((5, 7), int), 1)
    assert empty.boxes.shape == (0, 4)
    assert empty.masks.shape == (0, CROP, CROP)
