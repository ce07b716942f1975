from dataclasses import replace

import numpy as np
import pytest

from zoo.data.datasets import Volume
from zoo.data.instances import CROP, instances
from zoo.data.normalise import percentile
from zoo.errors import InputError
from zoo.models.detect import with_context
from zoo.recipe_detector import DetectorRecipe
from zoo.train.slices import EMPTY, SliceBatches, Slices, prepare_slices

PLAIN = DetectorRecipe(patch=32, batch=3, augment="none", bootstrap=False, least_area=4)


def slices(seed=0, shape=(5, 48, 64), labels=None):
    """A volume whose image tells the volume, the slice and the label: 1000, 100 and 1 of each."""
    if labels is None:
        labels = np.zeros(shape, np.int32)
        for number, (z, y, x) in enumerate(np.random.default_rng(seed).integers(0, shape, (60, 3)), start=1):
            labels[z, y : y + 6, x : x + 4] = number
    image = labels + 100 * np.arange(len(labels))[:, None, None] + 1000 * (seed % 2)
    filled = [z for z, plane in enumerate(labels) if len(instances(plane, 4).boxes)]
    return Slices(image.astype(np.float16), labels, np.array(filled), np.unique(labels[labels > 0]).size)


def boxes_by_loop(labels, least_area):
    """The boxes of a patch's objects, in the order of their numbers."""
    found = []
    for label in sorted(set(labels.ravel().tolist()) - {0}):
        y, x = np.nonzero(labels == label)
        if len(y) >= least_area:
            found.append([y.min(), x.min(), y.max() + 1, x.max() + 1])
    return found


def same(first, second):
    return all(
        np.array_equal(getattr(first, n), getattr(second, n)) for n in ("images", "boxes", "masks", "counts")
    )


# with_context


@pytest.mark.parametrize(
    "context, seen",
    [
        (0, [[0] * 3, [1] * 3, [2] * 3, [3] * 3]),
        (1, [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]),
        (2, [[0, 0, 0, 1, 2], [0, 0, 1, 2, 3], [0, 1, 2, 3, 3], [1, 2, 3, 3, 3]]),
    ],
)
def test_the_outermost_slices_are_repeated_beyond_the_ends(context, seen):
    image = np.arange(4, dtype=np.float16)[:, None, None] * np.ones((1, 2, 3), np.float16)
    for z, expected in enumerate(seen):
        found = with_context(image, z, replace(PLAIN, context=context))
        assert found.shape == (len(expected), 2, 3)
        assert found.dtype == np.float32
        assert found[:, 1, 2].tolist() == expected


def test_a_single_slice_is_its_own_context():
    image = np.random.default_rng(0).random((1, 4, 5))
    np.testing.assert_allclose(with_context(image, 0, replace(PLAIN, context=2)), image.repeat(5, 0))


# prepare_slices


def volume(labels, spacing=(2.0, 0.8, 0.8)):
    image = np.random.default_rng(0).integers(0, 1000, labels.shape).astype(np.uint16)
    return Volume(
        name="Emb01", group="Emb01", image=image, labels=labels, mask=labels > 0, markers=labels > 0,
        spacing=spacing,
    )  # fmt: skip


def test_a_volume_comes_onto_the_detectors_grid_and_is_padded_to_a_patch():
    labels = np.zeros((3, 40, 20), int)
    labels[1, 5:9, 5:9] = 7
    labels[2, 5, 5:8] = 7  # a sliver
    given = volume(labels)
    found = prepare_slices(given, PLAIN)
    assert found.filled.tolist() == [1]
    assert (found.image.shape, found.labels.shape) == ((3, 64, 32), (3, 64, 32))
    assert (found.image.dtype, found.labels.dtype) == (np.float16, np.int32)
    np.testing.assert_array_equal(found.labels[:, :40, :20], labels)
    np.testing.assert_allclose(found.image[:, :40, :20], percentile(given.image), atol=1e-3)
    for array in (found.image, found.labels):
        assert not array[:, 40:].any()
        assert not array[:, :, 20:].any()


def test_pixels_are_resampled_and_slices_are_not():
    labels = np.zeros((3, 80, 40), int)
    labels[1, 10:18, 10:18] = 7
    found = prepare_slices(volume(labels, (2.0, 0.4, 0.8)), PLAIN)
    np.testing.assert_array_equal(found.labels[:, :40, :40], labels[:, 1::2])
    assert found.labels[1].sum() == 7 * 4 * 8


def test_the_least_area_is_one_of_resampled_pixels():
    labels = np.zeros((3, 80, 80), int)
    labels[1, 10:16, 10:12] = 1  # 12 pixels, 3 of twice the edge
    labels[2, 10:16, 10:14] = 1  # 24 and 6
    given = volume(labels, (2, 0.4, 0.4))
    assert prepare_slices(given, PLAIN).filled.tolist() == [2]
    only_slivers = prepare_slices(given, replace(PLAIN, least_area=7))
    assert len(only_slivers.filled) == 0
    with pytest.raises(InputError, match=r"none of the 1 volumes holds an object of 7 pixels of 0\.8"):
        SliceBatches([only_slivers], replace(PLAIN, least_area=7), seed=0)
    assert prepare_slices(given, replace(PLAIN, pixel_um=0.4, least_area=12)).filled.tolist() == [1, 2]


def test_a_volume_without_objects_has_no_filled_slices():
    found = prepare_slices(volume(np.zeros((3, 40, 20), int)), PLAIN)
    assert found.image.shape == (3, 64, 32)
    assert found.filled.shape == (0,)


# batches


@pytest.mark.parametrize("context", [0, 1, 2])
@pytest.mark.parametrize("augment", ["none", "flips"])
def test_targets_are_those_of_the_labels_that_the_image_shows(augment, context):
    recipe = replace(PLAIN, augment=augment, context=context)
    volumes = [slices(0), slices(1)]
    batches = SliceBatches(volumes, recipe, seed=3)
    shown, from_volumes = [], set()
    for step in range(20):
        batch = batches.batch(step)
        assert batch.images.shape == (3, 32, 32, recipe.channels)
        assert batch.images.dtype == np.float32
        for image, boxes, masks, count in zip(
            batch.images, batch.boxes, batch.masks, batch.counts, strict=True
        ):
            from_volume, told = np.divmod(image.astype(int), 1000)
            z, labels = np.divmod(told, 100)
            (at,) = np.unique(z[..., recipe.channels // 2])
            reach = [at] * 3 if context == 0 else np.clip(np.arange(at - context, at + context + 1), 0, 4)
            np.testing.assert_array_equal(z[0, 0], reach)
            shown.append(at)
            from_volumes |= set(np.unique(from_volume).tolist())
            truth = labels[..., recipe.channels // 2]
            assert boxes[:count].tolist() == boxes_by_loop(truth, 4)
            np.testing.assert_array_equal(masks[:count], instances(truth, 4).masks)
            assert (boxes[count:] == -1).all()
            assert (masks[count:] == -1).all()
    assert set(shown) == {0, 1, 2, 3, 4}
    assert from_volumes == {0, 1}


def test_patches_are_cut_all_over_a_slice():
    image = np.add.outer(40 * np.arange(48), np.arange(64))  # a corner's value tells its place
    whole = Slices(image[None].astype(np.float16), np.zeros((1, 48, 64), np.int32), np.array([0]), 1)
    batches = SliceBatches([whole], replace(PLAIN, batch=50), seed=0)
    corners = np.concatenate([batches.batch(step).images[:, 0, 0, 1] for step in range(20)])
    assert set(corners // 40) == set(range(48 - 32 + 1))
    assert set(corners % 40) == set(range(64 - 32 + 1))


def test_strong_augmentation_moves_image_and_targets_alike():
    labels = slices(4, (3, 48, 48)).labels
    bright = Slices((labels > 0).astype(np.float16), labels, np.array([0, 1, 2]), 1)
    batches = SliceBatches([bright], replace(PLAIN, augment="strong", context=0), seed=0)
    objects = 0
    for step in range(20):
        batch = batches.batch(step)
        for image, boxes, count in zip(batch.images, batch.boxes, batch.counts, strict=True):
            inside = np.zeros((32, 32), bool)
            for y0, x0, y1, x1 in boxes[:count].astype(int):
                inside[y0:y1, x0:x1] = True
            objects += count
            if count:
                assert image[inside, 1].mean() > image[~inside, 1].mean() + 0.1
    assert objects > 100


def test_a_batch_depends_on_the_seed_and_the_step_alone():
    volumes = [slices(0), slices(1)]
    recipe = replace(PLAIN, augment="strong", bootstrap=True)
    first = SliceBatches(volumes, recipe, seed=5)
    whole = [first.batch(step) for step in range(4)]
    resumed = SliceBatches(volumes, recipe, seed=5)
    assert same(resumed.batch(3), whole[3])
    assert same(resumed.batch(1), whole[1])
    assert not any(same(whole[i], whole[j]) for i in range(4) for j in range(i))
    assert not same(SliceBatches(volumes, recipe, seed=6).batch(3), whole[3])


def test_drawing_changes_no_volume():
    given = slices(0)
    image, labels = given.image.copy(), given.labels.copy()
    batches = SliceBatches([given], replace(PLAIN, augment="strong"), seed=0)
    for step in range(5):
        batches.batch(step)
    np.testing.assert_array_equal(given.image, image)
    np.testing.assert_array_equal(given.labels, labels)


def test_a_share_of_the_draws_may_be_empty():
    labels = np.zeros((50, 32, 32), np.int32)
    labels[[7, 31], 4:9, 4:9] = 1
    batches = SliceBatches([slices(labels=labels)], replace(PLAIN, batch=50), seed=0)
    full = np.mean([batches.batch(step).counts.mean() for step in range(40)])
    # 48 of 50 slices hold nothing; of 2000 draws, four standard deviations are 0.027
    assert abs(1 - full - EMPTY * 48 / 50) < 0.027


def test_a_volume_without_objects_is_drawn_from_as_empty_slices_are():
    labels = np.zeros((4, 32, 32), np.int32)
    empty, full = slices(1, labels=labels), slices(0, labels=labels + 1)
    batches = SliceBatches([empty, full, empty], replace(PLAIN, batch=50), seed=0)
    drawn = [batches.batch(step) for step in range(40)]
    from_full = np.concatenate([batch.images[:, 0, 0, 1] % 100 for batch in drawn])
    np.testing.assert_array_equal(from_full, np.concatenate([batch.counts for batch in drawn]))
    # two of three volumes hold nothing; of 2000 draws, four standard deviations are 0.023
    assert abs(1 - from_full.mean() - EMPTY * 2 / 3) < 0.023


@pytest.mark.parametrize("bootstrap", [False, True])
def test_no_volume_with_an_object_cannot_be_learnt_from(bootstrap):
    empty = slices(labels=np.zeros((4, 32, 32), np.int32))
    with pytest.raises(InputError, match="no training labels: none of the 2 volumes holds an object"):
        SliceBatches([empty, empty], replace(PLAIN, bootstrap=bootstrap), seed=0)


def test_of_more_objects_than_there_is_room_for_some_are_left_out_at_random(monkeypatch):
    monkeypatch.setattr("zoo.train.slices.MOST", 64)
    labels = np.zeros((1, 32, 32), np.int32)
    for number in range(100):
        y, x = 3 * (number // 10), 3 * (number % 10)
        labels[0, y : y + 2, x : x + 2] = number + 1
    batch = SliceBatches([slices(labels=labels)], replace(PLAIN, batch=1), seed=0).batch(0)
    assert batch.counts.tolist() == [64]
    kept, all_boxes = batch.boxes[0].tolist(), boxes_by_loop(labels[0], 4)
    assert [box for box in all_boxes if box in kept] == kept
    assert kept != all_boxes[:64]
    assert batch.masks.shape == (1, 64, CROP, CROP)


# bootstrap


def test_a_bootstrap_leaves_out_about_a_third_of_the_volumes():
    volumes = [slices(0, (1, 32, 32)) for _ in range(30)]
    ids = {id(one) for one in volumes}
    left_out = []
    for seed in range(300):
        drawn = SliceBatches(volumes, replace(PLAIN, bootstrap=True), seed).volumes
        assert len(drawn) == 30
        assert {id(one) for one in drawn} <= ids
        left_out.append(1 - len({id(one) for one in drawn}) / 30)
    # one of 30 is never drawn with (29/30)^30 = 0.362; four standard deviations of the mean are 0.013
    assert abs(np.mean(left_out) - (29 / 30) ** 30) < 0.013


def test_a_bootstrap_is_drawn_once_and_differs_between_seeds():
    volumes = [slices(0, (1, 32, 32)) for _ in range(30)]

    def drawn(seed, bootstrap=True):
        found = SliceBatches(volumes, replace(PLAIN, bootstrap=bootstrap), seed).volumes
        return [next(i for i, one in enumerate(volumes) if one is v) for v in found]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1, bootstrap=False) == list(range(30))


def test_a_bootstrap_never_draws_empty_volumes_alone():
    empty = [slices(labels=np.zeros((1, 32, 32), np.int32)) for _ in range(9)]
    full = slices(labels=np.ones((1, 32, 32), np.int32))
    for seed in range(50):
        batches = SliceBatches([*empty, full], replace(PLAIN, bootstrap=True), seed)
        assert len(batches.volumes) == 10
        assert sum(one is full for one in batches.volumes) == 1
        assert batches.batch(0).counts.shape == (3,)


def test_crowded_volumes_are_drawn_more_often():
    image = np.zeros((1, 32, 32), np.float16)
    labels = np.zeros((1, 32, 32), np.int32)
    labels[0, 4:12, 4:12] = 1
    sparse = Slices(image, labels, np.array([0]), 1)
    crowded = Slices(image + 1, labels, np.array([0]), 9)
    recipe = DetectorRecipe(patch=32, batch=1, augment="none", bootstrap=False)
    batches = SliceBatches([sparse, crowded], recipe, seed=0)
    share = np.mean([batches.batch(step).images.max() for step in range(400)])
    assert share == pytest.approx(3 / 4, abs=0.06)  # the roots of 9 and 1
