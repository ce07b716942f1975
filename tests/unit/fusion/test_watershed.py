import tracemalloc

import numpy as np
import pytest
from scipy import ndimage as ndi
from scipy.spatial.distance import cdist
from skimage.segmentation import watershed

from zoo.errors import InputError
from zoo.fusion.watershed import check_spacing, components, distance_markers, remove_small, split_touching


def ball(shape, centre, radius, spacing=(1, 1, 1)):
    """Voxels within a radius in um of a centre in voxels."""
    axes = [((np.arange(n) - c) * s) ** 2 for n, c, s in zip(shape, centre, spacing, strict=True)]
    return sum(np.ix_(*axes)) <= radius**2


def at(shape, *voxels):
    """A mask of single voxels."""
    mask = np.zeros(shape, bool)
    mask[tuple(np.transpose(voxels))] = True
    return mask


def blobs(seed, shape=(7, 8, 9)):
    """A ragged mask and three markers in it."""
    rng = np.random.default_rng(seed)
    mask = ndi.gaussian_filter(rng.normal(size=shape), 1.2) > -0.02
    voxels = np.argwhere(mask)
    return mask, at(shape, *voxels[rng.choice(len(voxels), 3, replace=False)])


def bottlenecks(mask, seed, spacing):
    """The lowest depth on the best path to a seed, of each voxel, by thresholds; depth by all pairs."""
    um = np.argwhere(mask) * spacing
    depth = np.zeros(mask.shape)
    depth[mask] = cdist(um, np.argwhere(~mask) * spacing).min(axis=1)
    best = np.full(mask.shape, -1.0)
    for level in np.unique(depth[mask]):
        pieces = ndi.label(depth >= level)[0]
        if pieces[seed]:
            best[pieces == pieces[seed]] = level
    return best


# split_touching


def test_two_balls_part_in_the_middle_plane():
    shape = (11, 11, 20)
    mask = ball(shape, (5, 5, 6), 4) | ball(shape, (5, 5, 13), 4)
    labels = split_touching(mask, at(shape, (5, 5, 6), (5, 5, 13)))
    assert labels.dtype == np.int32
    left = np.arange(20) < 9.5
    np.testing.assert_array_equal(labels, np.where(mask, np.where(left, 1, 2), 0))


def test_two_balls_along_a_coarse_z_part_in_the_middle_plane():
    shape, spacing = (14, 15, 15), (2, 1, 1)
    mask = ball(shape, (4, 7, 7), 6, spacing) | ball(shape, (9, 7, 7), 6, spacing)
    labels = split_touching(mask, at(shape, (4, 7, 7), (9, 7, 7)), spacing)
    low = (np.arange(14) < 6.5)[:, None, None]
    np.testing.assert_array_equal(labels, np.where(mask, np.where(low, 1, 2), 0))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (3, 1, 0.7), (0.5, 1, 2)])
@pytest.mark.parametrize("margin", [0, 2])
@pytest.mark.parametrize("seed", range(6))
def test_each_voxel_goes_to_a_marker_it_reaches_over_the_highest_pass(seed, margin, spacing):
    mask, centres = (np.pad(array, margin) for array in blobs(seed))
    labels = split_touching(mask, centres, spacing, unmarked="drop")
    numbers, count = ndi.label(centres)
    best = [bottlenecks(mask, tuple(np.argwhere(numbers == k)[0]), spacing) for k in range(1, count + 1)]
    highest = np.max(best, axis=0)
    np.testing.assert_array_equal(labels > 0, mask & (highest > 0))
    for number, reached in enumerate(best, start=1):
        np.testing.assert_allclose(reached[labels == number], highest[labels == number])


@pytest.mark.parametrize("seed", range(4))
def test_labels_partition_the_mask(seed):
    mask, centres = blobs(seed)
    kept, dropped = (split_touching(mask, centres, unmarked=how) for how in ("keep", "drop"))
    np.testing.assert_array_equal(kept > 0, mask)
    np.testing.assert_array_equal(np.unique(kept[mask]), np.arange(1, kept.max() + 1))
    np.testing.assert_array_equal(dropped, np.where(kept <= dropped.max(), kept, 0))
    for number in range(1, kept.max() + 1):
        assert ndi.label(kept == number)[1] == 1


def test_only_the_part_of_the_volume_that_holds_the_mask_matters():
    mask, centres = blobs(1)
    wide = [np.pad(array, ((3, 5), (0, 4), (2, 0))) for array in (np.pad(mask, 1), np.pad(centres, 1))]
    inner = split_touching(np.pad(mask, 1), np.pad(centres, 1))
    np.testing.assert_array_equal(split_touching(*wide), np.pad(inner, ((3, 5), (0, 4), (2, 0))))


def test_foreground_without_a_marker_is_kept_after_the_marked_or_dropped():
    mask = np.zeros((3, 3, 9), bool)
    mask[1, 1, [0, 1, 3, 4, 7]] = True
    centres = at(mask.shape, (1, 1, 4))
    assert split_touching(mask, centres)[1, 1].tolist() == [2, 2, 0, 1, 1, 0, 0, 3, 0]
    assert split_touching(mask, centres, unmarked="drop")[1, 1].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_voxels_that_meet_at_an_edge_are_not_connected():
    mask = at((2, 2, 3), (0, 0, 0), (0, 1, 1))
    np.testing.assert_array_equal(split_touching(mask, at(mask.shape, (0, 0, 0))), mask * [[[1, 2, 0]]])
    centres = at(mask.shape, (0, 0, 0), (0, 1, 1))
    assert split_touching(np.ones(mask.shape, bool), centres).max() == 2


def test_a_marker_outside_the_mask_is_ignored_and_leaves_no_gap_in_the_numbers():
    mask = np.zeros((3, 3, 9), bool)
    mask[1, 1, 3:] = True
    centres = at(mask.shape, (1, 1, 0), (1, 1, 5))
    assert split_touching(mask, centres)[1, 1].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_a_marker_partly_outside_counts_with_its_inner_part():
    mask = np.zeros((3, 3, 9), bool)
    mask[1, 1, 2:] = True
    centres = np.zeros_like(mask)
    centres[1, 1, [0, 1, 2, 8]] = True
    labels = split_touching(mask, centres)
    assert set(labels[~mask]) == {0}
    assert (labels[1, 1, 2], labels[1, 1, 8], labels.max()) == (1, 2, 2)


def test_a_marker_over_two_components_joins_them_even_through_the_outside():
    mask = np.zeros((5, 3, 7), bool)
    mask[2, 1, [1, 2, 4, 5]] = True
    bridge = np.zeros_like(mask)
    bridge[2, 1, 2] = bridge[2, 1, 4] = bridge[4, 1, 2:5] = bridge[3, 1, 2] = bridge[3, 1, 4] = True
    assert split_touching(mask, bridge)[2, 1].tolist() == [0, 1, 1, 0, 1, 1, 0]


@pytest.mark.parametrize("unmarked", ["keep", "drop"])
def test_no_marker(unmarked):
    mask = at((4, 4, 4), (0, 0, 0), (3, 3, 3))
    labels = split_touching(mask, np.zeros_like(mask), unmarked=unmarked)
    assert (labels[0, 0, 0], labels[3, 3, 3], labels.sum()) == (
        (1, 2, 3) if unmarked == "keep" else (0, 0, 0)
    )


def test_one_voxel():
    one = np.ones((1, 1, 1), bool)
    assert split_touching(one, one).tolist() == [[[1]]]
    assert split_touching(one, ~one).tolist() == [[[1]]]
    assert split_touching(one, ~one, unmarked="drop").tolist() == [[[0]]]


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (0, 4, 5)])
def test_empty_mask(shape):
    labels = split_touching(np.zeros(shape, bool), np.ones(shape, bool))
    assert (labels.shape, labels.dtype, labels.any()) == (shape, np.int32, False)


def test_a_full_volume_parts_between_its_markers():
    mask = np.ones((5, 5, 10), bool)
    labels = split_touching(mask, at(mask.shape, (2, 2, 2), (2, 2, 7)))
    assert labels[2, 2, 2] == 1
    assert labels[2, 2, 7] == 2
    np.testing.assert_array_equal(labels == 2, (labels == 1)[:, :, ::-1])


def at_once(mask, centres, spacing, unmarked):
    """The same with one distance transform and one flood of the whole volume, and where seeds tie.

    Which of two seeds that are equally deep goes first is left to the heap of scikit-image, which all that
    lies in it may sway: a component with such seeds of two markers may come out either way.
    """
    markers = np.where(mask, ndi.label(centres)[0], 0)
    seeds = np.where(markers > 0, np.searchsorted(np.unique(markers[markers > 0]), markers) + 1, 0)
    depth = ndi.distance_transform_edt(mask, sampling=spacing)
    labels = watershed(-depth, seeds, mask=mask)
    pieces, at = ndi.label(mask)[0], seeds > 0
    triples = np.unique(np.stack([pieces[at], depth[at], seeds[at]]), axis=1)
    same = (triples[:2, 1:] == triples[:2, :-1]).all(axis=0)
    ties = np.isin(pieces, triples[0, 1:][same])
    if unmarked == "keep":
        rest = ndi.label(mask & (labels == 0))[0]
        labels = np.where(rest > 0, rest + seeds.max(), labels)
    return labels, ties


@pytest.mark.parametrize("unmarked", ["keep", "drop"])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (1.75, 0.8, 0.8)])
@pytest.mark.parametrize("seed", range(6))
def test_one_component_at_a_time_gives_what_the_whole_volume_at_once_gives(seed, spacing, unmarked):
    rng = np.random.default_rng(seed)
    shape = (22, 48, 52)
    mask, centres = np.zeros(shape, bool), np.zeros(shape, bool)
    for centre, radius in zip(rng.uniform(0, shape, (60, 3)), rng.uniform(1.5, 6, 60), strict=True):
        mask |= ball(shape, centre, radius, spacing)
        if rng.random() < 0.8:
            centres[tuple(np.clip(centre + rng.normal(0, 1, 3), 0, np.array(shape) - 1).astype(int))] = True
    pieces = components(mask)
    assert any(len(np.unique(pieces[box])) > 2 for box in ndi.find_objects(pieces))  # boxes overlap
    assert all(mask[face].any() for face in (0, -1, np.s_[:, 0], np.s_[:, -1], np.s_[..., 0], np.s_[..., -1]))
    found = split_touching(mask, centres, spacing, unmarked)
    expected, ties = at_once(mask, centres, spacing, unmarked)
    assert np.count_nonzero(mask & ~ties) > 0.1 * np.count_nonzero(mask)
    np.testing.assert_array_equal(found[~ties], expected[~ties])
    np.testing.assert_array_equal(found > 0, expected > 0)


def test_no_more_memory_than_labels_and_one_component():
    one = ball((40, 40, 40), (20, 20, 15), 6) | ball((40, 40, 40), (20, 20, 24), 6)
    two = at(one.shape, (20, 20, 15), (20, 20, 24))
    mask, centres = (np.tile(array, (1, 4, 4)) for array in (one, two))
    tracemalloc.start()
    labels = split_touching(mask, centres)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.max() == 32
    assert peak < 1.6 * labels.nbytes  # the whole volume at once takes 15


@pytest.mark.parametrize(
    "mask, centres, options, message",
    [
        (np.ones((2, 2), bool), np.ones((2, 2), bool), {}, "mask (2-D) must be 3-D"),
        (np.ones((2, 2, 2)), np.ones((2, 2, 2), bool), {}, "mask (float64) must be boolean"),
        (np.ones((2, 2, 2), bool), np.ones((2, 2, 2), int), {}, "centres_mask (int64) must be boolean"),
        (np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), {}, "must have the shape of mask, (2, 2, 2)"),
        (np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), {"unmarked": "kep"}, "did you mean 'keep'"),
        (np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), {"spacing": (1, 0, 1)}, "three positive"),
    ],
)
def test_what_cannot_be_split_is_refused(mask, centres, options, message):
    with pytest.raises(InputError) as caught:
        split_touching(mask, centres, **options)
    assert message in str(caught.value)


# distance_markers


def test_a_marker_in_the_centre_of_each_ball():
    shape, spacing = (20, 40, 40), (2, 1, 1)
    centres = [(7, 12, 12), (7, 12, 25), (10, 23, 19)]
    mask = np.any([ball(shape, centre, 8, spacing) for centre in centres], axis=0)
    assert ndi.label(mask)[1] == 1
    found = np.argwhere(distance_markers(mask, spacing))
    assert len(found) == 3
    assert (np.abs(found - centres) * spacing).max() <= 2


def test_distances_are_um_and_not_voxels():
    mask = at((9, 3, 3), (2, 1, 1), (6, 1, 1))
    mask[2:7, 1, 1] = True
    mask |= ndi.binary_dilation(at(mask.shape, (2, 1, 1), (6, 1, 1)))
    for spacing, count in [((1, 1, 1), 1), ((2, 1, 1), 2)]:
        assert distance_markers(mask, spacing, min_distance=5, smoothing=0).sum() == count


def test_close_peaks_of_separate_components_both_stay():
    mask = at((3, 3, 5), (1, 1, 1), (1, 1, 3))
    np.testing.assert_array_equal(distance_markers(mask, min_distance=10), mask)


def test_a_plateau_is_one_marker_near_its_middle():
    mask = np.zeros((5, 5, 41), bool)
    mask[1:4, 1:4, 1:40] = True
    found = np.argwhere(distance_markers(mask, min_distance=4, smoothing=0))
    assert found.tolist() == [[2, 2, 20]]


@pytest.mark.parametrize("seed", range(4))
def test_each_component_has_a_marker_and_markers_keep_their_distance(seed):
    mask, spacing = blobs(seed, (12, 16, 18))[0], np.array([1.75, 0.8, 0.8])
    found = np.argwhere(distance_markers(mask, spacing, min_distance=3))
    owner = components(mask)[tuple(found.T)]
    np.testing.assert_array_equal(np.unique(owner), np.arange(1, components(mask).max() + 1))
    apart = cdist(found * spacing, found * spacing) + np.where(owner[:, None] == owner, 0, np.inf)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 3


def test_smoothing_removes_the_peaks_of_a_ragged_outline():
    rng = np.random.default_rng(0)
    mask = ball((30, 30, 30), (15, 15, 15), 11)
    mask &= rng.random(mask.shape) > 0.01
    assert distance_markers(mask, min_distance=4, smoothing=0).sum() > 5
    assert distance_markers(mask, min_distance=4, smoothing=3).sum() == 1


def test_markers_of_nothing_and_of_everything():
    assert not distance_markers(np.zeros((3, 4, 5), bool)).any()
    assert np.argwhere(distance_markers(np.ones((5, 5, 5), bool))).tolist() == [[2, 2, 2]]


def test_negative_distances_are_refused():
    with pytest.raises(InputError, match="0 um or more"):
        distance_markers(np.ones((2, 2, 2), bool), min_distance=-1)


# components, remove_small, check_spacing


def test_components_join_faces_only():
    mask = at((2, 2, 3), (0, 0, 0), (1, 0, 0), (0, 1, 1), (1, 1, 2))
    labels = components(mask)
    assert labels[0, 0, 0] == labels[1, 0, 0] == 1
    assert (labels[0, 1, 1], labels[1, 1, 2], labels.max()) == (2, 3, 3)


def test_small_labels_go_and_the_rest_is_renumbered_in_order():
    labels = np.zeros((2, 4, 5), np.uint16)
    labels[0, 0, :3] = 9
    labels[0, 1, :2] = 4
    labels[0, 2, :4] = 300
    kept = remove_small(labels, 1.5, (1, 0.5, 1))  # 3 voxels of 0.5 um3
    np.testing.assert_array_equal(kept, np.where(labels == 9, 1, np.where(labels == 300, 2, 0)))
    assert kept.dtype == np.int32
    assert remove_small(labels, 0).max() == 3
    assert not remove_small(labels, 100).any()
    there = labels.copy()
    assert remove_small(there, 1.5, (1, 0.5, 1), out=there) is there
    np.testing.assert_array_equal(there, kept)


@pytest.mark.parametrize("labels", [np.ones((2, 2, 2)), np.ones((2, 2), int), np.full((2, 2, 2), -1)])
def test_what_is_no_label_image_is_refused(labels):
    with pytest.raises(InputError):
        remove_small(labels, 1)


@pytest.mark.parametrize("spacing", [(1, 1), (1, 1, -1), (1, 1, np.nan), (1, 1, np.inf)])
def test_a_spacing_is_three_positive_numbers(spacing):
    with pytest.raises(InputError, match="three positive numbers"):
        check_spacing(spacing)


def test_forty_touching_nuclei_are_told_apart() -> None:
    from zoo.data.phantom import embryo
    from zoo.evaluate.metrics import score
    from zoo.fusion.classical import segment

    made = embryo(0, nuclei=40, packing=0.5)
    together = score(made.labels, components(made.mask), ["seg"], spacing=made.spacing)["seg"]
    from_truth = split_touching(made.mask, made.markers, made.spacing)
    marked = score(made.labels, from_truth, ["seg"], spacing=made.spacing)["seg"]
    classical = score(made.labels, segment(made.image, made.spacing), ["seg"], spacing=made.spacing)["seg"]
    assert marked >= 0.9
    assert classical >= 0.60
    assert min(marked, classical) >= 1.5 * together
