from types import SimpleNamespace

import numpy as np
import pytest

from zoo.fusion.detections import Detections, from_labels, none_of
from zoo.recipe_detector import DetectorRecipe
from zoo.vote import member_name, missing_members, vote

SHAPE = (4, 40, 60)
SPACING = (2.0, 1.0, 0.5)
IMAGE = np.random.default_rng(0).integers(90, 900, SHAPE).astype(np.uint16)


class Fake:
    """A detector that finds what it is told to, and remembers what it was given."""

    def __init__(self, slices, most=100):
        self.slices, self.recipe, self.seen = slices, SimpleNamespace(most=most), []

    def detect(self, image, spacing):
        self.seen.append((image, spacing))
        return self.slices


def boxes(*items):
    """Detections that fill boxes of a slice: rows, columns, score."""
    if not items:
        return none_of(2)
    return Detections(
        np.array([(rows[0], columns[0]) for rows, columns, _ in items]),
        tuple(np.ones((rows[1] - rows[0], columns[1] - columns[0]), bool) for rows, columns, _ in items),
        np.array([score for _, _, score in items], np.float32),
    )


def ensemble(*detectors):
    return [(member_name(n), detector) for n, detector in enumerate(detectors, start=1)]


def two_nuclei():
    """Three members: all see the nucleus on the left, two that on the right, one a false one; in slice 2."""
    left, right, false = ((5, 15), (10, 20)), ((5, 15), (40, 50)), ((30, 36), (10, 16))
    found = [
        boxes((*left, 0.9), (*right, 0.8)),
        boxes(((5, 15), (12, 22), 0.6), (*right, 0.7)),
        boxes((*left, 0.5), (*false, 0.9)),
    ]
    return ensemble(*(Fake([none_of(2), none_of(2), one, none_of(2)]) for one in found))


# the vote


def test_each_slice_is_voted_on_by_all():
    result = vote(two_nuclei(), IMAGE, SPACING, 0.5)
    assert [len(fused.detections) for fused in result.fused] == [0, 0, 2, 0]
    objects = result.fused[2]
    assert objects.votes.tolist() == [3, 2]
    # of 2.0, the columns 10 to 21 of the left one get 1.4 (10, 11), 2.0 (12 to 19) and 0.6 (20, 21)
    assert objects.detections.starts.tolist() == [[5, 10], [5, 40]]
    assert [mask.shape for mask in objects.detections.masks] == [(10, 10), (10, 10)]
    assert objects.detections.scores == pytest.approx([2 / 3, 0.75])
    assert [clusters.tolist() for clusters in objects.clusters] == [[0, 1], [0, 1], [0, -1]]
    assert result.notes == ()


def test_probability_is_the_share_of_the_scores_that_claim_a_voxel():
    probability = vote(two_nuclei(), IMAGE, SPACING, 0.5).probability
    expected = np.zeros(SHAPE)
    expected[2, 5:15, 10:12] = 1.4 / 2
    expected[2, 5:15, 12:20] = 1
    expected[2, 5:15, 40:50] = 1
    np.testing.assert_allclose(probability, expected, atol=1e-6)
    assert probability.dtype == np.float32


def test_the_threshold_is_that_of_the_share():
    def width(threshold):
        fused = vote(two_nuclei(), IMAGE, SPACING, threshold).fused[2]
        return fused.detections.masks[0].shape[1]

    assert [width(t) for t in (0.2, 0.5, 0.75)] == [12, 10, 8]


def test_members_get_the_image_and_all_axes_of_its_voxels():
    members = two_nuclei()
    vote(members, IMAGE, SPACING, 0.5)
    for _, detector in members:
        ((image, spacing),) = detector.seen
        assert image is IMAGE
        assert spacing == SPACING


def test_distances_are_in_um():
    # three members see two nuclei 8 pixels apart along y, and err by 7 pixels along x
    slices = [[boxes(((10, 14), (x, x + 16), 0.9), ((18, 22), (x, x + 16), 0.9))] for x in (10, 17, 24)]
    members = ensemble(*map(Fake, slices))

    def joined(spacing):
        clusters = vote(members, IMAGE[:1], spacing, 0.3).fused[0].clusters
        return [one.tolist() for one in clusters]

    assert joined((1.0, 4.0, 0.1)) == [[0, 1], [0, 1], [0, 1]]
    assert joined((1.0, 0.1, 4.0)) != [[0, 1], [0, 1], [0, 1]]


def test_a_single_member_decides_alone():
    labels = np.zeros(SHAPE[1:], int)
    labels[5:15, 10:20], labels[5:15, 20:30] = 1, 2
    member = Fake([from_labels(labels, np.array([0.9, 0.4])) for _ in range(4)])
    result = vote(ensemble(member), IMAGE, SPACING, 0.5)
    assert [len(fused.detections) for fused in result.fused] == [2] * 4
    np.testing.assert_array_equal(result.probability, (labels > 0)[None].repeat(4, 0))


def test_nobody_finds_anything():
    members = ensemble(*(Fake([none_of(2)] * 4) for _ in range(3)))
    result = vote(members, IMAGE, SPACING, 0.5)
    assert [len(fused.detections) for fused in result.fused] == [0] * 4
    assert not result.probability.any()
    assert list(result.panels)[-1] == "slice 0: Fused masks: 0"
    assert result.notes == ()


# panels


def test_panels_show_the_slice_with_the_most_objects():
    result = vote(two_nuclei(), IMAGE, SPACING, 0.5)
    assert list(result.panels) == [
        "slice 2: member 1, detections: 2",
        "slice 2: member 2, detections: 2",
        "slice 2: member 3, detections: 2",
        "slice 2: All members, a colour each cluster; dashed: 1 dropped",
        "slice 2: Fused masks: 2",
    ]
    for picture in result.panels.values():
        # 384 // 60 = 6 pixels of a panel a pixel
        assert picture.shape == (240, 360, 3)
        assert picture.dtype == np.uint8
    first, second, third, _, masks = result.panels.values()
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)
    coloured = (masks != masks[..., :1]).any(axis=2)[::6, ::6]
    np.testing.assert_array_equal(coloured, result.probability[2] > 0)


def test_of_slices_with_as_many_objects_the_first_is_shown():
    one, two = boxes(((5, 9), (5, 9), 0.9)), boxes(((5, 9), (5, 9), 0.9), ((5, 9), (30, 34), 0.9))
    members = ensemble(Fake([one, two, two, one]))
    assert next(iter(vote(members, IMAGE, SPACING, 0.5).panels)) == "slice 1: member 1, detections: 2"


# notes


def test_who_found_as_many_as_allowed_is_named():
    full = boxes(*(((5, 9), (x, x + 4), 0.9) for x in (5, 15, 25)))
    less = boxes(((5, 9), (5, 9), 0.9), ((5, 9), (15, 19), 0.9))
    members = ensemble(
        Fake([less, full, full, less], most=3),
        Fake([full] * 4, most=4),
        Fake([less] * 4, most=2),
    )
    assert vote(members, IMAGE, SPACING, 0.5).notes == (
        "member 1 found 3 objects, the most it may, in 2 slices (first: 1): there may be more; train with "
        "--set most=... higher",
        "member 3 found 2 objects, the most it may, in 4 slices (first: 0): there may be more; train with "
        "--set most=... higher",
    )


@pytest.mark.parametrize(
    "there, notes",
    [
        ((1, 2, 3, 4), ()),
        ((1, 2, 4), ("member 3 of 4 without weights: the others vote",)),
        ((2,), ("members 1, 3, 4 of 4 without weights: the others vote",)),
    ],
)
def test_members_without_weights_are_named(there, notes):
    recipe = DetectorRecipe(members=({},) * 4)
    assert missing_members(recipe, [(member_name(n), None) for n in there]) == notes


def test_a_detector_without_members_misses_none():
    assert missing_members(DetectorRecipe(), [(member_name(1), None)]) == ()
