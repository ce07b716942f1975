from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi
from scipy.cluster.hierarchy import fcluster, is_valid_linkage, linkage

from zoo.data.layouts import find
from zoo.data.phantom import embryo
from zoo.errors import InputError
from zoo.evaluate.metrics import score
from zoo.fusion import slices as module
from zoo.fusion.detections import Detections, from_labels, none_of
from zoo.fusion.ensemble import fuse
from zoo.fusion.gaps import mutual
from zoo.fusion.silhouette import cut
from zoo.fusion.simulate import simulate_members
from zoo.fusion.slices import group, join, ward_forest

SPACING = (1.75, 0.8, 0.8)
METHODS = ("blob", "cluster")
both = pytest.mark.parametrize("method", METHODS)


def perfect(labels, without=()):
    """Detections of each slice of a truth, some slices left without any."""
    return [none_of(2) if z in without else from_labels(image) for z, image in enumerate(labels)]


@cache
def phantom(seed, nuclei=8, mitotic=0):
    return embryo(seed, nuclei=nuclei, mitotic=mitotic).labels.astype(int)


def same_objects(a, b):
    """Whether two label images show the same objects, whatever their numbers."""
    pairs = np.unique(a.astype(int) * (b.max() + 1) + b)
    return len(pairs) == len(np.unique(a)) == len(np.unique(b)) and ((a > 0) == (b > 0)).all()


def column(shape=(9, 12, 12)):
    """One nucleus, in slices 1 to 7, narrower towards its ends."""
    labels = np.zeros(shape, int)
    for z, reach in zip(range(1, 8), (1, 2, 3, 3, 3, 2, 1), strict=True):
        labels[z, 6 - reach : 6 + reach, 6 - reach : 6 + reach] = 1
    return labels


@both
@pytest.mark.parametrize("seed", [0, 2])
def test_perfect_segments_give_the_nuclei_back(seed, method):
    truth = phantom(seed)
    labels = join(perfect(truth), truth.shape, SPACING, method=method)
    assert labels.dtype == np.int32
    assert same_objects(labels, truth)


@pytest.mark.parametrize("seed", [0, 2])
def test_eight_members_that_err_a_little_find_every_nucleus(seed):
    truth = phantom(seed)
    found = simulate_members(truth, 8, missing=0.05, false=0.05, jitter=1, seed=seed)
    fused = [fuse(members, SPACING[1:]).detections for members in found]
    for method in METHODS:
        labels = join(fused, truth.shape, SPACING, method=method)
        got = score(truth, labels, ["seg", "f1@0.5"], spacing=SPACING)
        assert got["f1@0.5"] == 1
        assert got["seg"] >= 0.9


@both
@pytest.mark.parametrize("missing", [(4,), (3, 4), (2, 3)])
def test_missing_slices_are_the_intersection_of_those_around_them(missing, method):
    truth = column()
    labels = join(perfect(truth, missing), truth.shape, SPACING, method=method)
    expected = truth.copy()
    expected[list(missing)] = truth[min(missing) - 1] & truth[max(missing) + 1]
    np.testing.assert_array_equal(labels, expected)


@both
def test_three_missing_slices_part_a_nucleus(method):
    truth = column()
    labels = join(perfect(truth, (3, 4, 5)), truth.shape, SPACING, method=method)
    np.testing.assert_array_equal(np.unique(labels, return_counts=True)[1][1:], [20, 20])
    assert not labels[3:6].any()


@both
def test_the_removed_middle_slice_of_every_phantom_nucleus_is_filled(method):
    truth = phantom(2)
    slices = perfect(truth)
    middles = {}
    for label, box in enumerate(ndi.find_objects(truth), start=1):
        z = (box[0].start + box[0].stop) // 2
        middles[label] = z
        slices[z] = slices[z].take(
            np.flatnonzero(
                [
                    truth[z][box_2d][mask][0] != label
                    for box_2d, mask in zip(slices[z].boxes(), slices[z].masks, strict=True)
                ]
            )
        )
    labels = join(slices, truth.shape, SPACING, method=method)
    assert labels.max() == truth.max()
    for label, z in middles.items():
        expected = (truth[z - 1] == label) & (truth[z + 1] == label) & ((truth[z] == 0) | (truth[z] == label))
        above = np.unique(labels[z + 1][truth[z + 1] == label])
        assert expected.any()
        assert (labels[z][expected] == above).all()


@both
def test_segments_that_overlap_nowhere_are_parted(method):
    truth = np.zeros((6, 12, 30), int)
    truth[0:3, 2:6, 2:6] = 1
    truth[3:6, 6:10, 6:10] = 1  # centroids 4.5 um apart, corner to corner
    truth[:, 2:10, 20:28] = 2
    labels = join(perfect(truth), truth.shape, SPACING, method=method)
    assert labels.max() == 3
    assert len(np.unique(labels[0:3, 2:6, 2:6])) == 1
    assert labels[0, 3, 3] != labels[5, 8, 8]


@both
def test_what_is_filled_overwrites_no_other_nucleus(method):
    truth = column()
    truth[3] = 0
    truth[2:5, 3:10, 0:3] = 2
    truth[3, 3:10, 3:5] = 2  # into the missing slice
    labels = join(perfect(truth), truth.shape, SPACING, method=method)
    expected = np.where((truth[2] == 1) & (truth[4] == 1) & (truth[3] == 0), 1, truth[3])
    np.testing.assert_array_equal(labels[3], expected)
    assert expected[6, 4:6].tolist() == [2, 1]


@both
def test_a_gap_that_another_object_bars_parts_the_nucleus(method):
    truth = np.zeros((5, 20, 20), int)
    truth[[0, 1, 3, 4], 4:8, 4:8] = 1
    truth[1:4, 2:20, 10:20] = 2
    truth[2, 2:20, 2:20] = 2
    labels = join(perfect(truth), truth.shape, SPACING, method=method)
    np.testing.assert_array_equal(labels[truth == 2], 2)
    assert labels[0, 5, 5] == labels[1, 5, 5] == 1
    assert labels[3, 5, 5] == labels[4, 5, 5] == 3


@both
def test_of_two_segments_in_a_slice_one_makes_an_object_of_its_own(method):
    truth = np.zeros((3, 12, 12), int)
    truth[[0, 2], 2:10, 2:10] = 1
    halves = truth.copy()
    halves[1, 2:10, 2:7] = 1
    halves[1, 2:10, 8:10] = 2
    labels = join(perfect(halves), truth.shape, SPACING, method=method)
    assert labels.max() == 2
    assert labels[0, 3, 3] == labels[1, 3, 3] == labels[2, 3, 3] != labels[1, 3, 8]


def test_clusters_alone_keep_apart_what_is_not_much_alike():
    # Two nuclei whose tips overlap by a third, of 10 slices each; beside them two others
    truth = np.zeros((20, 40, 60), int)
    for label, (z, y, x) in enumerate([(4.5, 10, 10), (14.5, 10, 14), (4.5, 30, 40), (14.5, 10, 50)], 1):
        places = np.ogrid[:20, :40, :60]
        ball = sum(((p - c) / r) ** 2 for p, c, r in zip(places, (z, y, x), (5, 7, 7), strict=True)) < 1
        truth[ball] = label
    labels = join(perfect(truth), truth.shape, SPACING, method="cluster")
    assert same_objects(labels, truth)


@both
def test_one_slice_gives_its_segments(method):
    truth = np.zeros((1, 8, 9), int)
    truth[0, 1:3, 5:8], truth[0, 4:7, 1:4], truth[0, 4:7, 6:8] = 1, 2, 3
    np.testing.assert_array_equal(join(perfect(truth), truth.shape, SPACING, method=method), truth)


@both
@pytest.mark.parametrize("shape", [(0, 5, 6), (1, 5, 6), (4, 5, 6)])
def test_nothing_found(shape, method):
    labels = join([none_of(2)] * shape[0], shape, SPACING, method=method)
    assert (labels.shape, labels.dtype, labels.any()) == (shape, np.int32, False)


@both
@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_segments_above_one_another_are_one_nucleus(n, method):
    truth = np.zeros((5, 8, 8), int)
    truth[1 : 1 + n, 2:6, 2:6] = 1
    np.testing.assert_array_equal(join(perfect(truth), truth.shape, SPACING, method=method), truth)


def test_radius_is_measured_in_um_within_the_plane():
    truth = np.zeros((2, 12, 30), int)
    truth[0, 2:10, 2:18] = truth[1, 2:10, 12:28] = 1  # overlap of 6, centroids 10 voxels apart
    for spacing in [(50.0, 0.6, 0.61), (1.0, 0.6, 0.59)]:
        labels = join(perfect(truth), truth.shape, spacing, method="blob", radius_um=6)
        assert labels.max() == (2 if spacing[2] > 0.6 else 1)


@both
def test_small_objects_are_removed_by_their_volume_in_um3(method):
    truth = column()
    truth[4, 0:2, 0:2] = 2
    voxel = float(np.prod(SPACING))
    big = join(perfect(truth), truth.shape, SPACING, method=method, min_volume=4.5 * voxel)
    np.testing.assert_array_equal(big, truth == 1)
    kept = join(perfect(truth), truth.shape, SPACING, method=method, min_volume=3.5 * voxel)
    np.testing.assert_array_equal(kept, truth)


@both
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_detections_changes_nothing(method, seed):
    rng = np.random.default_rng(seed)
    # Equal squares on a coarse grid: plenty of equal distances and overlaps
    truth = np.kron(rng.integers(0, 2, (5, 4, 4)) * np.arange(1, 17).reshape(4, 4), np.ones((1, 2, 2), int))
    slices = perfect(truth)
    shuffled = [part.take(rng.permutation(len(part))) for part in slices]
    given_order = join(slices, truth.shape, SPACING, method=method)
    np.testing.assert_array_equal(join(shuffled, truth.shape, SPACING, method=method), given_order)
    firsts = np.unique(given_order[given_order > 0], return_index=True)
    np.testing.assert_array_equal(firsts[0], np.arange(1, given_order.max() + 1))
    assert (np.diff(firsts[1]) > 0).all()


@both
def test_a_nucleus_has_one_segment_a_slice_and_no_voxel_is_lost(method):
    truth = phantom(7, 30, 0.1)
    labels = join(perfect(truth), truth.shape, SPACING, method=method)
    assert (labels[truth > 0] > 0).all()
    for z in range(len(truth)):
        found = np.unique(np.stack([truth[z], labels[z]])[:, truth[z] > 0], axis=1)
        assert len(np.unique(found[1])) == found.shape[1] == len(np.unique(found[0]))


@pytest.mark.parametrize("limit", [5000, 1])
def test_a_forest_of_separate_sets_is_cut_as_the_whole_tree(limit, monkeypatch):
    rng = np.random.default_rng(0)
    homes = np.array([[0, 0, 0], [0, 0, 90], [0, 80, 0], [70, 0, 200]])
    points = np.concatenate([home + rng.normal(0, 3, (25, 3)) for home in homes])
    # With the limit at 1 sklearn merges the sets, in which all are neighbours of all
    monkeypatch.setattr(module, "MOST_DENSE", limit)
    tree, separate = ward_forest(points, np.array([40.0, 40, 40]))
    assert separate == 4
    assert is_valid_linkage(tree)
    whole = linkage(points, "ward")
    np.testing.assert_allclose(tree[:-3, 2], whole[:-3, 2])
    for k in (4, 5, 9, 40, 99):
        expected = fcluster(whole, k, "maxclust")
        assert same_objects(cut(tree, k)[None] + 1, expected[None])


def test_points_that_are_no_neighbours_stay_apart():
    points = np.array([[0.0, 0, 0], [0, 0, 5], [0, 0, 9], [0, 0, 20], [0, 0, 25], [9, 0, 0]])
    tree, separate = ward_forest(points, np.array([1.0, 6, 6]))
    assert separate == 3
    assert cut(tree, 3).tolist() == [0, 0, 0, 1, 1, 2] or len(set(cut(tree, 3))) == 3
    np.testing.assert_array_equal(tree[0], [1, 2, 4, 2])
    np.testing.assert_array_equal(tree[1], [3, 4, 5, 2])
    assert set(tree[2, :2]) == {0, 6}


def test_many_segments_give_the_same_nuclei_by_their_neighbourhoods(monkeypatch):
    truth = phantom(0)
    whole = join(perfect(truth), truth.shape, SPACING)
    monkeypatch.setattr(module, "MOST_DENSE", 20)
    assert same_objects(join(perfect(truth), truth.shape, SPACING), whole)


def test_one_group_where_no_number_of_groups_stands_out():
    tall = np.column_stack([np.arange(12) * 1.75, np.zeros((12, 2))])
    assert group(tall, np.arange(12), np.ones(3)).max() == 0
    far = tall + np.repeat([[0, 0, 0], [60, 0, 0]], 6, axis=0)
    np.testing.assert_array_equal(group(far, np.arange(12), np.ones(3)), np.repeat([0, 1], 6))


def test_mutual_pairs_are_each_others_cheapest():
    pairs = np.array([[0, 5], [0, 6], [1, 5], [1, 6], [2, 7]])
    assert mutual(pairs, np.array([2.0, 3, 1, 4, 9])).tolist() == [False, False, True, False, True]
    assert mutual(pairs, np.zeros(5)).tolist() == [True, False, False, False, True]
    assert mutual(pairs, np.zeros(5), np.array([1.0, 0, 0, 0, 0])).tolist() == [
        False,
        True,
        True,
        False,
        True,
    ]


GOOD = {"slices": [none_of(2)] * 3, "shape": (3, 8, 8), "spacing": SPACING}
SQUARE = np.ones((3, 3), bool)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"method": "clutser"}, "unknown method 'clutser': did you mean 'cluster'"),
        ({"radius_um": -1}, r"radius_um \(-1\) must be more than 0"),
        ({"radius_um": np.nan}, "radius_um"),
        ({"min_volume": -2}, r"min_volume \(-2\) must be 0"),
        ({"shape": (4, 8, 8)}, r"slices \(3\) must be as many as shape \(4, 8, 8\)"),
        ({"shape": (8, 8)}, "slices"),
        ({"spacing": (1, 1)}, "spacing"),
        (
            {"slices": [none_of(2), Detections(np.array([[6, 2]]), (SQUARE,), np.ones(1)), none_of(2)]},
            r"a mask of slice 1, at \[\(6, 9\), \(2, 5\)\], must lie within the image, \(8, 8\)",
        ),
        ({"slices": [Detections(np.array([[-1, 2]]), (SQUARE,), np.ones(1))] * 3}, "a mask of slice 0"),
        ({"slices": [none_of(2)] * 2 + [from_labels(np.ones((1, 2, 2), int))]}, "slice 2"),
        (
            {"slices": [Detections(np.array([[1, 1], [3, 3]]), (SQUARE, SQUARE), np.ones(2))] * 3},
            "masks of slice 0 must not overlap: fuse them first",
        ),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(InputError, match=message):
        join(**(GOOD | change))


@pytest.mark.real
@both
def test_perfect_segments_of_real_embryos(real_data, method):
    frames = [
        sample
        for sample in find(real_data / "bbbc050" / "train").samples
        if sample.name in ("Emb01_t351", "Emb03_t401", "Emb05_t501")
    ]
    assert len(frames) == 3
    for frame in frames:
        truth = frame.load().labels.astype(int)
        labels = join(perfect(truth), truth.shape, SPACING, method=method)
        assert score(truth, labels, ["seg"], spacing=SPACING)["seg"] > 0.95


def test_more_segments_than_are_compared_at_once_may_hang_together():
    # a rod of 5,001 segments, one neighbourhood: the only set is the whole tree
    points = np.column_stack([np.arange(5001) * 2.0, np.zeros(5001), np.zeros(5001)])
    tree, separate = ward_forest(points, np.array([5.25, 6, 6]))
    assert separate == 1
    assert tree.shape == (5000, 4)
    assert tree[-1, 3] == 5001
    halves = cut(tree, 2)
    assert (np.diff(halves) != 0).sum() == 1


def test_a_table_beyond_the_stated_size_is_refused(monkeypatch):
    monkeypatch.setattr("zoo.fusion.slices.MOST_TABLE", 30)
    points = np.random.default_rng(0).random((12, 3)) * 100
    with pytest.raises(InputError, match="12 segments of 3 groups and more are too many to cluster"):
        group(points, np.repeat(np.arange(4), 3), np.ones(3))
