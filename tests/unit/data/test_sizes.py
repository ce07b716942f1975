import numpy as np
import pytest

from zoo.data.datasets import Volume
from zoo.data.sizes import describe_sizes, diameters, is_description, typical


def volume(labels, spacing):
    empty = np.zeros(labels.shape, bool)
    return Volume(
        name="a", group="a", image=labels, labels=labels, mask=empty, markers=empty, spacing=spacing
    )


def test_a_ball_has_its_own_diameter():
    z, y, x = np.ogrid[:31, :61, :61]
    ball = ((z - 15) * 1.0) ** 2 + ((y - 30) * 0.5) ** 2 + ((x - 30) * 0.5) ** 2 <= 12**2
    np.testing.assert_allclose(diameters(ball * 3, (1.0, 0.5, 0.5)), [24], rtol=0.01)


def test_diameters_by_hand():
    labels = np.zeros((2, 3, 4), int)
    labels[0, 0] = 2
    labels[1, 1, :2] = 5
    # 4 voxels of 3 um3 and 2 of them: the ball of 12 um3 is 2.8401 um across, that of 6 um3 2.2545
    np.testing.assert_allclose(diameters(labels, (3, 1, 1)), [2.84, 2.2545], atol=1e-3)
    assert diameters(labels * 0, (1, 1, 1)).size == 0


def test_labels_of_any_type_and_number():
    labels = np.zeros((1, 2, 3), np.uint64)
    labels[0, 0] = 2**40
    np.testing.assert_allclose(diameters(labels, (1, 1, 1)), [(18 / np.pi) ** (1 / 3)])


def test_debris_does_not_make_the_typical_object():
    assert (
        typical(np.array([10.0, 2, 2, 2, 2, 2, 9, 11])) == 10
    )  # of 3,100 by their cubes, 1,769 lie up to it
    assert typical(np.array([3.0])) == 3


def test_described_over_all_volumes():
    one = np.zeros((1, 1, 100), int)
    one[0, 0, :] = np.arange(1, 101)
    labels = np.repeat(one, 4, axis=1)
    told = describe_sizes([volume(one, (2, 1, 1)), volume(labels, (4, 1, 1)), volume(one, (2, 1, 1))])
    assert told["spacing_um"] == [2, 1, 1]
    # 200 objects of 2 um3 and 100 of 16 um3: diameters of 1.5632 and, twice as large, 3.1264 um
    assert told["diameter_um"] == [pytest.approx(1.56), pytest.approx(1.56), pytest.approx(3.13)]


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"spacing_um": [1, 1, 1]}, {"spacing_um": [1, 1, 1], "diameter_um": [1, 2, "3"]}]
)
def test_what_is_no_description(wrong):
    one = np.zeros((1, 1, 100), int)
    one[0, 0, :] = np.arange(1, 101)
    assert is_description(describe_sizes([volume(one, (2, 1, 1))]))
    assert not is_description(wrong)
