from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from zoo import registry
from zoo.data.datasets import Volume
from zoo.prepare import isotropic
from zoo.recipe import Recipe
from zoo.train.batches import Batches, Example, WholeVolumes, prepare_example

RECIPE = Recipe(poolings=2, base=2, voxel_um=1.0, patch=(4, 8, 8), batch=1, augment="none", dilate=1)


def volume(shape=(8, 10, 12)):
    rng = np.random.default_rng(0)
    mask, markers = np.zeros(shape, bool), np.zeros(shape, bool)
    mask[2:6, 2:8, 2:9] = True
    markers[4, 5, 5] = True
    image = (100 + 900 * mask + rng.normal(0, 5, shape)).astype(np.uint16)
    return Volume(
        name="a", group="a", image=image, labels=mask * 1, mask=mask, markers=markers, spacing=(2.0, 1.0, 1.0)
    )


def numbered(number, shape=(6, 9, 10)):
    """A volume whose voxels tell where they are, and of which volume; the target is told from them."""
    image = (number * 1000 + np.arange(np.prod(shape)).reshape(shape)).astype(np.float32)
    return Example(image, image % 2 == 0)


# prepare_example


def test_image_and_mask_on_the_networks_grid():
    example = prepare_example(volume(), registry.get("qcanet_nsn"), RECIPE)
    assert example.image.shape == example.target.shape == (16, 10, 12)
    assert (example.image.dtype, example.target.dtype) == (np.float16, bool)
    scaled = isotropic(volume().image, (2, 1, 1), RECIPE)
    np.testing.assert_allclose(example.image, scaled, atol=2e-3)
    np.testing.assert_array_equal(example.target, np.repeat(volume().mask, 2, axis=0))


def test_hot_voxels_stay_finite_in_half_precision():
    hot = volume((16, 20, 24))
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1e-3, hot.mask.shape).astype(np.float32)
    image[4, 5, 5] = 500.0  # the 99.8th percentile is of the noise
    assert isotropic(image, (2, 1, 1), RECIPE).max() > np.finfo(np.float16).max
    image = prepare_example(replace(hot, image=image), registry.get("qcanet_nsn"), RECIPE).image
    assert np.isfinite(image).all()
    assert image.max() == np.finfo(np.float16).max


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_centres_learn_the_dilated_markers(steps):
    recipe = Recipe(poolings=2, base=2, voxel_um=1.0, patch=(4, 8, 8), dilate=steps)
    example = prepare_example(volume(), registry.get("qcanet_ndn"), recipe)
    grown = volume().markers
    if steps:
        grown = ndimage.binary_dilation(grown, iterations=steps)
    np.testing.assert_array_equal(example.target, np.repeat(grown, 2, axis=0))


def test_smaller_than_the_patch_is_mirrored_up_to_it():
    recipe = Recipe(poolings=2, base=2, voxel_um=1.0, patch=(24, 8, 16))
    example = prepare_example(volume(), registry.get("qcanet_nsn"), recipe)
    assert example.image.shape == example.target.shape == (24, 10, 16)
    np.testing.assert_array_equal(example.target[4:20, :, 2:14], np.repeat(volume().mask, 2, axis=0))
    np.testing.assert_array_equal(example.image[3], example.image[4])  # the face, and its mirror image


# Batches


def test_each_epoch_cuts_as_many_patches_of_a_volume_as_fit_into_its_size():
    # 128 voxels a patch: 540 hold four, 192 one
    examples = [numbered(0), numbered(1, shape=(6, 4, 8)), numbered(2, shape=(6, 4, 8))]
    batches = Batches(examples, Recipe(poolings=2, base=2, patch=(4, 4, 8), batch=4, augment="none"), seed=0)
    assert len(batches) == 2
    seen = []
    for index, size in enumerate((4, 2)):
        images, targets = batches[index]
        assert images.shape == targets.shape == (size, 4, 4, 8, 1)
        assert images.dtype == targets.dtype == np.float32
        np.testing.assert_array_equal(targets, images % 2 == 0)
        for cut in images[..., 0]:
            number = int(cut[0, 0, 0] // 1000)
            seen.append(number)
            z, y, x = np.argwhere(examples[number].image == cut[0, 0, 0])[0]
            np.testing.assert_array_equal(cut, examples[number].image[z : z + 4, y : y + 4, x : x + 8])
    assert sorted(seen) == [0, 0, 0, 0, 1, 2]


def test_patches_are_cut_everywhere():
    batches = Batches([numbered(0)], Recipe(poolings=2, base=2, patch=(4, 8, 8), augment="none"), seed=0)
    corners = set()
    for _ in range(300):
        corners.add(float(batches[0][0].flat[0]))
        batches.on_epoch_end()
    expected = {float(numbered(0).image[z, y, x]) for z in range(3) for y in range(2) for x in range(3)}
    assert corners == expected


def everything(batches, epochs):
    """All that a training would see."""
    seen = []
    for _ in range(epochs):
        seen += [np.concatenate([a.ravel() for a in batches[i]]) for i in range(len(batches))]
        batches.on_epoch_end()
    return seen


@pytest.mark.parametrize("augment", ["none", "flips", "strong"])
def test_a_resumed_run_sees_what_the_uninterrupted_one_would(augment):
    examples = [numbered(n, shape=(6, 8, 10)) for n in range(3)]
    recipe = Recipe(poolings=2, base=2, patch=(4, 8, 8), batch=2, augment=augment)
    whole = everything(Batches(examples, recipe, seed=3), 4)
    resumed = everything(Batches(examples, recipe, seed=3, epoch=2), 2)
    for once, again in zip(whole[4:], resumed, strict=True):
        np.testing.assert_array_equal(once, again)
    other = everything(Batches(examples, recipe, seed=4), 4)
    assert not all(np.array_equal(once, again) for once, again in zip(whole, other, strict=True))


def test_a_batch_asked_for_twice_is_the_same_and_epochs_differ():
    recipe = Recipe(poolings=2, base=2, patch=(4, 8, 8), augment="strong")
    batches = Batches([numbered(n) for n in range(4)], recipe, seed=0)
    once, again = batches[1][0], batches[1][0]
    np.testing.assert_array_equal(once, again)
    batches.on_epoch_end()
    assert not np.array_equal(batches[1][0], once)


def test_the_order_changes_with_the_epoch():
    recipe = Recipe(poolings=2, base=2, patch=(4, 8, 8), augment="none")
    batches = Batches([numbered(n) for n in range(6)], recipe, seed=0)
    orders = set()
    for _ in range(10):
        orders.add(tuple(int(batches[i][0].flat[0] // 1000) for i in range(len(batches))))
        batches.on_epoch_end()
    assert len(orders) > 7


def test_augmentation_is_that_of_the_recipe():
    recipe = Recipe(poolings=2, base=2, patch=(4, 8, 8), augment="flips")
    batches = Batches([numbered(0, (4, 8, 8))], recipe, seed=0)  # nothing to cut: only flips differ
    corners = set()
    for _ in range(60):
        corners.add(float(batches[0][0].flat[0]))
        batches.on_epoch_end()
    assert corners == {0, 7, 56, 63}


# WholeVolumes


def test_validation_volumes_are_uncut_and_mirrored_no_further_than_needed():
    examples = [numbered(0, (6, 9, 10)), numbered(1, (5, 12, 7))]
    whole = WholeVolumes(examples, multiple=4)
    assert len(whole) == 2
    places = [(12, np.s_[1:7, 1:10, 1:11]), (8, np.s_[1:6, 0:12, 0:7])]
    for index, (columns, inside) in enumerate(places):
        image, target = whole[index]
        assert image.shape == target.shape == (1, 8, 12, columns, 1)
        assert image.dtype == target.dtype == np.float32
        np.testing.assert_array_equal(image[0][inside][..., 0], examples[index].image)
        np.testing.assert_array_equal(target, image % 2 == 0)
