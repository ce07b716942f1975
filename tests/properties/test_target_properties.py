"""What holds for training targets and their changes whatever the labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi
from strategies import POWERS, SEEDS, SPACINGS, labels, masks, renumbered, shapes

from zoo.data.augment import affine, flip, strong, symmetric
from zoo.data.crops import sample
from zoo.data.datasets import DataSet, Sample
from zoo.data.instances import CROP, instances
from zoo.data.sizes import diameters, typical
from zoo.data.slices import natural
from zoo.data.split import split
from zoo.data.targets import FACES, ball, dilate, markers_from_labels, nuclear_centres

TEN = [3, 1, 4, 15, 9]  # numbers with gaps, not in order


@given(labels(), st.permutations(TEN))
def test_a_centre_is_the_voxel_of_its_object_nearest_to_the_mean(volume, numbers):
    volume = renumbered(volume, numbers[:4])
    found = nuclear_centres(volume)
    for number, centre in zip(np.unique(volume[volume > 0]), found, strict=True):
        voxels = np.argwhere(volume == number)
        assert volume[tuple(centre)] == number
        apart = np.linalg.norm(voxels - voxels.mean(axis=0), axis=1)
        own = np.linalg.norm(centre - voxels.mean(axis=0))
        assert own == pytest.approx(apart.min())


@given(labels(side=6), st.integers(0, 3))
@example(volume=np.array([[[1, 2, 2, 2, 2, 2]]], np.int32), radius=2)
def test_markers_lie_in_their_objects_and_never_touch_another(volume, radius):
    found = markers_from_labels(volume, radius)
    owned = np.where(found, volume, 0)
    assert not (found & (volume == 0)).any()
    for axis in range(3):
        one, other = (np.delete(owned, end, axis) for end in (0, -1))
        assert (one == other)[(one > 0) & (other > 0)].all()
    centres = nuclear_centres(volume)
    for z, y, x in centres:
        number = volume[z, y, x]
        near = ndi.binary_dilation(_dot(volume.shape, (z, y, x)), ball(radius)) & (volume == number)
        assert not ((owned == number) & ~near).any()
        # its centre stays unless that of another lies at its side
        beside = np.abs(centres - (z, y, x)).sum(axis=1) == 1
        assert found[z, y, x] or (volume[tuple(centres[beside].T)] > number).any()


def _dot(shape, at):
    dot = np.zeros(shape, bool)
    dot[at] = True
    return dot


@given(masks(), st.integers(0, 3))
def test_dilation_reaches_as_far_as_its_steps_over_faces(mask, steps):
    far = ndi.distance_transform_cdt(~mask, "taxicab") if mask.any() else np.full(mask.shape, 99)
    np.testing.assert_array_equal(dilate(mask, steps), far <= steps)
    assert FACES.sum() == 7


@given(shapes(6), SEEDS, st.sampled_from([flip, symmetric]))
def test_mirroring_moves_image_and_target_alike_and_changes_no_value(shape, seed, change):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    moved, target = change(image, image % 3 == 0, np.random.default_rng(seed))
    assert moved.shape == shape
    np.testing.assert_array_equal(target, moved % 3 == 0)
    np.testing.assert_array_equal(np.sort(moved, axis=None), image.ravel())


@given(shapes(7), SEEDS)
def test_turning_in_space_invents_no_value(shape, seed):
    rng = np.random.default_rng(seed)
    image = rng.random(shape).astype(np.float32)
    moved, target = affine(image, image > 0.5, rng)
    assert (moved.shape, target.shape, target.dtype) == (shape, shape, bool)
    assert image.min() - 1e-6 <= moved.min() <= moved.max() <= image.max() + 1e-6
    everything = affine(np.ones(shape, np.float32), np.ones(shape, bool), np.random.default_rng(seed))
    assert np.allclose(everything[0], 1)
    assert everything[1].all()


@given(shapes(7), SEEDS)
def test_strong_changes_move_the_target_as_mirrors_do_and_stay_finite(shape, seed):
    image = np.random.default_rng(seed).normal(0.2, 0.5, shape).astype(np.float32)
    target = image > 0.5
    changed, moved = strong(image, target, np.random.default_rng(seed))
    assert (changed.shape, changed.dtype) == (shape, np.float32)
    assert np.isfinite(changed).all()
    np.testing.assert_array_equal(moved, symmetric(image, target, np.random.default_rng(seed))[1])


@given(labels(side=6), st.integers(1, 8))
def test_instances_are_the_objects_of_a_slice_that_are_large_enough(volume, least):
    plane = volume[0]
    found = instances(plane, least)
    large = [n for n in np.unique(plane[plane > 0]) if (plane == n).sum() >= least]
    assert found.masks.shape == (len(large), CROP, CROP)
    for number, box, mask in zip(large, found.boxes, found.masks, strict=True):
        at = np.argwhere(plane == number)
        assert box.tolist() == [*at.min(axis=0), *(at.max(axis=0) + 1)]
        assert (mask >= 0).all()
        assert (mask <= 1 + 1e-6).all()
        assert mask.max() > 0.2


@given(
    arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 4)),
    st.lists(st.floats(-1, 6, width=16), min_size=1, max_size=4),
    st.lists(st.floats(-1, 6, width=16), min_size=1, max_size=4),
)
def test_sampling_is_linear_between_the_middles_of_pixels(mask, rows, columns):
    padded = np.pad(mask, 2)
    grid = np.meshgrid(np.array(rows) + 1.5, np.array(columns) + 1.5, indexing="ij")
    expected = ndi.map_coordinates(padded, grid, order=1, mode="constant")
    np.testing.assert_allclose(sample(mask, np.array(rows), np.array(columns)), expected, atol=1e-4)


@given(labels(), SPACINGS, POWERS, st.permutations(range(1, 5)))
def test_diameters_are_those_of_balls_and_grow_with_the_unit(volume, spacing, unit, order):
    found = diameters(volume, spacing)
    voxels = [(volume == n).sum() for n in np.unique(volume[volume > 0])]
    np.testing.assert_allclose(np.pi / 6 * found**3, np.array(voxels) * np.prod(spacing), rtol=1e-9)
    np.testing.assert_allclose(diameters(volume, tuple(unit * um for um in spacing)), unit * found)
    assert sorted(diameters(renumbered(volume, order), spacing)) == sorted(found)
    assume(len(found))
    middle = typical(found)
    assert middle in found
    volumes = found**3
    assert volumes[found <= middle].sum() >= volumes.sum() / 2 * (1 - 1e-9)
    assert volumes[found >= middle].sum() >= volumes.sum() / 2 * (1 - 1e-9)


@st.composite
def datasets(draw):
    groups = draw(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=15))
    samples = tuple(Sample(name=f"{group}{i}", group=group, load=_never) for i, group in enumerate(groups))
    names = st.sets(st.sampled_from([s.name for s in samples]))
    test = frozenset(draw(names))
    validation = frozenset(draw(names)) - test
    assume(len(test) < len(samples))
    return DataSet(layout="synthetic", samples=samples, validation=validation, test=test)


def _never():
    raise AssertionError("a split reads no volume")


@given(datasets(), SEEDS)
def test_a_split_is_one_and_the_test_part_is_in_neither(dataset, seed):
    assume({s.name for s in dataset.samples} > dataset.validation | dataset.test)
    train, validation = split(dataset, (), seed)
    names = sorted(s.name for s in [*train, *validation])
    assert names == sorted(s.name for s in dataset.samples if s.name not in dataset.test)
    assert train
    if dataset.validation:
        assert {s.name for s in validation} == dataset.validation
    else:
        assert not {s.group for s in train} & {s.group for s in validation}
    assert split(replace(dataset, samples=dataset.samples), (), seed) == (train, validation)


@given(st.lists(st.tuples(st.sampled_from(["t", "T", "z", "a_z"]), st.integers(0, 1200)), unique=True), SEEDS)
def test_files_come_in_the_order_of_their_numbers_however_listed(names, seed):
    files = [Path(f"{word}{number}.tif") for word, number in names]
    shuffled = [files[i] for i in np.random.default_rng(seed).permutation(len(files))]
    found = sorted(shuffled, key=natural)
    assert found == sorted(files, key=natural)
    for word in ("t", "T", "z", "a_z"):
        own = [int(f.stem[len(word) :]) for f in found if f.stem.rstrip("0123456789") == word]
        assert own == sorted(own)
