import numpy as np
import pytest
from ensemble_members import SHAPE, box, disc, found, labels
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import InputError
from zoo.fusion.detections import from_labels, none_of, to_labels
from zoo.fusion.ensemble import fuse

# the vote


def painted(members, one, shape=SHAPE):
    """The voxels of one cluster by the formula, on whole images."""
    scores = np.zeros(shape)
    total = 0.0
    for m, i in one:
        scores[members[m].boxes()[i]] += members[m].scores[i] * members[m].masks[i]
        total += members[m].scores[i]
    return scores / total


def test_mask_and_score_by_hand():
    members = [
        found(box((5, 5), (1, 3), 0.9)),
        found(box((5, 6), (1, 3), 0.5)),
        found(box((5, 6), (1, 2), 0.6)),
    ]
    fused = fuse(members, (1, 1))
    # of 2.0, columns 5 to 8 get 0.9, 2.0, 2.0, 0.5
    np.testing.assert_array_equal(fused.detections.starts, [[5, 6]])
    np.testing.assert_array_equal(fused.detections.masks[0], [[True, True]])
    np.testing.assert_allclose(fused.probabilities[0], [[1, 1]])
    assert fused.detections.scores == pytest.approx([2 / 3])
    assert fused.votes.tolist() == [3]
    assert [c.tolist() for c in fused.clusters] == [[0], [0], [0]]


def test_the_threshold_is_that_of_the_share():
    members = [
        found(box((5, 5), (1, 3), 0.9)),
        found(box((5, 6), (1, 3), 0.5)),
        found(box((5, 6), (1, 2), 0.6)),
    ]
    fused = fuse(members, (1, 1), threshold=0.4)
    np.testing.assert_array_equal(fused.detections.starts, [[5, 5]])
    np.testing.assert_allclose(fused.probabilities[0], [[0.45, 1, 1]])


@pytest.mark.parametrize("score", [0.9, 0.7, 1 / 3])
def test_half_of_equal_scores_is_not_more_than_half(score):
    wide = [found(box((5, 5), (1, 4), score)) for _ in range(3)]
    narrow = [found(box((5, 5), (1, 2), score)) for _ in range(3)]
    np.testing.assert_array_equal(fuse(wide + narrow, (1, 1)).detections.masks[0], [[True, True]])


def test_half_of_the_members_is_enough_and_less_is_not():
    two, one = disc((10, 10)), disc((40, 40))
    fused = fuse([found(two, one), found(two), found(disc((10, 40))), found(disc((10, 40)))], (1, 1))
    assert fused.votes.tolist() == [2, 2]
    assert fused.clusters[0].tolist() == [0, -1]
    assert not labels(fused)[40, 40]


def test_a_member_counts_once_with_its_best_detection():
    members = [found(disc((20, 20), score=0.6), disc((21, 20), score=0.8)), found(disc((20, 21), score=0.9))]
    members += [found(disc((20, 20), score=0.7)), found()]
    fused = fuse(members, (1, 1))
    assert fused.votes.tolist() == [3]
    assert [c.tolist() for c in fused.clusters] == [[-1, 0], [0], [0], []]
    assert fused.detections.scores == pytest.approx([0.8])


def test_each_detection_may_count():
    members = [found(disc((20, 20), score=0.6), disc((21, 20), score=0.8)), found(disc((20, 21), score=1))]
    fused = fuse([*members, found()], (1, 1), one_per_member=False)
    assert fused.votes.tolist() == [3]
    assert [c.tolist() for c in fused.clusters] == [[0, 0], [0], []]
    assert fused.detections.scores == pytest.approx([0.8])


def test_masks_are_those_of_the_formula_on_whole_images():
    rng = np.random.default_rng(3)
    centres = [(15, 15), (15, 40), (42, 28)]
    members = [
        found(*(disc(c + rng.normal(0, 1, 2), 6, rng.uniform(0.3, 1)) for c in centres)) for _ in range(5)
    ]
    fused = fuse(members, (1, 1))
    assert len(fused.detections) == 3
    for index, place in enumerate(fused.detections.boxes()):
        expected = painted(members, [(m, c.tolist().index(index)) for m, c in enumerate(fused.clusters)])
        np.testing.assert_array_equal(labels(fused) == index + 1, expected > 0.5)
        np.testing.assert_allclose(fused.probabilities[index], expected[place], rtol=1e-6)


# voxels claimed twice


def test_the_higher_probability_keeps_the_voxel():
    # two objects, 20 apart; the left one's arm reaches into the right one, by two members of three
    arm = box((10, 10), (1, 25), 0.9)
    left, right = box((10, 10), (1, 11), 0.9), box((10, 30), (1, 11), 0.5)
    fused = fuse([found(arm, right), found(arm, right), found(left, right)], (1, 1))
    assert len(fused.detections) == 2
    assert set(labels(fused)[10, 30:41]) == {2}
    assert set(labels(fused)[10, 10:30]) == {1}


def test_of_equal_probabilities_the_higher_score_keeps_the_voxel():
    left, right = box((10, 10), (1, 11), 0.5), box((10, 20), (1, 11), 0.75)
    for a, b in [(left, right), (right, left)]:
        assert labels(fuse([found(a, b)] * 2, (1, 1)))[10, 20] == 2
    swapped = [found(box((10, 10), (1, 11), 0.75), box((10, 20), (1, 11), 0.5))] * 2
    assert labels(fuse(swapped, (1, 1)))[10, 20] == 1


def test_of_equals_the_first_keeps_the_voxel():
    members = [found(box((10, 20), (1, 11)), box((10, 10), (1, 11)))] * 2
    assert labels(fuse(members, (1, 1)))[10, 20] == 1


def test_an_object_without_a_voxel_of_its_own_vanishes():
    member = found(box((10, 10), (9, 9), 0.9), box((12, 10), (3, 3), 0.6))
    fused = fuse([member, member], (1, 1))
    assert fused.votes.tolist() == [2]
    assert fused.clusters[0].tolist() == [0, -1]
    assert (labels(fused) == 1).sum() == 81


def test_boxes_are_tight_when_voxels_go_to_another():
    member = found(box((10, 10), (4, 8), 0.9), box((10, 14), (4, 8), 0.6))
    fused = fuse([member, member], (1, 1))
    assert fused.detections.starts.tolist() == [[10, 10], [10, 18]]
    assert [mask.shape for mask in fused.detections.masks] == [(4, 8), (4, 4)]
    assert [crop.shape for crop in fused.probabilities] == [(4, 8), (4, 4)]


# degenerate


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("members", [1, 4])
def test_nothing_found(axes, members):
    fused = fuse([none_of(axes)] * members, (1,) * axes)
    assert len(fused.detections) == 0
    assert fused.detections.starts.shape == (0, axes)
    assert fused.votes.shape == (0,)
    assert fused.probabilities == ()
    assert [c.size for c in fused.clusters] == [0] * members


def test_one_detection_of_two_members_stays_and_of_three_does_not():
    one = found(disc((20, 20), score=0.4))
    fused = fuse([one, found()], (1, 1))
    np.testing.assert_array_equal(labels(fused), to_labels(one, SHAPE))
    assert fused.detections.scores == pytest.approx([0.4])
    assert len(fuse([one, found(), found()], (1, 1)).detections) == 0


def test_two_detections_in_one_place_are_one_object():
    one = found(disc((20, 20)))
    assert fuse([one, one], (1, 1)).votes.tolist() == [2]
    assert fuse([found(disc((20, 20)), disc((20, 20))), found()], (1, 1)).votes.tolist() == [1]


def test_members_that_agree_exactly():
    one = found(disc((20, 20)), disc((20, 40)), disc((45, 20)))
    fused = fuse([one] * 5, (1, 1))
    np.testing.assert_array_equal(labels(fused), labels(fuse([one], (1, 1))))
    assert fused.votes.tolist() == [5, 5, 5]


def test_all_in_one_place():
    members = [
        found(*[disc((20, 20), score=s) for s in scores]) for scores in [(0.5, 0.75), (1,), (0.25,), ()]
    ]
    fused = fuse(members, (1, 1))
    assert fused.votes.tolist() == [3]
    assert fused.detections.scores == pytest.approx([2 / 3])


def test_one_member_keeps_its_own_without_overlap():
    member = found(disc((20, 20), score=0.5), disc((20, 22), score=0.9), disc((45, 45), score=0.01))
    fused = fuse([member], (1, 1))
    assert fused.votes.tolist() == [1, 1, 1]
    assert fused.clusters[0].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(labels(fused), to_labels(member, SHAPE))


def test_label_images_of_a_volume_vote_to_themselves():
    rng = np.random.default_rng(0)
    image = np.zeros((6, 30, 30), int)
    for label, (z, y, x) in enumerate([(1, 2, 3), (1, 4, 20), (2, 20, 5)], start=1):
        image[z : z + 3, y : y + 7, x : x + 6] = label
    image *= rng.random(image.shape) < 0.9
    fused = fuse([from_labels(image)] * 3, (2, 0.5, 0.5))
    np.testing.assert_array_equal(to_labels(fused.detections, image.shape), image)


# order


rectangles = st.tuples(
    st.tuples(st.integers(0, 12), st.integers(0, 12)),
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0.3, 0.7, 0.9]),
)


@st.composite
def shuffled(draw):
    """Members with few places and scores, so that all kinds of ties come up, and another order of them."""
    members = draw(st.lists(st.lists(rectangles, max_size=5), min_size=1, max_size=4))
    order = draw(st.permutations(range(len(members))))
    inner = [draw(st.permutations(range(len(member)))) for member in members]
    return members, order, inner


def fates(members, fused):
    """What became of each detection, whatever their order; of equal ones either may be the one that stays."""
    return sorted(
        sorted(zip(member, clusters.tolist(), strict=True))
        for member, clusters in zip(members, fused.clusters, strict=True)
    )


@given(shuffled(), st.sampled_from(["ward", "average"]), st.booleans())
def test_order_changes_nothing_and_no_voxel_is_in_two(case, linkage, one_per_member):
    members, order, inner = case
    others = [[members[m][i] for i in inner[m]] for m in order]
    a, b = (
        fuse(
            [found(*(box(*r) for r in m)) for m in group],
            (1, 1),
            linkage=linkage,
            one_per_member=one_per_member,
        )
        for group in (members, others)
    )
    np.testing.assert_array_equal(labels(a), labels(b))
    for left, right in [(a.detections.scores, b.detections.scores), (a.votes, b.votes)]:
        np.testing.assert_array_equal(left, right)
    assert all(np.array_equal(p, q) for p, q in zip(a.probabilities, b.probabilities, strict=True))
    assert fates(members, a) == fates(others, b)
    # painted one after another without loss, in the order of their centroids
    assert (labels(a) > 0).sum() == sum(mask.sum() for mask in a.detections.masks)
    centroids = a.detections.centroids((1, 1)).tolist()
    assert centroids == sorted(centroids)
    assert all(mask.any(axis=1 - axis)[[0, -1]].all() for mask in a.detections.masks for axis in (0, 1))


def test_order_changes_nothing_where_equal_detections_fall_into_different_clusters():
    # three clusters at least, and but two places
    same, other = ((5, 5), (3, 3), 1.0), ((5, 11), (3, 3), 1.0)
    members = [[same, same, other], [same] * 3]
    a, b = (
        fates(group, fuse([found(*(box(*item) for item in member)) for member in group], (1, 1)))
        for group in (members, members[::-1])
    )
    assert a == b


# bad input


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"linkage": "Ward"}, "unknown linkage 'Ward': did you mean 'ward'"),
        ({"silhouette": "mean"}, "unknown silhouette 'mean': .*allowed are others, standard"),
        ({"threshold": 1.0}, "threshold 1.0 must be 0 or more and below 1"),
        ({"threshold": float("nan")}, "threshold nan must be"),
        ({"members": []}, "no members to fuse"),
        ({"spacing": (1,)}, r"spacing \(1,\) must be two or three positive"),
        ({"spacing": (1, 0)}, r"spacing \(1, 0\) must be two or three positive"),
        ({"spacing": (2, 1, 1)}, r"member 0 has starts of shape \(1, 2\).* want \(1, 3\)"),
        ({"members": [found(disc((9, 9))), none_of(3)]}, r"member 1 has starts of shape \(0, 3\)"),
        ({"members": [found(disc((9, 9), score=0))]}, "scores of member 0 must be 1 numbers above 0"),
        ({"members": [found(disc((9, 9), score=1.5))]}, "scores of member 0 must be 1 numbers above 0"),
    ],
)
def test_bad_input_is_refused(changes, message):
    given = {"members": [found(disc((9, 9)))], "spacing": (1, 1)} | changes
    with pytest.raises(InputError, match=message):
        fuse(**given)
