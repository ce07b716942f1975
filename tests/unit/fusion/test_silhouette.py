import tracemalloc

import numpy as np
import pytest
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.metrics import silhouette_score

from zoo.errors import InputError
from zoo.fusion import silhouette
from zoo.fusion.silhouette import cut, mean_silhouettes

PAIRS = np.array([[0.0, 0], [0, 2], [0, 10], [0, 12]])


def random_case(case):
    """Points of one to three axes; each third case on a grid, where distances tie and points coincide."""
    rng = np.random.default_rng(case)
    points = rng.normal(size=(rng.integers(3, 30), rng.integers(1, 4)))
    return points.round() if case % 3 == 0 else points


def naive(points, labels, definition):
    """Compute the formula point by point."""
    distances = cdist(points, points)
    names = np.unique(labels)
    values = []
    for i, own in enumerate(labels):
        mates = (labels == own) & (np.arange(len(labels)) != i)
        if not mates.any():
            values.append(0.0)
            continue
        a = distances[i, mates].mean()
        others = [distances[i, labels == name].mean() for name in names if name != own]
        b = min(others) if definition == "standard" else np.mean(others)
        values.append((b - a) / max(a, b) if max(a, b) > 0 else 0.0)
    return np.mean(values)


@pytest.mark.parametrize("case", range(100))
def test_each_k_scores_as_scikit_learn_does(case):
    points = random_case(case)
    tree = linkage(points, "ward")
    n = len(points)
    distances = squareform(pdist(points))
    expected = [silhouette_score(distances, cut(tree, k), metric="precomputed") for k in range(2, n)]
    np.testing.assert_allclose(mean_silhouettes(points, tree, 2, n - 1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("definition", ["standard", "others"])
@pytest.mark.parametrize("case", range(12))
def test_each_k_scores_as_the_formula(case, definition):
    points = random_case(case)
    tree = linkage(points, "average")
    n = len(points)
    expected = [naive(points, cut(tree, k), definition) for k in range(2, n + 1)]
    np.testing.assert_allclose(mean_silhouettes(points, tree, 2, n, definition), expected, rtol=0, atol=1e-12)


def test_two_pairs_by_hand():
    got = mean_silhouettes(PAIRS, linkage(PAIRS, "ward"), 1, 4)
    # at k = 2, a is 2 for all and b 11 for the outer, 9 for the inner points; at k = 3 one pair is parted:
    # its points score 0, the others have a = 2 and b = 8 or 10 to the nearer single one
    assert np.isnan(got[0])
    assert got[1:] == pytest.approx([(9 / 11 + 7 / 9) / 2, (3 / 4 + 4 / 5) / 4, 0])


def test_others_by_hand():
    line = np.array([[0.0], [1], [10], [30]])
    got = mean_silhouettes(line, linkage(line, "ward"), 3, 3, "others")
    # b averages the distances to 10 and 30: 20 from 0 and 19 from 1; a is 1
    assert got == pytest.approx([(19 / 20 + 18 / 19) / 4])


def test_a_part_of_the_range_is_that_part_of_all():
    points = random_case(1)
    tree = linkage(points, "ward")
    everything = mean_silhouettes(points, tree, 1, len(points))
    np.testing.assert_allclose(mean_silhouettes(points, tree, 3, 6), everything[2:6], rtol=0, atol=1e-12)


def test_points_in_one_place_score_zero():
    points = np.ones((5, 2))
    for definition in silhouette.DEFINITIONS:
        np.testing.assert_array_equal(
            mean_silhouettes(points, linkage(points, "ward"), 2, 5, definition), np.zeros(4)
        )


def test_one_point_has_no_silhouette():
    got = mean_silhouettes(np.zeros((1, 3)), np.zeros((0, 4)), 1, 1)
    assert got.shape == (1,)
    assert np.isnan(got[0])


def test_blocks_change_nothing(monkeypatch):
    points = random_case(2)
    tree = linkage(points, "ward")
    whole = mean_silhouettes(points, tree, 2, len(points))
    monkeypatch.setattr(silhouette, "BLOCK", 3 * len(points))
    np.testing.assert_array_equal(mean_silhouettes(points, tree, 2, len(points)), whole)


def test_no_square_table_is_held():
    points = np.random.default_rng(0).uniform(size=(4000, 3))
    tree = linkage(points, "ward")
    tracemalloc.start()
    mean_silhouettes(points, tree, 2, 40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 128 MB for all distances; 1.3 MB for the table and a few blocks of 16 MB
    assert peak < 64e6


@pytest.mark.parametrize("method", ["ward", "average"])
def test_cut_parts_the_points_as_scipy_does(method):
    points = random_case(4)
    tree = linkage(points, method)
    for k, expected in enumerate(cut_tree(tree).T[::-1], start=1):
        got = cut(tree, k)
        assert set(got) == set(range(k))
        assert len(set(zip(got, expected, strict=True))) == k


def test_cut_gives_k_clusters_where_all_heights_tie():
    tree = linkage(np.zeros((6, 2)), "ward")
    assert [len(np.unique(cut(tree, k))) for k in range(1, 7)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("k", [0, 5])
def test_cut_refuses_a_number_of_clusters_out_of_range(k):
    with pytest.raises(InputError, match=rf"k \({k}\) must lie in 1 to 4"):
        cut(linkage(PAIRS, "ward"), k)


@pytest.mark.parametrize("k_min, k_max", [(0, 2), (3, 2), (2, 5)])
def test_a_bad_range_is_refused(k_min, k_max):
    with pytest.raises(InputError, match=f"k_min {k_min} and k_max {k_max} must ascend and lie in 1 to 4"):
        mean_silhouettes(PAIRS, linkage(PAIRS, "ward"), k_min, k_max)


def test_a_tree_of_other_points_is_refused():
    with pytest.raises(InputError, match=r"points \(shape \(3, 2\)\) must be \(n, D\), with n = 4"):
        mean_silhouettes(PAIRS[:3], linkage(PAIRS, "ward"), 2, 2)


def test_an_unknown_definition_is_refused():
    with pytest.raises(InputError, match="unknown silhouette 'other': did you mean 'others'"):
        mean_silhouettes(PAIRS, linkage(PAIRS, "ward"), 2, 2, "other")
