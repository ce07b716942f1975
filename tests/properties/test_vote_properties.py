"""What holds for the vote of detectors and of label images, whatever they found."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.cluster.hierarchy import ward
from scipy.spatial.distance import cdist, pdist
from strategies import SEEDS, SPACINGS, boxes, bricks, detections, renumbered, same_parts, shapes

from zoo.fusion.consensus import agree
from zoo.fusion.detections import Detections, from_labels, separate_slices, to_labels
from zoo.fusion.ensemble import fuse
from zoo.fusion.silhouette import cut, mean_silhouettes
from zoo.fusion.simulate import simulate_members

SHAPE = (16, 16, 16)
LINKAGES = st.sampled_from(["ward", "average"])


@st.composite
def members(draw, axes=3, most=4):
    return draw(st.lists(detections(axes, 4), min_size=1, max_size=most))


def painted(fused, axes=3):
    return to_labels(fused.detections, SHAPE[:axes])


def assert_same(one, other):
    assert (one.votes.tolist(), one.detections.starts.tolist()) == (
        other.votes.tolist(),
        other.detections.starts.tolist(),
    )
    np.testing.assert_array_equal(one.detections.scores, other.detections.scores)
    for left, right in zip(one.probabilities, other.probabilities, strict=True):
        np.testing.assert_array_equal(left, right)
    for left, right in zip(one.detections.masks, other.detections.masks, strict=True):
        np.testing.assert_array_equal(left, right)


@given(members(), SEEDS, LINKAGES, st.booleans())
def test_the_order_of_detectors_and_detections_changes_nothing_in_3d(group, seed, linkage, one):
    rng = np.random.default_rng(seed)
    shuffled = [group[i].take(rng.permutation(len(group[i]))) for i in rng.permutation(len(group))]
    found, other = (fuse(g, (1, 1, 1), linkage=linkage, one_per_member=one) for g in (group, shuffled))
    assert_same(found, other)


# a centroid between two voxels, of which only one is in the other mask
BETWEEN = [
    Detections(np.array([[0, 0, 0]]), (np.ones((1, 1, width), bool),), np.array([0.25], np.float32))
    for width in (1, 2)
]


@given(members(), st.tuples(*[st.integers(0, 3)] * 3), st.sampled_from([0.5, 1.0, 2.0]))
@example(BETWEEN, (0, 0, 1), 1.0)
@example(BETWEEN, (0, 0, 2), 0.5)
def test_neither_place_nor_unit_changes_the_vote(group, shift, unit):
    moved = [replace(part, starts=part.starts + shift) for part in group]
    found, other = fuse(group, (1, 1, 1)), fuse(moved, (unit, unit, unit))
    back = replace(other.detections, starts=other.detections.starts - shift)
    assert_same(found, replace(other, detections=back))


@given(members(axes=2, most=5), LINKAGES, st.sampled_from([0.0, 0.5, 0.9]))
def test_what_is_fused_is_disjoint_and_has_half_of_the_votes(group, linkage, threshold):
    found = fuse(group, (1, 1), linkage=linkage, threshold=threshold)
    labels = painted(found, 2)
    claimed = np.zeros(SHAPE[:2], bool)
    for part in group:
        claimed |= to_labels(part, SHAPE[:2]) > 0
    assert not ((labels > 0) & ~claimed).any()
    assert (labels > 0).sum() == sum(mask.sum() for mask in found.detections.masks)
    assert (2 * found.votes >= len(group)).all()
    for mask, probability in zip(found.detections.masks, found.probabilities, strict=True):
        assert (probability[mask] > threshold).all()
        assert probability.max() <= 1
        assert all(mask.any(axis=1 - axis)[[0, -1]].all() for axis in (0, 1))  # tight
    for part, clusters in zip(group, found.clusters, strict=True):
        assert clusters.shape == (len(part),)
        assert set(clusters) <= {-1, *range(len(found.detections))}
        chosen = clusters[clusters >= 0]
        assert len(set(chosen.tolist())) == len(chosen)  # one of a member in each


@given(bricks(), st.integers(1, 4), LINKAGES, SPACINGS)
def test_detectors_of_one_mind_have_their_way(truth, count, linkage, spacing):
    found = fuse([from_labels(truth)] * count, spacing, linkage=linkage)
    assert same_parts(to_labels(found.detections, truth.shape), truth)
    assert (found.votes == count).all()


@given(bricks(), st.integers(2, 4), SPACINGS)
def test_the_consensus_of_equal_images_is_the_image(truth, count, spacing):
    found = agree([truth] * count, spacing)
    assert same_parts(found.labels, truth)
    assert not found.uncertainty.any()
    assert all((row.votes, row.share, row.mean_iou) == (count, 1, 1) for row in found.objects)
    voxel = float(np.prod(spacing))
    assert sum(row.volume_um3 for row in found.objects) == pytest.approx((truth > 0).sum() * voxel)
    flat = agree([truth[:1]] * count, spacing, by="slices")
    assert same_parts(flat.labels, truth[:1])


@st.composite
def images(draw):
    shape = draw(shapes(6))
    return draw(st.lists(boxes(shape), min_size=2, max_size=4))


@given(images(), SEEDS, st.sampled_from(["volume", "slices"]), st.permutations([3, 9, 1, 20]))
def test_neither_the_order_of_images_nor_their_numbers_change_the_consensus(group, seed, by, numbers):
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.25, 0.5, 1.0], len(group))
    order = rng.permutation(len(group))
    found = agree(group, (2, 1, 1), weights=weights, by=by)
    other = agree(
        [renumbered(group[i], numbers) for i in order], (2, 1, 1), weights=4 * weights[order], by=by
    )
    np.testing.assert_array_equal(found.labels, other.labels)
    np.testing.assert_allclose(found.uncertainty, other.uncertainty, atol=1e-6)
    for one, same in zip(found.objects, other.objects, strict=True):
        assert (one.label, one.votes, one.volume_um3) == (same.label, same.votes, same.volume_um3)


@given(images(), SEEDS)
def test_uncertainty_and_agreement_are_those_of_a_loop(group, seed):
    weights = np.random.default_rng(seed).choice([0.25, 0.5, 1.0], len(group))
    found = agree(group, (2.0, 1.0, 0.5), weights=weights)
    share = sum(w * (image > 0) for w, image in zip(weights, group, strict=True)) / weights.sum()
    np.testing.assert_allclose(found.uncertainty, 4 * share * (1 - share), atol=1e-6)
    assert [row.label for row in found.objects] == list(range(1, int(found.labels.max()) + 1))
    for row in found.objects:
        own = found.labels == row.label
        assert row.volume_um3 == own.sum()
        assert (row.z_um, row.y_um, row.x_um) == pytest.approx(np.argwhere(own).mean(axis=0) * (2, 1, 0.5))
        assert row.votes <= sum(may_vote(image, own) for image in group)
        assert row.share == row.votes / len(group)


def may_vote(image, own):
    """Tell whether an object of an image shares more than half of the smaller one's voxels with a result."""
    others = [image == n for n in np.unique(image[image > 0])]
    return any(2 * (own & other).sum() > min(own.sum(), other.sum()) for other in others)


@given(detections(2))
def test_the_higher_score_is_painted_on_top(found):
    labels = to_labels(found, SHAPE[:2])
    expected = np.zeros(SHAPE[:2], np.int32)
    for i in sorted(range(len(found)), key=lambda i: (found.scores[i], -i)):
        expected[found.boxes()[i]][found.masks[i]] = i + 1
    np.testing.assert_array_equal(labels, expected)


@given(st.lists(detections(2), min_size=1, max_size=4))
def test_slices_painted_apart_share_no_label(slices):
    volume = separate_slices(slices, (len(slices), *SHAPE[:2]))
    planes = [set(np.unique(plane[plane > 0]).tolist()) for plane in volume]
    assert len(set().union(*planes)) == sum(map(len, planes))
    for plane, found in zip(volume, slices, strict=True):
        assert same_parts(plane, to_labels(found, SHAPE[:2]))


@st.composite
def clouds(draw):
    count = draw(st.integers(2, 8))
    return draw(arrays(float, (count, 2), elements=st.integers(0, 4).map(float), fill=st.nothing()))


@given(clouds(), st.sampled_from(["standard", "others"]))
def test_silhouettes_are_those_of_a_loop_over_points(points, definition):
    tree, apart = ward(pdist(points)), cdist(points, points)
    found = mean_silhouettes(points, tree, 2, len(points), definition)
    for k, mean in enumerate(found, start=2):
        clusters = cut(tree, k)
        values = []
        for i, own in enumerate(clusters):
            fellows = (clusters == own) & (np.arange(len(points)) != i)
            others = [apart[i, clusters == c].mean() for c in range(k) if c != own]
            a = apart[i, fellows].mean() if fellows.any() else np.nan
            b = min(others) if definition == "standard" else np.mean(others)
            values.append((b - a) / max(a, b) if fellows.any() and max(a, b) > 0 else 0)
        assert mean == pytest.approx(np.mean(values), abs=1e-9)
        assert clusters.max() == k - 1


@given(bricks(), st.integers(1, 3), SEEDS, st.sampled_from([0.0, 1.0, 2.5]))
def test_simulated_members_stay_in_the_image_and_err_only_as_told(truth, count, seed, jitter):
    perfect = simulate_members(truth, count, missing=0, false=0, jitter=0, seed=seed)
    for plane, found in zip(truth, perfect, strict=True):
        assert all(same_parts(to_labels(part, plane.shape), plane) for part in found)
    drawn = [simulate_members(truth, count, false=0.5, extra=1, jitter=jitter, seed=seed) for _ in range(2)]
    for one, same in zip(*drawn, strict=True):
        for part, again in zip(one, same, strict=True):
            np.testing.assert_array_equal(part.starts, again.starts)
            ends = part.starts + np.array([m.shape for m in part.masks], int).reshape(-1, 2)
            assert (part.starts >= 0).all()
            assert (ends <= truth.shape[1:]).all()
            assert all(mask.any() for mask in part.masks)
            assert ((part.scores > 0) & (part.scores <= 1)).all()


# two of two keep what either has; of three, two lie apart and agree on no voxel
@pytest.mark.parametrize("centres, left", [([(0, 3), (3, 0)], 2), ([(0, 4, 8), (4, 0, 4), (8, 4, 0)], 0)])
def test_centroids_that_look_like_a_table_of_distances_make_no_warning(centres, left):
    group = [Detections(np.array([at]), (np.ones([1] * len(at), bool),), np.ones(1)) for at in centres]
    for linkage in ("ward", "average"):
        assert len(fuse(group, [1.0] * len(group), linkage=linkage).detections) == left
