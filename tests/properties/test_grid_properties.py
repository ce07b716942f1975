"""What holds for windows, boxes and resampling whatever the shapes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import POWERS, SEEDS, SPACINGS, shapes

from zoo.data.boxes import cut, grown, inside, moved, size
from zoo.data.resample import nearest, resample, resample_box, spacing_after, working_shape
from zoo.data.tiles import blend, gaussian_weight, pad_to, pad_to_multiple, windows

OVERLAPS = st.sampled_from([0, 0.1, 0.25, 0.5, 0.75, 0.9])


@st.composite
def volumes_and_windows(draw):
    shape = draw(shapes(9))
    return shape, tuple(draw(st.integers(1, n)) for n in shape)


def noise(seed, shape):
    return np.random.default_rng(seed).normal(0, 100, shape).astype(np.float32)


@given(volumes_and_windows(), OVERLAPS, SEEDS)
def test_the_identity_gives_the_input_back(case, overlap, seed):
    shape, window = case
    image = noise(seed, shape)
    np.testing.assert_allclose(blend(image, lambda tile: tile, window, overlap), image, rtol=1e-5)


@given(volumes_and_windows(), OVERLAPS, st.floats(-1e6, 1e6, width=32))
def test_a_constant_answer_has_no_seams(case, overlap, value):
    shape, window = case
    found = blend(np.zeros(shape), lambda tile: np.full(tile.shape, value, np.float32), window, overlap)
    np.testing.assert_allclose(found, value, rtol=1e-6, atol=1e-30)  # where float32 has no digits left


@given(volumes_and_windows(), OVERLAPS)
def test_windows_cover_all_overlap_enough_and_none_comes_twice(case, overlap):
    shape, window = case
    found = windows(shape, window, overlap)
    seen = np.zeros(shape, int)
    for box in found:
        assert size(box) == window
        seen[box] += 1
    assert seen.min() >= 1
    assert len({tuple(side.start for side in box) for box in found}) == len(found)
    for axis, (n, w) in enumerate(zip(shape, window, strict=True)):
        starts = sorted({box[axis].start for box in found})
        assert (starts[0], starts[-1]) == (0, n - w)
        # one voxel is the least step, whatever the overlap
        assert all(b - a <= max(1, w * (1 - overlap)) for a, b in pairwise(starts))


@given(volumes_and_windows(), SEEDS, st.integers(2, 3))
def test_windows_in_flight_change_no_bit(case, seed, in_flight):
    shape, window = case
    image = noise(seed, shape)
    one, several = (blend(image, np.sin, window, 0.5, n) for n in (1, in_flight))
    np.testing.assert_array_equal(one, several)


@given(shapes(40))
def test_weights_are_symmetric_and_highest_in_the_middle(window):
    weight = gaussian_weight(window)
    assert weight.shape == window
    assert weight.min() > 0
    np.testing.assert_array_equal(weight, weight[::-1, ::-1, ::-1])
    assert weight[tuple(n // 2 for n in window)] == weight.max()


@given(shapes(9), st.integers(1, 16), SEEDS)
def test_padding_holds_the_volume_and_nothing_new(shape, multiple, seed):
    image = noise(seed, shape)
    padded, place = pad_to_multiple(image, multiple)
    np.testing.assert_array_equal(padded[place], image)
    assert all(m % multiple == 0 and m - n < multiple for m, n in zip(padded.shape, shape, strict=True))
    assert set(padded.ravel()) <= set(image.ravel())


@given(shapes(6), shapes(20), SEEDS)
def test_a_volume_is_padded_up_to_a_window_and_never_cut(shape, least, seed):
    image = noise(seed, shape)
    padded, place = pad_to(image, least)
    np.testing.assert_array_equal(padded[place], image)
    assert padded.shape == tuple(map(max, shape, least))


@given(shapes(12), shapes(12), SEEDS)
def test_a_box_grown_within_a_volume_holds_it_and_is_found_in_it(shape, edges, seed):
    rng = np.random.default_rng(seed)
    boxes = cut(shape, edges)
    box = boxes[rng.integers(len(boxes))]
    outer = grown(box, rng.integers(0, 5, 3).tolist(), shape)
    volume = rng.random(shape)
    np.testing.assert_array_equal(volume[outer][inside(box, outer)], volume[box])
    step = rng.integers(-5, 6, 3)
    assert moved(moved(box, step.tolist()), (-step).tolist()) == box
    assert size(moved(box, step.tolist())) == size(box)


@given(shapes(8), shapes(16), SEEDS, st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.float64]))
def test_resampling_invents_no_value_and_keeps_a_constant(old, new, seed, dtype):
    image = np.random.default_rng(seed).integers(0, 200, old).astype(dtype)
    found = resample(image, new)
    assert (found.shape, found.dtype) == (new, np.float32)
    assert image.min() - 1e-3 <= found.min() <= found.max() <= image.max() + 1e-3
    np.testing.assert_allclose(resample(np.full(old, 7, dtype), new), 7, rtol=1e-6)


@given(shapes(8), shapes(16), SEEDS)
def test_resampling_keeps_order_sums_and_mirror_images(old, new, seed):
    low, more = noise(seed, old), np.abs(noise(seed + 1, old))
    assert (resample(low, new) <= resample(low + more, new) + 1e-3).all()
    np.testing.assert_allclose(
        resample(low + 2 * more, new), resample(low, new) + 2 * resample(more, new), atol=1e-2
    )
    flipped = resample(np.ascontiguousarray(low[::-1, ::-1, ::-1]), new)
    np.testing.assert_allclose(flipped[::-1, ::-1, ::-1], resample(low, new), atol=1e-2)


@given(shapes(8), shapes(12), SEEDS)
def test_a_box_of_a_constant_volume_is_constant(old, new, seed):
    rng = np.random.default_rng(seed)
    sides = [sorted(rng.choice(n + 1, 2, replace=False)) for n in new]
    box = tuple(slice(int(a), int(b)) for a, b in sides)
    volume = np.full(old, 3, np.uint16)
    found = resample_box(lambda part: volume[part], old, new, box)
    np.testing.assert_array_equal(found, np.full(size(box), 3, np.float32))


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_each_voxel_takes_the_old_one_that_its_centre_lies_in(old, new):
    index = np.arange(old).reshape(1, 1, -1)
    expected = [(2 * i + 1) * old // (2 * new) for i in range(new)]
    assert nearest(index, (1, 1, new)).ravel().tolist() == expected


@given(shapes(5), st.tuples(*[st.integers(1, 4)] * 3), SEEDS)
def test_labels_made_finer_come_back(shape, times, seed):
    labels = np.random.default_rng(seed).integers(0, 9, shape).astype(np.uint16)
    finer = nearest(labels, tuple(n * t for n, t in zip(shape, times, strict=True)))
    np.testing.assert_array_equal(finer, labels.repeat(times[0], 0).repeat(times[1], 1).repeat(times[2], 2))
    np.testing.assert_array_equal(nearest(finer, shape), labels)


@given(shapes(500), SPACINGS, st.floats(0.1, 5), POWERS)
@example(shape=(1, 1, 1), spacing=(0.25, 0.25, 0.25), voxel=5.0, unit=1.0)
def test_a_working_grid_has_voxels_near_the_wanted_size_and_knows_no_unit(shape, spacing, voxel, unit):
    new = working_shape(shape, spacing, voxel)
    assert new == working_shape(shape, [unit * um for um in spacing], unit * voxel)
    assert min(new) >= 1
    after = spacing_after(spacing, shape, new)
    assert [n * um for n, um in zip(new, after, strict=True)] == pytest.approx(
        [n * um for n, um in zip(shape, spacing, strict=True)]
    )
    for n, um in zip(new, after, strict=True):  # half a voxel over all of them
        assert n == 1 or abs(um - voxel) <= voxel / (2 * n - 1) * (1 + 1e-9) + 0.5 * voxel / n
