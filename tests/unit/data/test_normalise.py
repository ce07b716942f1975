import numpy as np
import pytest

from zoo.data.normalise import HIGH, LOW, correct_attenuation, correct_bleaching, minmax, percentile, scale


def image(seed=0, shape=(6, 7, 8), dtype=np.uint16):
    return np.random.default_rng(seed).integers(90, 4000, shape).astype(dtype)


def fading(decay, *, background=100.0, slices=12):
    """A stack with a lit square in every slice, its light falling with exp(-decay z)."""
    stack = np.full((slices, 16, 16), background)
    stack[:, 4:9, 4:9] += 1000 * np.exp(-decay * np.arange(slices))[:, None, None]
    return stack


# percentile


def test_percentiles_become_0_and_1_and_nothing_is_clipped():
    stack = np.arange(1001.0).reshape(7, 11, 13)  # percentile p is 10 p
    scaled = percentile(stack)
    np.testing.assert_allclose(scaled, (stack - 10) / 988, rtol=1e-5, atol=1e-6)
    assert scaled.min() < 0
    assert scaled.max() > 1
    assert scaled.dtype == np.float32


def test_percentiles_can_be_chosen():
    stack = np.arange(101.0).reshape(1, 1, 101)
    np.testing.assert_allclose(percentile(stack, 10, 60)[0, 0, [10, 35, 60]], [0, 0.5, 1], atol=1e-6)


@pytest.mark.parametrize("factor, offset", [(2.5, 0), (1 / 16, 0), (1, 1730), (0.3, -50)])
def test_gain_and_offset_of_the_camera_do_not_matter(factor, offset):
    stack = image().astype(np.float64)
    np.testing.assert_allclose(percentile(stack * factor + offset), percentile(stack), atol=1e-5)


@pytest.mark.parametrize("how", [percentile, minmax])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.float64])
def test_every_type_becomes_float32_and_the_input_stays(how, dtype):
    stack = image(dtype=dtype)
    before = stack.copy()
    assert how(stack).dtype == np.float32
    np.testing.assert_array_equal(stack, before)


def test_hot_pixels_move_no_percentile():
    stack = image(shape=(20, 30, 30))
    hot = stack.copy()
    hot[3, 4, 5] = 65535
    away = np.ones(stack.shape, bool)
    away[3, 4, 5] = False
    np.testing.assert_allclose(percentile(hot)[away], percentile(stack)[away], atol=2e-3)
    assert np.abs(minmax(hot) - minmax(stack))[away].max() > 0.5  # this is why it is not the default


def test_a_few_lit_voxels_fall_back_to_the_full_range():
    stack = np.full((10, 20, 20), 100)
    stack[5, 5, 5] = 300  # 1 of 4000 voxels: both percentiles are 100
    scaled = percentile(stack)
    assert scaled[5, 5, 5] == 1
    assert scaled.sum() == 1


# minmax


def test_minmax_by_hand():
    np.testing.assert_array_equal(minmax(np.array([[[3, 7], [4, 11]]])), [[[0, 0.5], [0.125, 1]]])


@pytest.mark.parametrize("how", [percentile, minmax])
@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_constant_image_becomes_zero(how, value):
    np.testing.assert_array_equal(how(np.full((2, 3, 4), value, np.uint16)), np.zeros((2, 3, 4)))


def test_scale_takes_the_name_of_a_recipe():
    stack = image()
    np.testing.assert_array_equal(scale(stack, "percentile"), percentile(stack, LOW, HIGH))
    np.testing.assert_array_equal(scale(stack, "minmax"), minmax(stack))


# correct_attenuation


@pytest.mark.parametrize("decay", [0.05, 0.2])
def test_exponential_decay_is_undone(decay):
    np.testing.assert_allclose(correct_attenuation(fading(decay)), fading(0), rtol=1e-4)


def test_strength_undoes_a_share_of_the_decay():
    np.testing.assert_allclose(correct_attenuation(fading(0.2), strength=0.5), fading(0.1), rtol=1e-4)
    np.testing.assert_allclose(correct_attenuation(fading(0.2), strength=0), fading(0.2), rtol=1e-6)


def test_background_of_each_slice_is_kept():
    stack = fading(0.1) + np.linspace(0, 50, 12)[:, None, None]
    corrected = correct_attenuation(stack)
    np.testing.assert_allclose(np.median(corrected, axis=(1, 2)), np.median(stack, axis=(1, 2)))
    np.testing.assert_allclose(corrected[:, 6, 6] - corrected[:, 0, 0], 1000, rtol=1e-4)


def test_slices_without_signal_do_not_bend_the_fit():
    stack = fading(0.1)
    stack[[0, 1, 11]] = 100
    # the first slice with signal keeps its level, and the others come out at it
    expected = np.broadcast_to(stack[2], stack.shape).copy()
    expected[[0, 1, 11]] = 100
    np.testing.assert_allclose(correct_attenuation(stack), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "stack",
    [fading(-0.1), fading(0), np.full((5, 4, 4), 9.0), fading(0.3, slices=2), fading(0.3, slices=1)],
    ids=["brighter", "even", "constant", "two slices", "one slice"],
)
def test_what_does_not_fade_is_left_alone(stack):
    np.testing.assert_allclose(correct_attenuation(stack), stack, rtol=1e-5)


# correct_bleaching


def test_bleached_frames_come_back_to_the_first():
    first = fading(0)
    frames = np.stack(
        [100 + (first - 100) * light + drift for light, drift in ((1, 0), (0.5, 20), (0.2, -30))]
    )
    corrected = correct_bleaching(frames)
    assert corrected.dtype == np.float32
    np.testing.assert_allclose(corrected, np.stack([first] * 3), rtol=1e-4)


def test_frames_without_signal_are_moved_and_not_scaled():
    lit, dark = fading(0), np.full((12, 16, 16), 40.0)
    np.testing.assert_allclose(correct_bleaching(np.stack([lit, dark]))[1], 100)
    np.testing.assert_allclose(correct_bleaching(np.stack([dark, lit]))[1], lit - 60, rtol=1e-6)
