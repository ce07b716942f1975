import math

import numpy as np
import pytest
import tifffile
from scipy import ndimage as ndi

from zoo.data.nuclei import STRETCH, Nucleus, draw_nuclei, fit_stage, natural_packing, paint, settle
from zoo.data.optics import Optics, expose, spread
from zoo.data.phantom import embryo, embryo_series
from zoo.errors import InputError

SMALL = {"shape": (32, 64, 64), "nuclei": 6}
# So many photoelectrons a count that there is next to no noise
CLEAR = Optics(halo=0, attenuation=math.inf, gain=1e-3, read_noise=0, dark=0, hot_pixels=0)


def fields(phantom):
    return (phantom.image, phantom.labels, phantom.mask, phantom.markers)


# the truth


@pytest.mark.parametrize("nuclei", [1, 2, 5, 16, 33])
def test_counts_are_exact_and_each_nucleus_is_one_piece_with_one_marker(nuclei):
    phantom = embryo(nuclei, nuclei=nuclei, shape=(40, 96, 96), mitotic=0.4)
    image, labels, mask, markers = fields(phantom)
    assert {image.shape, labels.shape, mask.shape, markers.shape} == {(40, 96, 96)}
    assert (image.dtype, labels.dtype, mask.dtype, markers.dtype) == (np.uint16, np.uint16, bool, bool)
    np.testing.assert_array_equal(np.unique(labels), np.arange(nuclei + 1))
    np.testing.assert_array_equal(mask, labels > 0)
    assert all(ndi.label(labels == number)[1] == 1 for number in range(1, nuclei + 1))
    blobs, count = ndi.label(markers)
    assert count == nuclei
    owners = [np.unique(labels[blobs == blob]) for blob in range(1, count + 1)]
    assert sorted(owner.item() for owner in owners) == list(range(1, nuclei + 1))


def test_markers_are_the_balls_of_33_voxels_at_the_centroids():
    phantom = embryo(2, nuclei=4, mitotic=0)
    for number in range(1, 5):
        own = np.argwhere(phantom.markers & (phantom.labels == number))
        assert len(own) == 33
        assert np.ptp(own, axis=0).tolist() == [4, 4, 4]
        nucleus = np.argwhere(phantom.labels == number)
        assert np.abs(own.mean(axis=0) - nucleus.mean(axis=0)).max() <= 0.5


def test_nuclei_have_the_volumes_of_bbbc050():
    for nuclei, volume in [(2, 6760), (8, 3570), (16, 2730)]:
        labels = embryo(0, nuclei=nuclei, mitotic=0).labels
        um3 = np.bincount(labels.ravel())[1:] * 1.75 * 0.8 * 0.8
        assert np.median(um3) == pytest.approx(volume, rel=0.25)


def test_a_lone_nucleus_is_the_ellipsoid_of_its_formula():
    stage = fit_stage(1, (60, 80, 80), (1, 1, 1), 0.1)
    nucleus = settle(draw_nuclei(np.random.default_rng(3), 1, 0), stage, 0)[0]
    labels, away = paint([nucleus], stage)
    axes = stage.radius * nucleus.size * nucleus.ratios
    assert labels.sum() == pytest.approx(4 / 3 * math.pi * axes.prod() * STRETCH.prod(), rel=0.02)
    squared = nucleus.turn @ np.diag(axes**2) @ nucleus.turn.T * np.outer(STRETCH, STRETCH)
    voxels = np.argwhere(labels) - stage.middle - nucleus.centre * stage.semi_axes
    # The second moments of a solid ellipsoid are a fifth of its squared semi-axes
    np.testing.assert_allclose(np.cov(voxels.T) * 5, squared, atol=0.03 * squared.max())
    expected = np.einsum("ni,ij,nj->n", voxels, np.linalg.inv(squared), voxels)
    np.testing.assert_allclose(away[labels > 0], expected, rtol=1e-4, atol=1e-5)
    assert away[labels > 0].max() < 1
    assert set(away[labels == 0]) == {1}


def test_where_two_overlap_the_nearer_has_the_voxel():
    stage = fit_stage(2, (40, 60, 60), (1, 1, 1), 0.3)
    pair = settle(draw_nuclei(np.random.default_rng(0), 2, 0), stage, gap=-6)
    alone = [paint([nucleus], stage) for nucleus in pair]
    both, _ = paint(pair, stage)
    (first, near), (second, far) = alone
    assert (first & second).any()
    np.testing.assert_array_equal(both > 0, (first | second) > 0)
    np.testing.assert_array_equal(both[both > 0], np.where(near <= far, 1, 2)[both > 0])


def test_a_nucleus_cut_by_a_plate_keeps_its_larger_piece():
    stage = fit_stage(2, (40, 60, 60), (1, 1, 1), 0.3)
    apart = 0.6 * stage.radius / stage.semi_axes[2]
    whole = Nucleus(np.zeros(3), 1, np.ones(3), np.eye(3), 1)
    # A plate across x that cuts a cap off the first
    plate = Nucleus(np.array([0, 0, apart]), 1, np.array([1.3, 1.3, 0.2]), np.eye(3), 1)
    alone = [paint([nucleus], stage)[1] for nucleus in (whole, plate)]
    won = (alone[0] < 1) & (alone[0] <= alone[1])
    assert ndi.label(won)[1] == 2
    labels, away = paint([whole, plate], stage)
    assert [ndi.label(labels == number)[1] for number in (1, 2)] == [1, 1]
    assert labels[20, 30, 30] == 1
    assert won.sum() / 2 < (labels == 1).sum() < won.sum()
    assert set(away[labels == 0]) == {1}


def test_nuclei_that_cover_one_another_are_refused():
    stage = fit_stage(12, (40, 60, 60), (1, 1, 1), 0.3)
    with pytest.raises(InputError, match="does not hold 12 nuclei apart"):
        paint([Nucleus(np.zeros(3), 1, np.ones(3), np.eye(3), 1)] * 12, stage)


def test_forty_touching_nuclei_are_few_components():
    phantom = embryo(0, nuclei=40, packing=0.5)
    assert phantom.labels.max() == 40
    assert ndi.label(phantom.mask)[1] <= 8


@pytest.mark.parametrize("seed", range(3))
def test_a_gap_keeps_nuclei_apart(seed):
    phantom = embryo(seed, nuclei=8, gap=5, mitotic=0)
    assert ndi.label(phantom.mask)[1] == 8
    apart = [
        ndi.distance_transform_edt(phantom.labels != number, sampling=(1.75 / 1.75, 0.8, 0.8))[
            phantom.mask & (phantom.labels != number)
        ].min()
        for number in range(1, 9)
    ]
    assert min(apart) > 1


def test_an_embryo_shrinks_into_a_small_volume():
    large, small = (embryo(4, nuclei=8, shape=shape, mitotic=0) for shape in ((51, 128, 128), (24, 56, 56)))
    assert small.labels.max() == 8
    assert small.mask.sum() < 0.3 * large.mask.sum()


def test_mitotic_nuclei_are_small_and_bright():
    phantom = embryo(1, nuclei=12, mitotic=1, optics=CLEAR)
    calm = embryo(1, nuclei=12, mitotic=0, optics=CLEAR)
    assert phantom.labels.max() == 12
    assert phantom.mask.sum() < 0.5 * calm.mask.sum()
    assert phantom.image[phantom.mask].mean() > 1.2 * calm.image[calm.mask].mean()


def test_anaphase_comes_in_parallel_pairs():
    cast = draw_nuclei(np.random.default_rng(2), 20, 1)
    plates = [nucleus for nucleus in cast if nucleus.phase == "anaphase"]
    assert len(cast) == 20
    assert len(plates) >= 2
    assert len(plates) % 2 == 0
    for one, other in zip(plates[::2], plates[1::2], strict=True):
        way = other.centre - one.centre
        np.testing.assert_allclose(np.abs(way @ one.turn), [np.linalg.norm(way), 0, 0], atol=1e-9)


def test_settled_nuclei_keep_the_gap_and_stay_in_the_embryo():
    stage = fit_stage(16, (51, 128, 128), (1.75, 0.8, 0.8), natural_packing(16))
    cast = settle(draw_nuclei(np.random.default_rng(0), 16, 0), stage, gap=0.5)
    round_ = np.array([nucleus.centre for nucleus in cast]) * stage.semi_axes / STRETCH
    claims = stage.radius * np.array([nucleus.size for nucleus in cast])
    room = np.linalg.norm(round_[:, None] - round_, axis=2) - claims[:, None] - claims
    assert room[~np.eye(16, dtype=bool)].min() > 0.5 - 0.05
    assert max(np.linalg.norm(nucleus.centre) for nucleus in cast) < 1


# the image


def test_equal_arguments_give_equal_phantoms_and_other_seeds_others():
    first, again, other = (embryo(seed, **SMALL) for seed in (5, 5, 6))
    for one, two, three in zip(fields(first), fields(again), fields(other), strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).any()
    assert first.spacing == (1.75, 0.8, 0.8)


def test_debris_is_seen_and_is_in_no_label():
    without, with_ = (embryo(7, debris=debris, optics=CLEAR, **SMALL) for debris in (0, 3))
    np.testing.assert_array_equal(without.labels, with_.labels)
    added = with_.image.astype(int) - without.image
    spots, count = ndi.label((added > 0.1 * added.max()) & ~with_.mask)
    assert count == 3
    assert np.bincount(spots.ravel())[1:].min() > 10
    assert added.max() < 0.5 * without.image.max()


def test_debris_leaves_the_light_of_nuclei_alone():
    sharp = Optics(psf=(0, 0, 0), halo=0, attenuation=math.inf, gain=1e-3, read_noise=0, dark=0, hot_pixels=0)
    options = {"nuclei": 20, "shape": (32, 64, 64), "packing": 0.5, "optics": sharp}
    without, with_ = (embryo(1, debris=debris, **options) for debris in (0, 60))
    added = with_.image.astype(int) - without.image
    assert np.abs(added[with_.mask]).max() < 20
    assert (added[~with_.mask] > 50).any()


def test_nuclei_are_brighter_than_what_is_around_them():
    phantom = embryo(0)
    near = ndi.binary_dilation(phantom.mask, iterations=6) & ~ndi.binary_dilation(phantom.mask, iterations=2)
    assert phantom.image[phantom.mask].mean() - 99 > 5 * (phantom.image[near].mean() - 99)


def test_attenuation_dims_deep_slices():
    deep, clear = (
        embryo(3, nuclei=8, debris=0, optics=Optics(attenuation=length)) for length in (30, math.inf)
    )
    np.testing.assert_array_equal(deep.labels, clear.labels)
    ratio = [
        (deep.image[part][deep.mask[part]].mean() - 107) / (clear.image[part][clear.mask[part]].mean() - 107)
        for part in (slice(0, 17), slice(17, 34), slice(34, 51))
    ]
    assert ratio[0] > ratio[1] > ratio[2]
    # the middle of the three parts lies 8, 25 and 42 slices of 1.75 um deep
    np.testing.assert_allclose(ratio, np.exp(-np.array([8, 25, 42]) * 1.75 / 30), atol=0.12)


def test_spread_keeps_the_light_widens_it_and_dims_it_by_depth():
    light = np.zeros((41, 41, 41))
    light[20, 20, 20] = 1000
    optics = Optics(psf=(3, 1, 2), halo=0, attenuation=50)
    seen = spread(light, (2, 1, 1), optics)
    assert seen.dtype == np.float32
    # the slices around the source are dimmed a little less and a little more, by the Gaussian's mean of exp
    assert seen.sum() == pytest.approx(1000 * math.exp(-40 / 50 + (3 / 50) ** 2 / 2), rel=1e-3)
    for axis, (width, step) in enumerate([(3, 2), (1, 1), (2, 1)]):
        profile = seen.sum(axis=tuple({0, 1, 2} - {axis}))
        profile = profile * np.exp(np.arange(41) * 2 / 50) if axis == 0 else profile
        um = (np.arange(41) - 20) * step
        assert np.average(um**2, weights=profile) ** 0.5 == pytest.approx(width, rel=0.03)


def test_a_halo_takes_its_share_out_of_focus():
    light = np.zeros((61, 61, 61))
    light[30, 30, 30] = 1
    optics = Optics(psf=(1, 1, 1), halo=0.4, halo_psf=(5, 5, 5), attenuation=math.inf)
    seen = spread(light, (1, 1, 1), optics)
    assert seen.sum() == pytest.approx(1, rel=1e-3)
    peak = (2 * math.pi) ** -1.5
    assert seen[30, 30, 30] == pytest.approx(0.6 * peak + 0.4 * peak / 125, rel=0.02)


def test_the_camera_has_the_mean_and_variance_of_its_formula():
    optics = Optics(gain=14, offset=100, dark=0.5, read_noise=3, hot_pixels=0)
    for light in (0, 70, 700):
        counts = expose(np.full((50, 60, 60), float(light)), optics, np.random.default_rng(0))
        electrons = light / 14 + 0.5
        assert counts.mean() == pytest.approx(100 + 14 * electrons, rel=0.005)
        assert counts.var() == pytest.approx(2 * 14**2 * electrons + 9 + 1 / 12, rel=0.05)


def test_hot_pixels_are_few_and_bright_and_nothing_wraps():
    dark = np.zeros((20, 50, 50))
    optics = Optics(dark=0, offset=100, read_noise=1, hot_pixels=1e-3)
    hot = (expose(dark, optics, np.random.default_rng(0)) > 250).sum()
    assert 25 <= hot <= 80
    assert expose(np.full((2, 3, 4), 1e7), optics, np.random.default_rng(0)).min() == 65535


@pytest.mark.parametrize(
    "wrong", [{"psf": (1, -1, 1)}, {"halo": 1.5}, {"attenuation": 0}, {"dark": -1}, {"hot_pixels": 2}]
)
def test_a_microscope_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Optics(**wrong)


# the series


def test_a_series_grows_from_first_to_last():
    series = embryo_series(1, frames=5, first=2, last=12, shape=(32, 64, 64))
    counts = [int(phantom.labels.max()) for phantom in series]
    assert counts == [2, 3, 5, 8, 12]
    assert [ndi.label(phantom.markers)[1] for phantom in series] == counts
    again = embryo_series(1, frames=5, first=2, last=12, shape=(32, 64, 64))
    assert all((one.image == two.image).all() for one, two in zip(series, again, strict=True))


def test_a_series_bleaches():
    bright, faded = (
        embryo_series(2, frames=3, first=4, last=4, bleaching=rate, shape=(32, 64, 64)) for rate in (0, 0.7)
    )
    ratio = [
        (after.image[after.mask].mean() - 107.6) / (before.image[before.mask].mean() - 107.6)
        for before, after in zip(bright, faded, strict=True)
    ]
    np.testing.assert_allclose(ratio, np.exp([0, -0.7, -1.4]), atol=0.03)


def test_nuclei_that_do_not_divide_stay_near_their_place():
    one, two = embryo_series(3, frames=2, first=6, last=6)
    number = range(1, 7)
    before, after = (np.array(ndi.center_of_mass(p.mask, p.labels, number)) for p in (one, two))
    moved = np.linalg.norm((after - before) * one.spacing, axis=1)
    assert 0 < moved.max() < 10


# what is refused


@pytest.mark.parametrize(
    "options, message",
    [
        ({"nuclei": 0}, "nuclei 0"),
        ({"shape": (51, 128)}, "shape"),
        ({"spacing": (1, 0, 1)}, "spacing"),
        ({"packing": 0.9}, "packing 0.9"),
        ({"mitotic": -0.1}, "mitotic -0.1"),
        ({"debris": -1}, "debris -1"),
        ({"gap": math.nan}, "gap nan"),
        ({"nuclei": 500, "shape": (8, 16, 16)}, "fewer nuclei"),
    ],
)
def test_an_impossible_embryo_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        embryo(**options)


@pytest.mark.parametrize(
    "options",
    [{"frames": 0}, {"first": 5, "last": 4}, {"frames": 2, "first": 4, "last": 9}, {"bleaching": -1}],
)
def test_an_impossible_series_is_refused(options):
    with pytest.raises(InputError):
        embryo_series(**options)


@pytest.mark.real
@pytest.mark.parametrize("name, nuclei", [("Emb11_t301", 8), ("Emb01_t351", 16), ("Emb11_t401", 26)])
def test_a_phantom_has_the_brightness_of_a_real_embryo(real_data, name, nuclei):
    folder = real_data / "bbbc050" / "train"
    image, labels = (
        tifffile.imread(folder / kind / f"{name}.tif") for kind in ("Images", "GroundTruth_QCANet")
    )
    phantom = embryo(0, nuclei=nuclei)
    for q in (5, 50, 99):
        assert np.percentile(phantom.image[~phantom.mask], q) == pytest.approx(
            np.percentile(image[labels == 0], q), rel=0.1
        )
    real, made = np.median(image[labels > 0]) - 99, np.median(phantom.image[phantom.mask]) - 99
    assert made == pytest.approx(real, rel=0.3)
