import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi
from scipy.spatial.distance import pdist
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from zoo.errors import InputError
from zoo.fusion.landscape import (
    CENTRE_UM,
    MIN_DISTANCE,
    SMOOTHING,
    find_markers,
    flood_from,
    split_by_vote,
)

UM = (2.0, 1.0, 1.0)


def ball(centre, radius, shape=(20, 40, 60)):
    places = np.meshgrid(*(np.arange(n) * um for n, um in zip(shape, UM, strict=True)), indexing="ij")
    return sum((way - at) ** 2 for way, at in zip(places, centre, strict=True)) <= radius**2


def centre(at, shape=(20, 40, 60)):
    return ball(at, 2.5, shape).astype(np.float32)


LEFT, RIGHT = (20, 20, 20), (20, 20, 34)


def test_a_nucleus_whose_centre_was_missed_is_found_by_its_depth():
    mask = ball(LEFT, 8) | ball(RIGHT, 8)
    labels = split_by_vote(mask, centre(LEFT), UM)
    assert labels.max() == 2
    assert labels[10, 20, 20] != labels[10, 20, 34]


def test_nuclei_pressed_into_one_are_parted_by_their_centres():
    mask = ball((20, 20, 20), 8) | ball((20, 20, 26), 8)
    assert split_by_vote(mask, np.zeros(mask.shape, np.float32), UM).max() == 1
    both = np.maximum(centre((20, 20, 19)), centre((20, 20, 27)))
    labels = split_by_vote(mask, both, UM)
    assert labels.max() == 2
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.min() / sizes.max() > 0.8


def test_faint_centres_outside_the_mask_add_nothing():
    mask = ball(LEFT, 8)
    stray = centre((20, 20, 50))
    np.testing.assert_array_equal(split_by_vote(mask, stray, UM), mask)


def test_bytes_are_taken_like_probabilities():
    mask = ball((20, 20, 20), 8) | ball((20, 20, 26), 8) | ball((20, 20, 48), 6)
    both = np.maximum(0.8 * centre((20, 20, 19)), 0.6 * centre((20, 20, 27)))
    expected = split_by_vote(mask, both, UM)
    assert expected.max() == 3
    np.testing.assert_array_equal(split_by_vote(mask, np.rint(both * 255).astype(np.uint8), UM), expected)


def test_one_component_as_by_scipy_and_scikit_image():
    mask = ball(LEFT, 8) | ball(RIGHT, 7) | ball((20, 32, 27), 6)
    assert ndi.label(mask)[1] == 1
    centres = centre(RIGHT)
    height = (ndi.distance_transform_edt(mask, UM) + CENTRE_UM * centres) * mask
    height = ndi.gaussian_filter(height, SMOOTHING / np.array(UM))
    peaks = peak_local_max(height, min_distance=1, labels=mask.astype(int), exclude_border=False)
    assert len(peaks) == 3
    assert pdist(peaks * UM).min() >= MIN_DISTANCE  # so that none had to be left out
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, 4)
    expected = watershed(-height, seeds, mask=mask)
    labels = split_by_vote(mask, centres, UM)
    assert len(np.unique(np.stack([labels[mask], expected[mask]]), axis=1).T) == 3  # the same parts
    np.testing.assert_array_equal(labels > 0, mask)


@given(seed=st.integers(0, 2**32 - 1), level=st.floats(-0.5, 1.0))
def test_labels_partition_the_mask(seed, level):
    rng = np.random.default_rng(seed)
    mask = ndi.gaussian_filter(rng.normal(size=(6, 12, 12)), 1.5) > 0.1 * level
    centres = rng.random(mask.shape).astype(np.float32)
    labels = split_by_vote(mask, centres, UM)
    np.testing.assert_array_equal(labels > 0, mask)
    assert set(np.unique(labels)) - {0} == set(range(1, labels.max() + 1))
    pieces = ndi.label(mask)[0]
    for number in range(1, labels.max() + 1):
        assert len(np.unique(pieces[labels == number])) == 1
        assert ndi.label(labels == number)[1] == 1
    assert labels.dtype == np.int32


def test_nothing_gives_nothing():
    empty = np.zeros((3, 4, 5), bool)
    assert not split_by_vote(empty, empty.astype(np.float32)).any()


@pytest.mark.parametrize(
    ("mask", "centres", "spacing", "says"),
    [
        (np.zeros((3, 4), bool), np.zeros((3, 4)), UM, r"mask \(2-D\) must be 3-D"),
        (np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), UM, r"mask \(float64\) must be boolean"),
        (np.zeros((3, 4, 5), bool), np.zeros((3, 4, 6)), UM, r"centres \(shape \(3, 4, 6\)\) must have"),
        (np.zeros((3, 4, 5), bool), np.zeros((3, 4, 5)), (1, 0, 1), "must be three positive numbers"),
    ],
)
def test_what_is_refused(mask, centres, spacing, says):
    with pytest.raises(InputError, match=says):
        split_by_vote(mask, centres, spacing)


@given(seed=st.integers(0, 2**32 - 1))
def test_markers_found_and_flooded_from_one_after_the_other_give_the_same_parts(seed):
    rng = np.random.default_rng(seed)
    mask = ndi.gaussian_filter(rng.normal(size=(6, 14, 14)), 1.5) > 0.02
    centres = ndi.gaussian_filter(rng.random(mask.shape), 1).astype(np.float32)
    labels = split_by_vote(mask, centres, UM)
    markers, highest = find_markers(mask, centres, UM)
    assert highest > 0
    assert sorted(labels[tuple(markers.T)]) == list(range(1, labels.max() + 1))
    flooded = flood_from(mask, centres, markers, UM)
    renumbered = np.concatenate([[0], labels[tuple(markers.T)]])[flooded]
    # but for ties, which the order of the queue decides
    assert (renumbered != labels).mean() < 0.01


def test_what_no_marker_is_in_stays_without_a_label():
    mask = ball(LEFT, 6) | ball((20, 20, 50), 6)
    labels = flood_from(mask, np.zeros(mask.shape, np.uint8), np.array([[10, 20, 20], [1, 1, 1]]), UM)
    np.testing.assert_array_equal(labels, ball(LEFT, 6))
    assert not flood_from(mask, np.zeros(mask.shape, np.uint8), np.empty((0, 3), int), UM).any()
