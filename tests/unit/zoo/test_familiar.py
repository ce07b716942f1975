import numpy as np
import pytest

from zoo.data.sizes import diameters
from zoo.errors import InputError
from zoo.familiar import left_out, magnification, other_sizes, other_voxels, rescaled

TRAINED = {"spacing_um": [2.0, 1.0, 1.0], "diameter_um": [8.0, 10.0, 14.0]}


def cube(edge):
    """One object whose ball is `edge` um across, in voxels of 2 x 1 x 1 um."""
    labels = np.zeros((60, 120, 120), np.int32)
    z, y, x = np.ogrid[:60, :120, :120]
    labels[(2 * (z - 30)) ** 2 + (y - 60) ** 2 + (x - 60) ** 2 <= (edge / 2) ** 2] = 1
    return labels


def test_objects_and_voxels_as_trained_on_are_not_worth_a_word():
    for edge in (6, 10, 20):
        assert other_sizes(diameters(cube(edge), (2, 1, 1)), TRAINED) == ()
    assert other_voxels((2.9, 1.4, 0.7), TRAINED) == ()
    assert other_sizes(np.array([]), TRAINED) == ()
    assert other_voxels((9, 9, 9), None) == other_sizes(np.array([90.0]), None) == ()


@pytest.mark.parametrize("edge", [4.6, 24])
def test_objects_far_smaller_or_larger_are_told_with_the_remedy(edge):
    (note,) = other_sizes(diameters(cube(edge), (2, 1, 1)), TRAINED)
    assert "trained on 8 to 14 um" in note
    size = float(note.partition("--diameter ")[2].partition(",")[0])
    assert size == pytest.approx(edge, rel=0.1)


@pytest.mark.parametrize("spacing", [(3.1, 1, 1), (2, 1, 0.6)])
def test_other_voxels_are_told(spacing):
    (note,) = other_voxels(spacing, TRAINED)
    assert "the weights were trained on 2 x 1 x 1 um" in note
    assert "--spacing Z Y X" in note


def test_a_diameter_rescales_all_axes_alike():
    assert rescaled((2, 0.5, 0.5), 5.0, TRAINED) == (4.0, 1.0, 1.0)
    with pytest.raises(InputError, match=r"do not tell the size .*leave --diameter out"):
        rescaled((2, 1, 1), 5.0, None)


@pytest.mark.parametrize("diameter", [1.24, 81, float("nan"), float("inf")])
def test_a_diameter_that_would_make_an_image_far_too_large_or_small_is_refused(diameter):
    with pytest.raises(InputError, match=r"too far from the 10 um .*: give 1.25 to 80"):
        magnification(diameter, TRAINED)
    assert magnification(1.25, TRAINED) == 8


def test_debris_does_not_hide_large_nuclei():
    labels = cube(24)
    labels[0, 0, ::3] = np.arange(2, 42)
    (note,) = other_sizes(diameters(labels, (2, 1, 1)), TRAINED)
    assert "about 23.9 um" in note or "about 24 um" in note


def test_what_was_too_small_is_told_in_um():
    assert "less than 382 um3, a ball 9 um across," in left_out(np.pi / 6 * 9**3)
    assert "less than 1,000 um3, a ball 12.4 um across," in left_out(1000.0)
