import numpy as np
import pytest

from zoo.errors import InputError
from zoo.evaluate.ensemble_figures import DROPPED, vote_panels
from zoo.evaluate.pictures import GREY, grey_levels, label_colours

SHAPE = (400, 300)  # no enlargement: a panel's pixels are the slice's
ONE, TWO = label_colours(np.array([1, 2]))


def box(labels, number, rows, columns):
    labels[slice(*rows), slice(*columns)] = number


def slice_of_two():
    """Two members: the first finds both nuclei and a false one, the second the second nucleus, shifted."""
    image = np.random.default_rng(0).integers(90, 900, SHAPE).astype(np.uint16)
    first, second, fused = (np.zeros(SHAPE, int) for _ in range(3))
    box(first, 1, (200, 220), (10, 40))  # its first detection is the second nucleus
    box(first, 2, (10, 30), (10, 40))
    box(first, 3, (300, 330), (100, 130))
    box(second, 1, (205, 225), (10, 40))
    box(fused, 1, (10, 30), (10, 40))
    box(fused, 2, (202, 222), (10, 40))
    members = {"A": (first, np.array([1, 0, -1])), "B": (second, np.array([1]))}
    return image, members, fused


def rim(rows, columns):
    """The outline of a box, by its definition."""
    found = np.zeros(SHAPE, bool)
    box(found, True, rows, columns)
    box(found, False, (rows[0] + 1, rows[1] - 1), (columns[0] + 1, columns[1] - 1))
    return found


def test_captions_tell_who_and_how_many():
    image, members, fused = slice_of_two()
    assert list(vote_panels(image, members, fused)) == [
        "A, detections: 3",
        "B, detections: 1",
        "All members, a colour each cluster; dashed: 1 dropped",
        "Fused masks: 2",
    ]


def test_a_cluster_has_one_colour_in_all_panels():
    image, members, fused = slice_of_two()
    first, second, every, masks = vote_panels(image, members, fused).values()
    grey = GREY[grey_levels(image)[0] // 2]

    expected = grey.copy()
    expected[rim((205, 225), (10, 40))] = TWO
    np.testing.assert_array_equal(second, expected)

    expected[rim((10, 30), (10, 40))] = ONE
    expected[rim((200, 220), (10, 40))] = TWO
    false = rim((300, 330), (100, 130))
    np.testing.assert_array_equal(every[~false], expected[~false])
    np.testing.assert_array_equal(every[false], first[false])

    expected[rim((205, 225), (10, 40))] = grey[rim((205, 225), (10, 40))]
    expected[rim((200, 220), (10, 40))] = TWO
    np.testing.assert_array_equal(first[~false], expected[~false])

    inside = masks[12:28, 12:38]
    np.testing.assert_allclose(inside, 0.55 * grey[12:28, 12:38] + 0.45 * ONE.astype(float), atol=0.51)
    assert (masks[rim((10, 30), (10, 40))] == ONE).all()
    assert (masks[rim((202, 222), (10, 40))] == TWO).all()
    np.testing.assert_array_equal(masks[fused == 0], grey[fused == 0])


def test_dropped_detections_are_dashed_on_every_side():
    image, members, fused = slice_of_two()
    panel = vote_panels(image * 0, members, fused)["A, detections: 3"]
    drawn = (panel == DROPPED).all(axis=-1)
    assert not drawn[~rim((300, 330), (100, 130))].any()
    sides = drawn[300, 100:130], drawn[329, 100:130], drawn[300:330, 100], drawn[300:330, 129]
    for side in sides:
        assert 12 <= side.sum() <= 18
        assert 8 <= np.count_nonzero(np.diff(side.astype(int))) <= 11


def test_touching_detections_of_one_cluster_stay_two():
    labels = np.zeros(SHAPE, int)
    box(labels, 1, (10, 30), (10, 40))
    box(labels, 2, (10, 30), (40, 70))
    panel = vote_panels(np.zeros(SHAPE), {"A": (labels, np.array([0, 0]))}, labels > 0)["A, detections: 2"]
    assert (panel[15, [10, 39, 40, 69]] == ONE).all()
    assert not panel[15, [11, 38, 41, 68]].any()


def test_small_slices_are_enlarged_without_blur():
    image = np.random.default_rng(1).random((60, 100))
    labels = np.zeros((60, 100), int)
    box(labels, 1, (10, 20), (30, 50))
    panel, _, masks = vote_panels(image, {"A": (labels, np.array([0]))}, labels).values()
    assert panel.shape == masks.shape == (180, 300, 3)
    assert panel.dtype == np.uint8
    grey = GREY[grey_levels(image)[0] // 2]
    np.testing.assert_array_equal(panel[2::3, 1::3][labels == 0], grey[labels == 0])
    # the rim is one pixel of the panel, not of the slice
    assert (panel[30, 90:150] == ONE).all()
    assert (panel[31:59, 91:149].reshape(-1, 3) != ONE).any(axis=1).all()


def test_members_that_found_nothing():
    empty = np.zeros((30, 40), np.uint8)
    panels = vote_panels(np.eye(30, 40), {"A": (empty, np.zeros(0, int))}, empty)
    assert next(iter(panels)) == "A, detections: 0"
    for panel in panels.values():
        np.testing.assert_array_equal(panel, next(iter(panels.values())))
    assert "Fused masks: 0" in vote_panels(np.eye(30, 40), {}, empty)


def test_what_cannot_be_painted():
    image, members, fused = slice_of_two()
    with pytest.raises(InputError, match=r"image \(shape \(1, 400, 300\)\) must be a slice"):
        vote_panels(image[None], members, fused)
    with pytest.raises(InputError, match=r"labels of fused \(shape \(399, 300\)\) .* \(400, 300\)"):
        vote_panels(image, members, fused[1:])
    with pytest.raises(InputError, match=r"labels of B \(shape \(400, 299\)\)"):
        vote_panels(image, members | {"B": (fused[:, 1:], np.array([0]))}, fused)
    with pytest.raises(InputError, match="A has the detection 3 but 2 cluster numbers"):
        vote_panels(image, {"A": (members["A"][0], np.array([0, 1]))}, fused)
