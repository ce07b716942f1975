"""How many objects there are where members do not agree."""

from collections import Counter

import numpy as np
import pytest
from ensemble_members import box, disc, found, labels

from zoo.fusion.detections import to_labels
from zoo.fusion.ensemble import cluster_range, fuse


@pytest.mark.parametrize(
    "counts, expected",
    [
        ((5, 5, 5), (5, 5)),
        ((4, 6), (3, 7)),  # standard deviation 1
        ((3, 5, 5), (2, 6)),  # 0.94, rounded outwards
        ((0, 0, 3), (1, 3)),  # 1.41, but no fewer than one and no more than there are
    ],
)
def test_range_of_the_number_in_the_paper(counts, expected):
    assert cluster_range(np.array(counts), "paper") == expected


@pytest.mark.parametrize(
    "counts, expected",
    [
        ((5, 5, 5), (5, 10)),  # no more than 10 clusters can have 1.5 of the 15 votes each
        ((0, 0, 3), (1, 3)),
        ((1, 9), (1, 10)),
        ((0, 1, 10), (1, 11)),  # the paper's is higher, but there are no more
    ],
)
def test_range_of_the_number(counts, expected):
    assert cluster_range(np.array(counts)) == expected


def test_an_object_is_not_lost_where_members_miss_different_ones():
    # all find two, but the third finds something else than the second nucleus
    here, there, elsewhere = disc((10, 10), 5), disc((10, 40), 5), disc((40, 60), 5)
    members = [found(here, there), found(here, there), found(here, elsewhere)]
    result = fuse(members, (1, 1))
    assert result.votes.tolist() == [3, 2]
    np.testing.assert_allclose(result.detections.centroids((1, 1)), [[10, 10], [10, 40]])
    # with the paper's bounds, something else has to share a cluster with one of the two
    assert fuse(members, (1, 1), bounds="paper").votes.tolist() == [3, 3]


@pytest.mark.parametrize("linkage", ["ward", "average"])
@pytest.mark.parametrize("silhouette", ["standard", "others"])
def test_simulated_members_find_every_nucleus(linkage, silhouette):
    # 8 members, 5 % missing, 5 % false, 1 px jitter
    rng = np.random.default_rng(0)
    centres = (np.argwhere(np.ones((6, 6))) + 0.5) * 20 + rng.uniform(-2, 2, (36, 2))
    truth = to_labels(found(*(disc(c, 8) for c in centres)), (130, 130))
    members = []
    for _ in range(8):
        kept = centres[rng.random(36) >= 0.05]
        places = [
            *(kept + rng.uniform(-1, 1, kept.shape)),
            *rng.uniform(10, 110, (rng.binomial(36, 0.05), 2)),
        ]
        members.append(found(*(disc(place, 8, rng.uniform(0.5, 1)) for place in places)))
    result = labels(fuse(members, (1, 1), linkage=linkage, silhouette=silhouette), truth.shape)
    assert result.max() == 36
    ious = []
    for one in range(1, 37):
        here = truth == one
        other = result == np.bincount(result[here]).argmax()
        ious.append((here & other).sum() / (here | other).sum())
    assert np.mean(ious) >= 0.9


def test_one_nucleus_with_jitter_is_one_though_its_points_part_well():
    # two tight pairs of centroids (silhouette about 0.8 at k = 2), and 0 to 2 detections a member
    places = [(20, 20), (20, 20.4), (20, 22), (20, 22.4)]
    members = [found(disc(place)) for place in places] + [found()]
    fused = fuse(members, (1, 1))
    assert fused.votes.tolist() == [4]


@pytest.mark.parametrize("apart", [11, 30])
def test_two_nuclei_are_two_though_one_was_missed(apart):
    rng = np.random.default_rng(1)
    members = [[disc(rng.normal((20, 15 + apart * i), 0.7)) for i in range(2 if m else 1)] for m in range(4)]
    # the range of k holds 1, and false detections lower all silhouettes
    members[1].append(disc((50, 10), 3))
    members[2].append(disc((50, 50), 3))
    assert fuse([found(*member) for member in members], (1, 1)).votes.tolist() == [4, 3]


def test_two_nuclei_are_two_though_a_member_merged_them():
    two = [disc((20, 15)), disc((20, 26))]
    merged = box((15, 10), (11, 22))
    fused = fuse([found(*two), found(*two), found(*two), found(merged)], (1, 1))
    assert len(fused.detections) == 2


def test_distances_are_measured_in_um():
    # 3 voxels apart in y and 6 in x
    a, b, c, d = (box((3 * i, 6 * j), (1, 1)) for i in range(2) for j in range(2))
    members = [found(a, c), found(b, d)]
    how = {"threshold": 0.4, "one_per_member": False, "bounds": "paper"}  # masks apart are not divided
    by_row = fuse(members, (5, 0.1), **how)
    assert [each.tolist() for each in by_row.clusters] == [[0, 1], [0, 1]]
    by_column = fuse(members, (0.1, 5), **how)
    assert [each.tolist() for each in by_column.clusters] == [[0, 0], [1, 1]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "seen",
    [
        [range(20), range(5)],
        [range(4), []],
        [range(5), range(5, 10)],
        [range(12), range(6, 18), []],
        [[*range(6), *range(6 + 4 * m, 10 + 4 * m)] for m in range(4)],
    ],
    ids=["subset", "one empty", "disjoint", "two of three", "common and private"],
)
def test_objects_apart_stay_whatever_else_was_found(seen, seed):
    rng = np.random.default_rng(seed)
    grid = np.array([(y, x) for y in range(8, 120, 16) for x in range(8, 120, 16)])
    places = rng.permutation(grid) + rng.uniform(-2, 2, (len(grid), 2))
    members = [found(*(disc(places[i], 4) for i in own)) for own in seen]
    votes = Counter(i for own in seen for i in own)
    stay = {i: count for i, count in votes.items() if 2 * count >= len(seen)}
    fused = fuse(members, (1, 1))
    assert sorted(fused.votes.tolist()) == sorted(stay.values())
    centres = fused.detections.centroids((1, 1))
    for i in stay:
        assert np.hypot(*(centres - places[i]).T).min() < 1.0


def test_three_nuclei_of_which_each_member_misses_another():
    places = [disc((10, 10)), disc((10, 30)), disc((50, 50))]
    members = [found(*(places[i] for i in range(3) if i != m)) for m in range(3)]
    assert len(fuse(members, (1, 1)).detections) == 3
    assert len(fuse(members, (1, 1), bounds="paper").detections) == 2  # as all find two
