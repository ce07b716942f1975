from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zoo.data.resample import nearest, resample, resample_box, working_shape


def naive(image, shape):
    """Linear interpolation, a voxel at a time: voxels are boxes, outside counts as the nearest voxel."""
    out = np.zeros(shape)
    for voxel in product(*map(range, shape)):
        at = [(i + 0.5) * old / new - 0.5 for i, old, new in zip(voxel, image.shape, shape, strict=True)]
        for corner in product((0, 1), repeat=3):
            low = [int(np.floor(a)) for a in at]
            share = np.prod([a - lo if c else 1 - (a - lo) for a, lo, c in zip(at, low, corner, strict=True)])
            source = [lo + c for lo, c in zip(low, corner, strict=True)]
            out[voxel] += share * image[tuple(np.clip(source, 0, np.array(image.shape) - 1))]
    return out


# working_shape


@pytest.mark.parametrize(
    "shape, spacing, voxel_um, expected",
    [
        ((51, 128, 128), (1.75, 0.8, 0.8), 0.8, (112, 128, 128)),
        ((51, 128, 128), (1.75, 0.8, 0.8), 1.6, (56, 64, 64)),
        ((4, 5, 6), (1, 1, 1), 1, (4, 5, 6)),
        ((1, 2, 3), (0.1, 0.1, 0.1), 10, (1, 1, 1)),
    ],
)
def test_working_shape(shape, spacing, voxel_um, expected):
    assert working_shape(shape, spacing, voxel_um) == expected


# resample


@pytest.mark.parametrize("shape", [(9, 5, 6), (2, 3, 4), (7, 11, 3), (4, 5, 12), (1, 1, 1)])
def test_resample_is_linear_interpolation_of_boxes(shape):
    image = np.random.default_rng(0).normal(size=(4, 5, 6))
    out = resample(image, shape)
    assert out.dtype == np.float32
    assert out.shape == shape
    np.testing.assert_allclose(out, naive(image, shape), atol=1e-5)


@pytest.mark.parametrize(
    "kind", [bool, np.uint8, np.int16, np.uint16, np.float16, np.uint32, np.int64, float]
)
def test_every_type_is_resampled_as_its_floats(kind):
    image = (
        np.random.default_rng(0).integers(0, 2**31, (4, 5, 6)) >> (16 if kind is np.float16 else 0)
    ).astype(kind)
    np.testing.assert_array_equal(resample(image, (7, 3, 9)), resample(image.astype(np.float32), (7, 3, 9)))


def test_halving_averages_pairs_and_keeps_the_mean():
    image = np.random.default_rng(0).normal(size=(8, 6, 4))
    out = resample(image, (4, 3, 2))
    np.testing.assert_allclose(out, image.reshape(4, 2, 3, 2, 2, 2).mean(axis=(1, 3, 5)), atol=1e-6)


def test_a_single_slice_is_repeated():
    image = np.arange(6.0).reshape(1, 2, 3)
    np.testing.assert_array_equal(resample(image, (4, 2, 3)), np.repeat(image, 4, axis=0))


def test_the_same_shape_is_the_same_image():
    image = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    np.testing.assert_array_equal(resample(image, [2, 3, 4]), image)


def test_a_mask_comes_back_from_a_finer_grid():
    mask = np.zeros((6, 8, 8), bool)
    mask[2:4, 3:6, 1:7] = True
    finer = resample(mask, (12, 16, 16))
    assert 0 <= finer.min() <= finer.max() <= 1
    np.testing.assert_array_equal(resample(finer, mask.shape) >= 0.5, mask)


def test_positions_are_kept_under_anisotropic_resampling():
    ramp = np.broadcast_to(np.arange(10.0)[:, None, None], (10, 4, 4))
    # voxel i of 20 covers the half of voxel i // 2; the ramp goes on evenly but for the outer halves
    expected = np.clip((np.arange(20) + 0.5) / 2 - 0.5, 0, 9)
    np.testing.assert_allclose(resample(ramp, (20, 4, 4))[:, 2, 2], expected, atol=1e-5)


# nearest


@pytest.mark.parametrize(
    "shape, wanted",
    [
        ((3, 6, 8), (3, 12, 16)),
        ((3, 6, 8), (3, 3, 4)),
        ((2, 7, 9), (2, 5, 13)),
        ((1, 5, 7), (1, 7, 5)),
        ((4, 7, 9), (4, 1, 1)),
        ((4, 6, 6), (3, 6, 6)),
        ((2, 3, 5), (2, 49, 48)),
    ],
)
def test_each_voxel_takes_the_label_that_its_centre_lies_in(shape, wanted):
    labels = np.arange(np.prod(shape)).reshape(shape)
    found = nearest(labels, wanted)
    assert found.shape == wanted
    for place in product(*map(range, wanted)):
        centre = [(i + Fraction(1, 2)) * old / new for i, old, new in zip(place, shape, wanted, strict=True)]
        assert found[place] == labels[tuple(map(floor, centre))]


def test_labels_of_their_own_shape_are_unchanged_and_keep_their_type():
    labels = np.random.default_rng(0).integers(0, 2**40, (3, 5, 7))
    found = nearest(labels, labels.shape)
    np.testing.assert_array_equal(found, labels, strict=True)


def test_labels_stay_where_the_image_is():
    labels = np.zeros((1, 30, 45), int)
    labels[0, 6:15, 9:30] = 1
    for wanted in ((1, 20, 30), (1, 60, 90), (1, 10, 45)):
        expected = resample(labels, wanted) > 0.5
        np.testing.assert_array_equal(nearest(labels, wanted), expected)


@given(
    old=st.tuples(*[st.integers(1, 14)] * 3),
    new=st.tuples(*[st.integers(1, 14)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
@example(old=(2, 1, 14), new=(6, 1, 1), seed=1)  # two slices of one old one, at a face
def test_a_box_is_that_of_the_whole_resampled(old, new, seed):
    rng = np.random.default_rng(seed)
    volume = rng.integers(0, 60000, old).astype(np.uint16)
    sides = [sorted(rng.choice(n + 1, 2, replace=False)) for n in new]
    box = tuple(slice(int(a), int(b)) for a, b in sides)
    found = resample_box(lambda part: volume[part], old, new, box)
    np.testing.assert_allclose(found, resample(volume, new)[box], rtol=1e-5, atol=0.02)


def test_no_more_is_read_than_a_box_needs():
    asked = []

    def read(box):
        asked.append(box)
        return np.zeros([side.stop - side.start for side in box], np.uint8)

    resample_box(read, (100, 100, 100), (50, 100, 200), (slice(10, 20), slice(10, 20), slice(10, 20)))
    assert asked == [(slice(20, 40), slice(10, 21), slice(4, 11))]


def test_a_large_box_is_read_part_by_part(monkeypatch):
    monkeypatch.setattr("zoo.data.resample.MOST_READ", 500)
    volume = np.random.default_rng(0).normal(size=(30, 12, 12)).astype(np.float32)
    asked = []

    def read(box):
        asked.append([side.stop - side.start for side in box])
        return volume[box]

    new = (11, 9, 14)
    found = resample_box(read, volume.shape, new, tuple(slice(0, n) for n in new))
    np.testing.assert_allclose(found, resample(volume, new), atol=1e-6)
    assert len(asked) > 5
    assert max(np.prod(size) for size in asked) <= 720  # 5 planes, as one of the result may need
