"""What holds for scaled and corrected intensities whatever the image."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import POWERS, SEEDS, shapes

from zoo.data.normalise import correct_attenuation, correct_bleaching, minmax, percentile, percentiles
from zoo.data.tally import Tally

SHIFTS = st.sampled_from([-512.0, 0.0, 64.0, 4096.0])


@st.composite
def images(draw, side=8):
    """Whole numbers with many equal ones, so that a power of two and a shift change no order of them."""
    rng = np.random.default_rng(draw(SEEDS))
    top = draw(st.sampled_from([1, 2, 10, 255, 4095]))
    return rng.integers(0, top + 1, draw(shapes(side))).astype(np.float32)


@given(images(), POWERS, SHIFTS)
def test_gain_and_offset_change_no_scaled_value(image, gain, shift):
    for scaled in (percentile, minmax):
        np.testing.assert_allclose(scaled(image * gain + shift), scaled(image), rtol=1e-4, atol=1e-3)


@given(images())
def test_percentiles_become_0_and_1_and_order_stays(image):
    found = percentile(image)
    bottom, top = percentiles(image, 1.0, 99.8)
    if top > bottom:
        np.testing.assert_allclose(percentiles(found, 1.0, 99.8), (0, 1), atol=1e-4)
    else:
        assert not found.any()
    order = np.argsort(image, axis=None)
    assert (np.diff(found.ravel()[order]) >= 0).all()


@given(images())
def test_extremes_become_0_and_1(image):
    found = minmax(image)
    assert found.min() == 0
    assert found.max() == (image.max() > image.min())


@given(images(), st.sampled_from([np.uint8, np.uint16, np.int32, np.float64]))
def test_the_type_changes_no_scaled_value(image, dtype):
    whole = image.astype(dtype)
    for scaled in (percentile, minmax):
        np.testing.assert_array_equal(scaled(whole), scaled(whole.astype(np.float32)))


def stack_of(seed, shape, slope, share):
    """Make a stack whose light rises or falls with depth and of whose slices a share is lit."""
    rng = np.random.default_rng(seed)
    light = np.exp(slope * np.arange(shape[0])).clip(1e-3, 1e3) * (rng.random(shape[0]) < share)
    return (100 + 100 * rng.random(shape) * light[:, None, None]).astype(np.float32)


@given(
    SEEDS,
    st.tuples(st.integers(1, 300), st.integers(1, 5), st.integers(1, 5)),
    st.floats(-1, 1),
    st.sampled_from([0.02, 0.5, 1.0]),
    st.sampled_from([0.5, 1.0]),
)
@example(0, (19, 2, 2), 1.0, 0.5, 0.5)  # a voxel far below the median of its slice
def test_attenuation_is_corrected_to_finite_values_and_no_signal_is_lost(seed, shape, slope, share, strength):
    stack = stack_of(seed, shape, slope, share)
    found = correct_attenuation(stack, strength)
    assert (found.shape, found.dtype) == (stack.shape, np.float32)
    assert np.isfinite(found).all()
    floor = np.median(stack, axis=(1, 2), keepdims=True)
    assert (np.abs(found - floor) >= np.abs(stack - floor) * 0.999).all()
    np.testing.assert_array_equal(correct_attenuation(stack[:, ::-1, ::-1], strength), found[:, ::-1, ::-1])
    np.testing.assert_array_equal(correct_attenuation(stack, 0), stack)


def test_a_few_bright_slices_at_an_end_of_a_tall_stack_let_no_gain_overflow():
    stack = np.full((200, 4, 4), 100, np.float32)
    stack[:3, 0, 0] = 1100, 600, 300
    for turned in (stack, np.roll(stack, 197, axis=0)):
        found = correct_attenuation(turned)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[turned > 100], 1100, rtol=0.15)


@st.composite
def series(draw):
    rng = np.random.default_rng(draw(SEEDS))
    frame = rng.integers(0, 1000, draw(shapes(5))).astype(np.float32)
    count = draw(st.integers(1, 4))
    gains = np.array([1.0, *(draw(st.floats(0.1, 1)) for _ in range(count - 1))])
    shifts = np.array([0.0, *(draw(st.floats(-100, 100)) for _ in range(count - 1))])
    return (frame * gains[:, None, None, None] + shifts[:, None, None, None]).astype(np.float32)


@given(series())
@example(frames=np.zeros((2, 1, 1, 1), np.float32))
def test_frames_that_differ_by_gain_and_offset_become_the_first(frames):
    found = correct_bleaching(frames)
    background = np.median(frames[0])
    signal = frames[0].mean() - background
    np.testing.assert_allclose(found[0], frames[0], rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose([np.median(f) for f in found], background, atol=0.1)
    if signal > 1:  # else frames are only moved
        np.testing.assert_allclose(found, np.broadcast_to(frames[0], found.shape), rtol=1e-3, atol=5)


@given(SEEDS, st.integers(1, 60), st.sampled_from([1e-30, 1e-3, 1.0, 1e6]), st.integers(1, 5))
def test_the_tally_of_pieces_is_that_of_the_whole_in_any_order(seed, count, scale, pieces):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=count) * scale).astype(np.float32)
    one, other = Tally(), Tally()
    one.add(values)
    for piece in np.array_split(rng.permutation(values), min(pieces, count)):
        other.add(piece)
    percents = (0, 1, 50, 99.8, 100)
    found = one.percentiles(*percents)
    assert other.percentiles(*percents) == found
    assert sorted(found) == list(found)
    assert values.min() <= found[0] <= found[-1] <= values.max()
    assert one.counts.sum() == count
