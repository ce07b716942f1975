import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from zoo.data import tissue as module
from zoo.data.optics import Optics
from zoo.data.tissue import LONE, MICROSCOPE, SISTERS, Tissue
from zoo.errors import InputError

ALL = np.s_[:, :, :]
HALF = (0.5, 0.5, 0.5)
SHAPE, SPACING = (37, 52, 45), (1.2, 0.9, 1.0)


@pytest.fixture(scope="module")
def small_tiles():
    """Tiles that a small volume has many of, none of them a divisor of its shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TILE", (16, 24, 20))
        yield


@pytest.fixture(scope="module")
def whole(small_tiles):
    tissue = Tissue(5, SHAPE, SPACING)
    return tissue.image(ALL), tissue.labels(ALL)


@st.composite
def boxes(draw):
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in SHAPE]
    return tuple(slice(*pair) for pair in ends)


# every box is the crop of the whole


@given(box=boxes())
def test_a_box_is_the_crop_of_the_whole_to_the_bit(whole, box):
    tissue = Tissue(5, SHAPE, SPACING)
    image, labels = tissue.image(box), tissue.labels(box)
    assert (image.dtype, labels.dtype) == (np.uint16, np.int64)
    np.testing.assert_array_equal(image, whole[0][box])
    np.testing.assert_array_equal(labels, whole[1][box])


def test_single_voxels_are_those_of_the_whole(whole):
    tissue = Tissue(5, SHAPE, SPACING)
    for place in np.random.default_rng(0).integers(0, SHAPE, (20, 3)):
        box = tuple(slice(n, n + 1) for n in place)
        assert tissue.image(box).item() == whole[0][tuple(place)]
        assert tissue.labels(box).item() == whole[1][tuple(place)]


def test_labels_block_by_block_are_those_of_the_whole():
    tissue = Tissue(7, (128, 128, 128), (0.75,) * 3)
    labels = tissue.labels(ALL)
    for z, y, x in np.ndindex(6, 6, 6):
        box = np.s_[z * 22 : z * 22 + 22, y * 22 : y * 22 + 22, x * 22 : x * 22 + 22]
        np.testing.assert_array_equal(tissue.labels(box), labels[box])


def test_slices_mean_what_they_mean_to_numpy(whole):
    tissue = Tissue(5, SHAPE, SPACING)
    for box in (np.s_[-5:, :10, 3:-30], np.s_[30:99, 0:0, :], np.s_[9:4, :, :]):
        np.testing.assert_array_equal(tissue.image(box), whole[0][box])
        np.testing.assert_array_equal(tissue.labels(box), whole[1][box])


def test_a_copy_sent_to_another_process_makes_the_same(whole):
    tissue = pickle.loads(pickle.dumps(Tissue(5, SHAPE, SPACING)))
    np.testing.assert_array_equal(tissue.image(np.s_[10:20, 10:40, :]), whole[0][10:20, 10:40])


def test_a_larger_window_shows_the_same_tissue(whole):
    larger = Tissue(5, (60, 70, 80), SPACING)
    box = tuple(slice(n) for n in SHAPE)
    np.testing.assert_array_equal(larger.image(box), whole[0])
    # the numbers differ, the nuclei do not
    pairs = np.unique(np.stack([larger.labels(box).ravel(), whole[1].ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def test_another_seed_makes_other_tissue(whole):
    other = Tissue(6, SHAPE, SPACING)
    assert ((other.labels(ALL) > 0) != (whole[1] > 0)).mean() > 0.1
    assert (other.image(ALL) != whole[0]).mean() > 0.5


def test_the_far_end_of_ten_million_voxels_a_side_needs_no_more_than_its_box():
    tissue = Tissue(0, (10**7,) * 3, HALF)
    labels = tissue.labels(np.s_[-50:, -60:, -70:])
    assert labels.shape == (50, 60, 70)
    assert 0 < labels[labels > 0].min() <= labels.max() <= tissue.largest


# the truth


def test_nuclei_are_ellipsoids_of_which_the_nearer_has_the_voxel():
    tissue = Tissue(1, (50, 60, 70), (1.0, 0.8, 0.7))
    found = tissue.labels(ALL)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in tissue.shape), indexing="ij"), -1) * tissue.spacing
    nuclei = list(tissue._nuclei((0, 0, 0), tissue.shape))
    lengths = np.stack([np.linalg.norm((places - n.centre) @ n.to_axes, axis=-1) for n in nuclei])
    clear = (np.abs(lengths - 1) > 1e-5).all(axis=0)
    two = np.sort(lengths, axis=0)
    clear &= (two[1] - two[0] > 1e-5) | (two[0] > 1)
    owner = np.where(lengths.min(axis=0) < 1, lengths.argmin(axis=0) + 1, 0)
    assert clear.mean() > 0.999
    pairs = np.unique(np.stack([found[clear], owner[clear]]), axis=1)
    assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1] > 30


def test_semi_axes_are_those_of_lone_nuclei_and_of_sisters_and_are_turned():
    for nucleus in Tissue(2, (80, 80, 80), (1, 1, 1))._nuclei((0, 0, 0), (80, 80, 80)):
        axes = 1 / np.linalg.svd(nucleus.to_axes, compute_uv=False)
        low, high = (min(LONE[0], SISTERS[0]), max(LONE[1], SISTERS[1]))
        assert low - 1e-9 <= axes.min() <= axes.max() <= high + 1e-9
        reach = np.abs(nucleus.centre - np.array(nucleus.cell) * module.PITCH) + nucleus.half
        assert reach.max() <= module.PITCH / 2 + module.OVERHANG
        turn = nucleus.to_axes / np.linalg.norm(nucleus.to_axes, axis=0)
        np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_every_nucleus_has_its_own_label_and_is_one_piece():
    tissue = Tissue(3, (160, 160, 160), HALF)
    labels = tissue.labels(ALL)
    centres = np.rint(tissue.nuclei / HALF).astype(int)
    at = labels[tuple(centres.T)]
    assert len(centres) > 90
    assert at.min() > 0
    assert len(np.unique(at)) == len(at)
    assert labels.max() <= tissue.largest
    for label, box in enumerate(ndi.find_objects(labels), start=1):
        if box is not None:
            assert ndi.label(labels[box] == label)[1] == 1


def test_some_cells_are_empty_and_some_nuclei_are_pressed_against_each_other():
    tissue = Tissue(4, (128, 128, 128), (0.75,) * 3)
    labels = tissue.labels(ALL)
    cells = (128 * 0.75 / module.PITCH) ** 3
    # 0.7 cells of one, 0.2 of two
    assert len(tissue.nuclei) / cells == pytest.approx(1.1, rel=0.15)
    touching = set()
    for axis in range(3):
        one, other = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        meet = (one != other) & (one > 0) & (other > 0)
        touching |= set(one[meet].tolist()) | set(other[meet].tolist())
    share = len(touching) / (len(np.unique(labels)) - 1)
    assert 0.3 < share < 0.9


def test_nuclei_cross_every_border_of_usual_blocks():
    tissue = Tissue(0, (200, 200, 200), HALF)
    labels = tissue.labels(ALL)
    for axis in range(3):
        for border in (32, 64, 96, 100, 128, 160, 192):
            before, after = labels.take(border - 1, axis), labels.take(border, axis)
            assert len(np.unique(before[(before == after) & (before > 0)])) >= 10


# the picture


def test_tiles_leave_no_seams(monkeypatch):
    # so many photoelectrons a count that there is next to no noise
    clear = Optics(
        psf=MICROSCOPE.psf, halo=0, attenuation=math.inf, gain=1e-5, read_noise=0, dark=0, hot_pixels=0
    )
    monkeypatch.setattr(module, "MICROSCOPE", clear)
    tissue = Tissue(0, (40, 60, 60), (0.8, 0.8, 0.8))
    monkeypatch.setattr(module, "TILE", (8, 12, 16))
    tiled = tissue.image(ALL).astype(int)
    monkeypatch.setattr(module, "TILE", (40, 60, 60))
    at_once = tissue.image(ALL).astype(int)
    assert np.ptp(at_once) > 300
    assert np.abs(tiled - at_once).max() <= 2


def test_dark_is_that_of_the_camera_and_nuclei_are_bright():
    tissue = Tissue(0, (64, 128, 128), HALF)
    image, labels = tissue.image(ALL), tissue.labels(ALL)
    far = ndi.distance_transform_edt(labels == 0) * 0.5 > 5
    assert image[far].mean() == pytest.approx(MICROSCOPE.offset + MICROSCOPE.gain * MICROSCOPE.dark, abs=0.5)
    assert 200 < image[labels > 0].mean() - image[far].mean() < 500


def test_noise_is_that_of_the_camera_and_never_comes_again(monkeypatch):
    monkeypatch.setattr(module, "LIGHT", 0)
    monkeypatch.setattr(module, "TILE", (16, 32, 32))
    image = Tissue(0, (32, 64, 64), HALF).image(ALL).astype(float)
    tiles = [
        image[z : z + 16, y : y + 32, x : x + 32].ravel() for z in (0, 16) for y in (0, 32) for x in (0, 32)
    ]
    alike = np.corrcoef(tiles) - np.eye(8)
    assert np.abs(alike).max() < 0.05
    planes = np.corrcoef(image[:16, :32, :32].reshape(16, -1)) - np.eye(16)
    assert np.abs(planes).max() < 0.2


# what cannot be made


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((-1, (9, 9, 9), HALF), "seed -1 must be 0 or more"),
        ((0, (9, 0, 9), HALF), r"shape \(9, 0, 9\) must be three numbers"),
        ((0, (9, 9), HALF), r"shape \(9, 9\) must be three numbers"),
        ((0, (9, 9, 9), (2.5, 1, 1)), "at most 2.4 um"),
        ((0, (9, 9, 9), (0, 1, 1)), "above 0"),
        ((0, (9, 9, 9), (math.nan, 1, 1)), "above 0"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        Tissue(*arguments)


@pytest.mark.parametrize("box", [np.s_[:, :], np.s_[::2, :, :], np.s_[::-1, :, :]])
def test_a_box_is_three_slices_without_a_step(box):
    tissue = Tissue(0, (9, 9, 9), HALF)
    for part in (tissue.image, tissue.labels):
        with pytest.raises(InputError, match="three slices"):
            part(box)
