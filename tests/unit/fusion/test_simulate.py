import numpy as np
import pytest

from zoo.errors import InputError
from zoo.fusion.detections import to_labels
from zoo.fusion.simulate import simulate_members


def discs(slices=40, radius=6):
    """Nine discs a slice, well apart."""
    y, x = np.mgrid[:90, :90]
    place = (y // 30) * 3 + x // 30 + 1
    image = np.where((y % 30 - 15) ** 2 + (x % 30 - 15) ** 2 <= radius**2, place, 0)
    return np.repeat(image[None], slices, axis=0)


def test_without_errors_each_member_finds_the_truth():
    truth = discs(2)
    found = simulate_members(truth, 3, missing=0, false=0, jitter=0)
    assert [len(members) for members in found] == [3, 3]
    for members in found:
        for part in members:
            np.testing.assert_array_equal(to_labels(part, truth.shape[1:]), truth[0])
            assert ((part.scores >= 0.7) & (part.scores <= 1)).all()


def test_the_share_missed_is_that_asked_for():
    found = simulate_members(discs(), 4, missing=0.2, false=0)
    counts = np.array([[len(part) for part in members] for members in found])
    # 1440 draws: four standard deviations are 0.042
    assert abs(counts.mean() / 9 - 0.8) < 0.042
    assert (counts.std(axis=1) > 0).any(), "members err apart"


@pytest.mark.parametrize(
    "false, extra, expected", [(0.0, 3, 3.0), (1 / 3, 0, 3.0), (0.05, 0, 0.45), (0.5, 1, 5.5)]
)
def test_the_number_of_false_detections_is_that_asked_for(false, extra, expected):
    found = simulate_members(discs(), 4, missing=1, false=false, extra=extra)
    counts = np.array([len(part) for members in found for part in members])
    assert abs(counts.mean() - expected) < 0.16
    assert counts.max() - counts.min() <= 1


def test_false_detections_are_of_the_typical_size_and_score_lower():
    found = simulate_members(discs(), 1, missing=1, false=0, extra=10)
    sizes = [mask.sum() for (part,) in found for mask in part.masks]
    typical = (discs(1) > 0).sum() / 9
    assert abs(np.median(sizes) / typical - 1) < 0.1
    scores = np.concatenate([part.scores for (part,) in found])
    assert 0.5 <= scores.min() < scores.max() <= 0.9


def test_jitter_bounds_how_far_outlines_move():
    truth = discs(20, radius=6)[:, :30, :30]
    for part in (
        part for members in simulate_members(truth, 5, missing=0, false=0, jitter=2) for part in members
    ):
        y, x = np.nonzero(to_labels(part, (30, 30)))
        assert max(abs(y.mean() - 15), abs(x.mean() - 15)) <= 2
        assert 3.5 <= np.sqrt(len(y) / np.pi) <= 8.5
    sizes = {int(mask.sum()) for members in simulate_members(truth, 5) for p in members for mask in p.masks}
    assert min(sizes) < (truth[0] > 0).sum() < max(sizes)


def test_outlines_do_not_grow_on_average():
    truth = discs(30)
    found = simulate_members(truth, 4, missing=0, false=0, jitter=1)
    mean = np.mean([mask.sum() for members in found for part in members for mask in part.masks])
    assert abs(mean / ((truth[0] > 0).sum() / 9) - 1) < 0.03


def test_boxes_are_tight_and_lie_within_the_image():
    truth = np.zeros((30, 12, 14), int)
    truth[:, 0, 0], truth[:, 9:, 10:] = 1, 2
    for members in simulate_members(truth, 2, missing=0, extra=2, jitter=3):
        for part in members:
            for box, mask in zip(part.boxes(), part.masks, strict=True):
                assert all(
                    side.start >= 0 and side.stop <= edge for side, edge in zip(box, (12, 14), strict=True)
                )
                assert mask.any(axis=0)[[0, -1]].all()
                assert mask.any(axis=1)[[0, -1]].all()


def test_the_seed_decides():
    truth = discs(3)
    first, again, other = (
        [to_labels(p, (90, 90)) for members in simulate_members(truth, 2, seed=seed) for p in members]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_an_empty_volume_has_only_extra_detections():
    found = simulate_members(np.zeros((2, 6, 6), int), 2, extra=1)
    assert [[len(part) for part in members] for members in found] == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    "change",
    [{"members": 0}, {"missing": 1.1}, {"missing": -0.1}, {"false": -1}, {"extra": -1}, {"jitter": -1}],
)
def test_numbers_out_of_range(change):
    with pytest.raises(InputError, match="give 1 member or more"):
        simulate_members(**({"labels": discs(1), "members": 2} | change))


@pytest.mark.parametrize("labels", [np.zeros((4, 4), int), np.zeros((2, 4, 4))])
def test_labels_that_are_no_volume(labels):
    with pytest.raises(InputError, match="labels"):
        simulate_members(labels, 2)
