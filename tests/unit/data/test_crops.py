import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from zoo.data.crops import paste, sample

SHAPE = (20, 30)


def smooth(shape, seed=0):
    noise = np.random.default_rng(seed).random(shape)
    return ndimage.gaussian_filter(noise, 2, mode="constant").astype(np.float32)


def whole(start, crop, shape=SHAPE):
    """A crop on its image; nan where it says nothing."""
    image = np.full(shape, np.nan, np.float32)
    image[start[0] : start[0] + crop.shape[0], start[1] : start[1] + crop.shape[1]] = crop
    return image


def pasted_by_loop(mask, box, shape=SHAPE):
    """The value of each pixel whose centre lies in the box: linear between the four samples around it."""

    def neighbours(position, size):
        position = min(max(position - 0.5, 0), size - 1)  # from the first sample's centre to the last one's
        low = min(math.floor(position), size - 2) if size > 1 else 0
        return low, min(low + 1, size - 1), position - low

    y0, x0, y1, x1 = (float(edge) for edge in box)
    image = np.full(shape, np.nan, np.float32)
    for y in range(shape[0]):
        for x in range(shape[1]):
            if y0 <= y + 0.5 < y1 and x0 <= x + 0.5 < x1:
                top, bottom, down = neighbours((y + 0.5 - y0) / (y1 - y0) * mask.shape[0], mask.shape[0])
                left, right, along = neighbours((x + 0.5 - x0) / (x1 - x0) * mask.shape[1], mask.shape[1])
                upper = mask[top, left] * (1 - along) + mask[top, right] * along
                lower = mask[bottom, left] * (1 - along) + mask[bottom, right] * along
                image[y, x] = upper * (1 - down) + lower * down
    return image


# sample


def test_a_pixel_has_its_value_at_its_centre_and_falls_to_nothing_a_pixel_beyond():
    image = np.array([[2.0, 4.0]])
    found = sample(image, np.array([0.5]), np.array([-0.5, 0.0, 0.5, 1.0, 1.25, 1.5, 2.0, 2.5, 9.0]))
    np.testing.assert_allclose(found, [[0, 1, 2, 3, 3.5, 4, 2, 0, 0]])
    assert found.dtype == np.float32


def test_samples_are_those_of_scipy():
    image, rng = smooth((7, 9)), np.random.default_rng(1)
    rows, columns = rng.uniform(-2, 9, 40), rng.uniform(-2, 11, 50)
    grid = np.meshgrid(rows - 0.5, columns - 0.5, indexing="ij")
    expected = ndimage.map_coordinates(image, grid, order=1, mode="grid-constant")
    np.testing.assert_allclose(sample(image, rows, columns), expected, atol=1e-6)


def test_a_boolean_mask_counts_as_nought_and_one():
    mask = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(sample(mask, np.array([0.5, 1.0]), np.array([1.0])), [[0.5], [0.75]])


# paste


def test_a_mask_on_its_own_pixels_is_unchanged():
    mask = smooth((4, 6))
    start, crop = paste(mask, np.array([3, 5, 7, 11]), SHAPE)
    assert start == (3, 5)
    np.testing.assert_allclose(crop, mask, atol=1e-6)


def test_half_a_pixel_by_hand():
    mask = np.array([[0.0, 1.0]])
    # centres of the pixels 10 to 12 lie 0, 1 and 2 pixels into a box of 2: the last is no longer in it
    start, crop = paste(mask, np.array([4, 10.5, 5, 12.5]), SHAPE)
    assert start == (4, 10)
    np.testing.assert_allclose(crop, [[0, 0.5]])
    # twice enlarged: quarters of the way; the outermost samples reach to the box's edges
    _, crop = paste(mask, np.array([4, 10, 6, 14]), SHAPE)
    np.testing.assert_allclose(crop, [[0, 0.25, 0.75, 1]] * 2)


@pytest.mark.parametrize("seed", range(30))
def test_pixels_are_those_of_a_loop_over_the_image(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(rng.integers(1, 9, 2)).astype(np.float32)
    start = rng.uniform((-8, -8), (18, 28))
    box = np.concatenate([start, start + rng.uniform(0.5, 25, 2)])  # many reach beyond the image
    placed, crop = paste(mask, box, SHAPE)
    np.testing.assert_allclose(whole(placed, crop), pasted_by_loop(mask, box), atol=1e-5)


@pytest.mark.parametrize(
    "box, rows, columns",
    [
        ((-3, -4, 6, 8), (0, 6), (0, 8)),
        ((15, 20, 24, 34), (15, 20), (20, 30)),
        ((-3, -4, 24, 34), (0, 20), (0, 30)),
        ((0, 0, 20, 30), (0, 20), (0, 30)),
    ],
)
def test_at_the_images_edges_a_crop_is_cut_off_not_moved(box, rows, columns):
    mask = smooth((28, 28))
    start, crop = paste(mask, np.array(box, float), SHAPE)
    assert start == (rows[0], columns[0])
    assert crop.shape == (rows[1] - rows[0], columns[1] - columns[0])
    # the same on a larger image, on which the box has room
    moved, all_of_it = paste(mask, np.array(box, float) + 10, (50, 60))
    placed = whole(moved, all_of_it, (50, 60))[10:30, 10:40]
    np.testing.assert_allclose(crop, placed[rows[0] : rows[1], columns[0] : columns[1]], atol=1e-6)


@pytest.mark.parametrize(
    "box",
    [
        (-9, 3, -1, 8),  # above
        (3, -9, 8, -1),  # to the left
        (25, 3, 29, 8),  # below
        (3, 30, 8, 40),  # to the right
        (3.6, 3, 4.4, 8),  # between two rows of centres
        (3, 3, 3, 8),  # without area
        (3, 3, 3, 3),
        (8, 3, 3, 8),  # turned over
    ],
)
def test_boxes_without_a_pixels_centre_give_an_empty_crop(box):
    start, crop = paste(np.ones((28, 28)), np.array(box, np.float32), SHAPE)
    assert crop.size == 0
    assert min(start) >= 0


@given(
    edges=st.tuples(st.floats(0.0, 12), st.floats(0.0, 18)),
    start=st.tuples(st.floats(0, 8), st.floats(0, 12)),
)
def test_a_full_mask_fills_the_pixels_whose_centres_are_in_the_box(edges, start):
    box = np.array([*start, start[0] + edges[0], start[1] + edges[1]])
    placed, crop = paste(np.ones((28, 28)), box, SHAPE)
    y, x = np.mgrid[:20, :30] + 0.5
    inside = (box[0] <= y) & (y < box[2]) & (box[1] <= x) & (x < box[3])
    np.testing.assert_allclose(np.nan_to_num(whole(placed, crop)), inside, atol=1e-6)


def test_a_disc_keeps_its_place_whatever_its_boxs_fraction_of_a_pixel():
    i = np.arange(28) + 0.5 - 14
    mask = np.clip(12 - np.hypot(*np.meshgrid(i, i)) + 0.5, 0, 1)
    for y, x in np.random.default_rng(0).uniform(3, 6, (20, 2)):
        start, crop = paste(mask, np.array([y, x, y + 14, x + 21]), SHAPE)
        centre = ndimage.center_of_mass(crop)
        np.testing.assert_allclose(np.add(centre, start) + 0.5, (y + 7, x + 10.5), atol=0.06)
