from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from official.vision.ops import mask_ops, spatial_transform_ops
from scipy import ndimage

from zoo.data.crops import paste
from zoo.data.instances import instances
from zoo.models.detect import AT_ONCE, Detector, fit
from zoo.prepare import in_plane
from zoo.recipe_detector import DetectorRecipe

RECIPE = DetectorRecipe(score=0.3, context=1, pixel_um=0.8, scaling="minmax")
BOXES = [[4, 6, 12, 22], [16, 8, 24, 12]]  # of the detector's pixels


class Fake:
    """A network that finds the same boxes in each slice, with scores that are given or read from the slice.

    Parameters
    ----------
    boxes, scores, masks
        Of a slice; without scores the value of its first pixel is the score of all, without masks they are 1.
    count
        How many of them are detections.
    """

    def __init__(self, boxes=BOXES, scores=None, masks=None, count=None, dtype=tf.float32):
        self.boxes, self.scores, self.dtype = boxes, scores, dtype
        self.masks = np.ones((len(boxes), 28, 28)) if masks is None else np.asarray(masks)
        self.count = len(boxes) if count is None else count
        self.traced, self.seen = [], []

    def __call__(self, images, image_shape, training):
        self.traced.append((tuple(images.shape), image_shape, training))
        tf.py_function(lambda batch: self.seen.append(batch.numpy()), [images], [])
        size = images.shape[0]
        scores = tf.repeat(images[:, :1, 0, images.shape[-1] // 2], len(self.masks), 1)
        if self.scores is not None:
            scores = np.tile(self.scores, (size, 1))
        return {
            "detection_boxes": tf.cast(np.tile(self.boxes, (size, 1, 1)), self.dtype),
            "detection_scores": tf.cast(scores, self.dtype),
            "detection_masks": tf.cast(np.tile(self.masks, (size, 1, 1, 1)), self.dtype),
            "num_detections": tf.constant(np.full(size, self.count, np.int32)),
        }


def volume(depth, shape=(32, 64)):
    """Slices whose values tell their number: 0.5, 0.51, ..."""
    return (
        np.ones((depth, *shape), np.float32)
        * (0.5 + 0.01 * np.arange(depth, dtype=np.float32))[:, None, None]
    )


def painted(detections, shape):
    """All masks of a slice as whole images."""
    images = np.zeros((len(detections), *shape), bool)
    for image, place, mask in zip(images, detections.boxes(), detections.masks, strict=True):
        image[place] = mask
    return images


def filled(shape, box):
    image = np.zeros(shape, bool)
    image[box[0] : box[2], box[1] : box[3]] = True
    return image


# which detections count


def test_scores_below_the_recipes_are_left_out():
    boxes = [[0, 8 * i, 4, 8 * i + 4] for i in range(5)]
    fake = Fake(boxes, scores=[0.9, 0.5, 0.3, 0.29, 0.0])
    (found,) = Detector(fake, RECIPE).detect_slices(volume(1), [0])
    assert found.scores == pytest.approx([0.9, 0.5, 0.3])
    assert found.starts.tolist() == [[0, 0], [0, 8], [0, 16]]
    (found,) = Detector(fake, replace(RECIPE, score=0.7)).detect_slices(volume(1), [0])
    assert found.scores == pytest.approx([0.9])


def test_what_lies_beyond_the_number_of_detections_is_filling():
    fake = Fake(scores=[0.9, 0.8], count=1)
    (found,) = Detector(fake, RECIPE).detect_slices(volume(1), [0])
    assert found.scores == pytest.approx([0.9])
    (found,) = Detector(Fake(scores=[0.9, 0.8], count=0), RECIPE).detect_slices(volume(1), [0])
    assert len(found) == 0
    assert found.starts.shape == (0, 2)


def test_a_detection_without_a_pixel_is_left_out():
    boxes = [[4, 6, 12, 22], [4.6, 6, 5.4, 22], [40, 6, 44, 9], [16, 8, 24, 12]]
    masks = np.stack([np.full((28, 28), p) for p in (0.5, 1, 1, 0.49)])
    fake = Fake(boxes, scores=[0.6, 0.7, 0.8, 0.9], masks=masks)
    (found,) = Detector(fake, RECIPE).detect_slices(volume(1), [0])
    assert found.scores == pytest.approx([0.6])  # between rows; in the padding; nowhere a half


def test_outputs_of_half_precision_are_widened():
    fake = Fake(dtype=tf.bfloat16, scores=[0.75, 0.5])
    (found,) = Detector(fake, RECIPE).detect_slices(volume(1), [0])
    assert found.scores.tolist() == [0.75, 0.5]
    np.testing.assert_array_equal(painted(found, (32, 64)), [filled((32, 64), box) for box in BOXES])


# where they lie


def test_masks_lie_in_their_boxes():
    mask = np.zeros((28, 28))
    mask[:14] = 1  # the upper half
    fake = Fake(masks=[mask, mask.T], scores=[0.9, 0.8])
    (found,) = Detector(fake, RECIPE).detect_slices(volume(1), [0])
    np.testing.assert_array_equal(
        painted(found, (32, 64)), [filled((32, 64), (4, 6, 8, 22)), filled((32, 64), (16, 8, 24, 10))]
    )


@pytest.mark.parametrize("shape, factors", [((96, 32), (3, 0.5)), ((16, 64), (0.5, 1)), ((32, 64), (1, 1))])
def test_boxes_are_scaled_to_the_pixels_of_the_image(shape, factors):
    (found,) = Detector(Fake(), RECIPE).detect_slices(volume(1), [0], shape)
    boxes = np.multiply(BOXES, np.tile(factors, 2)).astype(int)
    np.testing.assert_array_equal(painted(found, shape), [filled(shape, box) for box in boxes])


def test_padding_does_not_change_the_scale():
    # 25 x 40 pixels become 32 x 64 for the network; they stand for 50 x 40
    fake = Fake()
    (found,) = Detector(fake, RECIPE).detect_slices(volume(1, (25, 40)), [0], (50, 40))
    assert fake.traced[0][0] == (1, 32, 64, 3)
    np.testing.assert_array_equal(
        painted(found, (50, 40)), [filled((50, 40), (8, 6, 24, 22)), filled((50, 40), (32, 8, 48, 12))]
    )


def test_an_image_of_other_pixels_is_looked_at_on_the_detectors_grid():
    image = np.random.default_rng(0).integers(90, 900, (3, 64, 32)).astype(np.uint16)
    fake = Fake(scores=[0.9, 0.8])
    found = Detector(fake, RECIPE).detect(image, (2.0, 0.4, 1.6))  # 0.8 um: 32 x 64 pixels
    scaled = in_plane(image, (2.0, 0.4, 1.6), RECIPE)
    assert scaled.shape == (3, 32, 64)
    for z in range(3):
        expected = scaled[[max(z - 1, 0), z, min(z + 1, 2)]]
        np.testing.assert_allclose(np.moveaxis(fake.seen[0][z], -1, 0), expected, atol=1e-6)
        boxes = [(8, 3, 24, 11), (32, 4, 48, 6)]
        np.testing.assert_array_equal(painted(found[z], (64, 32)), [filled((64, 32), box) for box in boxes])


# slices at once


def test_eleven_slices_in_batches_of_one_size():
    assert AT_ONCE == 8
    fake = Fake()
    found = Detector(fake, RECIPE).detect_slices(volume(11), range(11))
    assert [one.scores[0] for one in found] == pytest.approx(0.5 + 0.01 * np.arange(11))
    assert [batch.shape for batch in fake.seen] == [(8, 32, 64, 3)] * 2
    numbers = [np.rint((batch[:, 5, 7] - 0.5) * 100).astype(int).tolist() for batch in fake.seen]
    assert numbers[0] == [[max(z - 1, 0), z, z + 1] for z in range(8)]
    assert numbers[1] == [[7, 8, 9], [8, 9, 10], [9, 10, 10]] + [[9, 10, 10]] * 5
    # traced once, for inference, and told the size of its slices
    ((_, sizes, training),) = fake.traced
    assert sizes.dtype == tf.float32
    np.testing.assert_array_equal(tf.get_static_value(sizes), [[32, 64]] * 8)
    assert training is False


def test_slices_are_those_chosen_in_their_order():
    found = Detector(Fake(), RECIPE).detect_slices(volume(20), [19, 3, 3, *range(9)])
    expected = 0.5 + 0.01 * np.array([19, 3, 3, *range(9)])
    assert [one.scores[0] for one in found] == pytest.approx(expected)
    assert Detector(Fake(), RECIPE).detect_slices(volume(2), []) == []


def test_another_size_of_slice_is_traced_anew_and_once():
    fake = Fake()
    detector = Detector(fake, RECIPE)
    for shape in ((32, 64), (32, 32), (30, 60), (32, 64)):
        detector.detect_slices(volume(9, shape), range(9))
    assert [shape for shape, _, _ in fake.traced] == [(8, 32, 64, 3), (8, 32, 32, 3)]


# fit


@pytest.mark.parametrize(
    "shape, multiple, least, fitted",
    [
        ((64, 32), 32, 0, (64, 32)),
        ((65, 1), 32, 0, (96, 32)),
        ((63, 33), 32, 128, (128, 128)),
        ((129, 128), 32, 128, (160, 128)),
        ((40, 40), 32, 100, (128, 128)),
    ],
)
def test_slices_are_padded_with_background_at_their_far_ends(shape, multiple, least, fitted):
    image = np.random.default_rng(0).integers(1, 9, (2, *shape)).astype(np.float16)
    found = fit(image, multiple, least)
    assert found.shape == (2, *fitted)
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found[:, : shape[0], : shape[1]], image)
    assert np.count_nonzero(found) == image.size


# Model Garden's own


@pytest.mark.parametrize("seed", range(20))
def test_pasted_masks_are_those_of_model_garden(seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.random((28, 28)) - 0.5, 2.5)
    mask = np.clip(0.5 + mask / abs(mask).max(), 0, 1).astype(np.float32)
    mask[[0, -1]] = mask[:, [0, -1]] = 0  # beyond its outer samples theirs falls to 0
    y0, x0 = rng.uniform(-10, 50, 2)
    height, width = rng.uniform(4, 50, 2)
    (expected,) = mask_ops.paste_instance_masks_v2(mask[None], np.array([[x0, y0, width, height]]), 60, 70)
    start, crop = paste(mask, np.array([y0, x0, y0 + height, x0 + width]), (60, 70))
    found = np.zeros((60, 70), np.float32)
    found[start[0] : start[0] + crop.shape[0], start[1] : start[1] + crop.shape[1]] = crop
    clear = abs(found - 0.5) > 0.02  # theirs looks samples up to 1/32
    assert crop.size == 0 or clear[found > 0].mean() > 0.9
    np.testing.assert_array_equal((found >= 0.5)[clear], expected[clear] == 1)


@pytest.mark.parametrize("off", [(0, 0, 0, 0), (-2, 1.5, 1, -1), (1.3, -2.2, -1.6, 2.7)])
def test_targets_come_back_from_model_gardens_sampler_without_a_shift(off):
    y, x = np.mgrid[:64, :64]
    labels = np.zeros((64, 64), int)
    for number, (at, radii) in enumerate([((20, 18), (12, 9)), ((44, 40), (9, 17)), ((10, 50), (6, 6))], 1):
        labels[((y - at[0]) / radii[0]) ** 2 + ((x - at[1]) / radii[1]) ** 2 <= 1] = number
    found = instances(labels, 1)
    regions = found.boxes + np.array(off, np.float32)
    crops = spatial_transform_ops.crop_mask_in_target_box(
        tf.constant(found.masks[None]), tf.constant(found.boxes[None]), tf.constant(regions[None]), 28,
        sample_offset=0.5,
    ).numpy()[0]  # fmt: skip
    for number, (crop, region) in enumerate(zip(crops, regions, strict=True), 1):
        (top, left), pasted = paste(crop, region, labels.shape)
        truth = labels[top : top + pasted.shape[0], left : left + pasted.shape[1]] == number
        back = pasted >= 0.5
        assert (back & truth).sum() / (back | truth).sum() > 0.95
        np.testing.assert_allclose(ndimage.center_of_mass(back), ndimage.center_of_mass(truth), atol=0.15)
