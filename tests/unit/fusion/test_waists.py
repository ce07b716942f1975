import numpy as np
import pytest

from zoo.fusion.detections import from_labels
from zoo.fusion.slices import join
from zoo.fusion.waists import part_at_waists


def parted(areas):
    """Return the lengths of the parts that a chain of such areas falls into."""
    links = np.column_stack([np.arange(len(areas) - 1), np.arange(1, len(areas))])
    kept = part_at_waists(links, np.array(areas))
    cuts = np.setdiff1d(links[:, 0], kept[:, 0]) + 1
    return [len(part) for part in np.split(np.arange(len(areas)), cuts)]


@pytest.mark.parametrize(
    "areas, parts",
    [
        ([10, 20, 30, 20, 10], [5]),  # one nucleus
        ([10, 30, 20, 30, 10], [3, 2]),  # 20 is less than 0.7 of 30: the waist goes with the lower one
        ([10, 30, 21, 30, 10], [5]),  # 21 is not
        ([10, 100, 20, 30, 10], [3, 2]),  # the smaller of the two sides counts
        ([10, 100, 25, 30, 10], [5]),
        ([30, 10, 10, 10, 30], [2, 3]),  # of equals the first
        ([30, 10, 30, 30, 10, 30], [2, 4]),  # the second part is too short to have a waist
        ([30, 30, 10, 30, 30, 30, 10, 30, 30], [3, 4, 2]),
        ([30, 10, 30, 30], [4]),  # too short
        ([30, 29, 28, 27, 26], [5]),
    ],
)
def test_a_chain_is_parted_at_its_waists(areas, parts):
    assert parted(areas) == parts


def test_chains_are_looked_at_one_by_one_whatever_the_order_of_the_links():
    # segments 0, 2, 4, 6, 8 are a chain with a waist, 1, 3, 5, 7, 9 one without
    areas = np.array([30, 10, 30, 20, 10, 30, 30, 20, 30, 10])
    links = np.array([[i, i + 2] for i in range(8)])
    shuffled = links[np.random.default_rng(0).permutation(8)]
    kept = part_at_waists(shuffled, areas)
    assert sorted(map(tuple, kept)) == [(i, i + 2) for i in range(8) if i != 4]
    assert len(part_at_waists(np.zeros((0, 2), int), areas)) == 0


@pytest.mark.parametrize("method", ["cluster", "blob"])
def test_two_balls_above_one_another_are_two_nuclei(method):
    z, y, x = np.mgrid[:21, :20, :20]
    lower, upper = ((z - c) ** 2 + (y - 10) ** 2 + (x - 10) ** 2 <= 36 for c in (5, 15))
    segments = [from_labels(plane.astype(int)) for plane in lower | upper]
    labels = join(segments, lower.shape, (1, 1, 1), method=method)
    assert labels.max() == 2
    assert labels[5, 10, 10] != labels[15, 10, 10]
    one = join([from_labels(plane.astype(int)) for plane in lower], lower.shape, (1, 1, 1), method=method)
    assert one.max() == 1
