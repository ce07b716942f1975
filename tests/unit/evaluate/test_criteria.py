"""Measurements against arithmetic by hand, formulas of known bodies and scikit-image."""

import csv
import math

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.special import ellipeinc, ellipkinc
from skimage.measure import regionprops

from zoo.errors import InputError
from zoo.evaluate.criteria import (
    Nucleus,
    measure,
    per_frame,
    plot_over_time,
    surface_area,
    write_criteria,
    write_frames,
)

SPACING = (1.75, 0.8, 0.8)


def ellipsoid(semi_axes, offset=(0.0, 0.0, 0.0)):
    """Voxelise an ellipsoid with its half axes (z, y, x) in um, its middle off a voxel's by parts of one."""
    reach = [math.ceil(axis / size) + 2 for axis, size in zip(semi_axes, SPACING, strict=True)]
    grid = np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij")
    terms = [
        ((index - part) * size / axis) ** 2
        for index, part, size, axis in zip(grid, offset, SPACING, semi_axes, strict=True)
    ]
    return sum(terms) <= 1


def ellipsoid_area(semi_axes):
    """Area of an ellipsoid by Legendre's formula; of a ball where all axes are equal."""
    c, b, a = sorted(semi_axes)
    if a == c:
        return 4 * math.pi * a**2
    phi = math.acos(c / a)
    k2 = a**2 * (b**2 - c**2) / (b**2 * (a**2 - c**2))
    elliptic = ellipeinc(phi, k2) * math.sin(phi) ** 2 + ellipkinc(phi, k2) * math.cos(phi) ** 2
    return 2 * math.pi * (c**2 + a * b / math.sin(phi) * elliptic)


BODIES = [(3.0, 3.0, 3.0), (6.0, 6.0, 6.0), (12.0, 12.0, 12.0), (3.0, 6.0, 4.5), (6.0, 9.0, 12.0)]


@pytest.mark.parametrize("semi_axes", BODIES)
def test_surface_is_within_six_percent_of_the_formula(semi_axes):
    """A plain mesh is 9 to 13 % too large on these."""
    rng = np.random.default_rng(0)
    offsets = rng.uniform(-0.5, 0.5, (6, 3))
    errors = [
        surface_area(ellipsoid(semi_axes, at), SPACING) / ellipsoid_area(semi_axes) - 1 for at in offsets
    ]
    assert max(abs(error) for error in errors) < 0.06
    assert abs(np.mean(errors)) < 0.035


def test_surface_scales_with_the_square_of_the_voxel():
    mask = ellipsoid((4.0, 4.0, 4.0))
    twice = tuple(2 * size for size in SPACING)
    assert surface_area(mask, twice) == pytest.approx(4 * surface_area(mask, SPACING), rel=1e-4)


def test_surface_does_not_depend_on_the_room_around():
    mask = ellipsoid((4.0, 4.0, 4.0))
    tight = mask[mask.any((1, 2))][:, mask.any((0, 2))][:, :, mask.any((0, 1))]
    assert surface_area(tight, SPACING) == pytest.approx(surface_area(np.pad(mask, 5), SPACING), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (1, 6, 6), (1, 1, 20), (3, 3, 3)])
def test_no_object_is_rounder_than_a_ball(shape):
    (nucleus,) = measure(np.pad(np.ones(shape, np.uint8), 1), SPACING)
    assert nucleus.voxels == math.prod(shape)
    assert 0 < nucleus.sphericity <= 1


def test_by_hand():
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1, 1:3, 1:4] = 9  # 6 voxels, middle at (1, 1.5, 2)
    labels[0, 0, 0] = 4  # touches the border
    image = np.zeros((3, 4, 5), np.uint16)
    image[1, 1, 1:4] = 100  # half of the six
    image[0, 0, 0] = 65535
    first, second = measure(labels, (2.0, 1.0, 0.5), image, frame=7)
    assert (first.label, first.voxels, first.touches_border) == (4, 1, True)
    assert (first.z_um, first.y_um, first.x_um) == (0, 0, 0)
    assert first.mean_intensity == 65535
    assert (second.frame, second.label, second.voxels, second.touches_border) == (7, 9, 6, False)
    assert second.volume_um3 == pytest.approx(6.0)  # 6 voxels of 2 x 1 x 0.5 um
    assert (second.z_um, second.y_um, second.x_um) == pytest.approx((2.0, 1.5, 1.0))
    assert second.mean_intensity == pytest.approx(50)
    expected = math.pi ** (1 / 3) * (6 * 6.0) ** (2 / 3) / second.surface_um2
    assert second.sphericity == pytest.approx(expected)
    last = np.zeros((3, 4, 5), np.uint8)
    last[1, 2, 4] = 1
    assert measure(last, SPACING)[0].touches_border


def test_agrees_with_scikit_image_on_many_nuclei():
    rng = np.random.default_rng(1)
    labels = np.zeros((20, 40, 40), np.int32)
    for number, (z, y, x) in enumerate(rng.integers(0, (12, 28, 28), (12, 3)), start=1):
        labels[z : z + 7, y : y + 9, x : x + 11] = 3 * number  # later ones cut earlier ones
    image = rng.normal(500, 50, labels.shape)
    found = measure(labels, SPACING, image)
    expected = regionprops(labels, image, spacing=SPACING)
    assert [nucleus.label for nucleus in found] == [region.label for region in expected]
    for nucleus, region in zip(found, expected, strict=True):
        assert nucleus.volume_um3 == pytest.approx(region.area)
        assert (nucleus.z_um, nucleus.y_um, nucleus.x_um) == pytest.approx(region.centroid)
        assert nucleus.mean_intensity == pytest.approx(region.intensity_mean)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, np.uint64, bool])
def test_any_label_type(dtype):
    labels = np.zeros((4, 4, 4), dtype)
    labels[1:3, 1:3, 1:3] = 1
    (nucleus,) = measure(labels, SPACING)
    assert (nucleus.label, nucleus.voxels) == (1, 8)


def test_a_huge_label_needs_no_huge_memory():
    labels = np.zeros((4, 4, 4), np.uint64)
    labels[1, 1, 1], labels[2, 2, 2] = 5, 2**60
    assert [nucleus.label for nucleus in measure(labels, SPACING)] == [5, 2**60]


def test_no_nuclei_and_no_image():
    assert measure(np.zeros((2, 3, 4), np.uint8), SPACING) == []
    (nucleus,) = measure(np.ones((1, 1, 1), np.uint8), SPACING)
    assert math.isnan(nucleus.mean_intensity)


def test_bad_input_is_refused():
    labels = np.ones((2, 3, 4), np.uint8)
    with pytest.raises(InputError, match=r"image \(shape \(2, 3, 5\)\).*\(2, 3, 4\)"):
        measure(labels, SPACING, np.zeros((2, 3, 5)))
    with pytest.raises(InputError, match="labels are float32"):
        measure(labels.astype(np.float32), SPACING)
    with pytest.raises(InputError, match=r"one \(z, y, x\) volume"):
        measure(labels[0], SPACING)
    for spacing in ((1.75, 0.8, 0.0), (-1.0, 1.0, 1.0), (math.nan, 1.0, 1.0), (math.inf, 1.0, 1.0)):
        with pytest.raises(InputError, match="voxel size"):
            measure(labels, spacing)


def nucleus(frame, volume, intensity=math.nan):
    return Nucleus(frame, 1, 10, volume, 2 * volume, 0.0, 0.0, 0.0, 0.5, intensity, False)


def test_per_frame_counts_frames_without_nuclei():
    first, second, third = per_frame(
        [nucleus(4, 10.0, 3.0), nucleus(0, 6.0, 1.0), nucleus(4, 30.0, 5.0)], [0, 2, 4]
    )
    assert (first.frame, first.count, first.total_volume_um3, first.std_volume_um3) == (0, 1, 6.0, 0.0)
    assert (second.frame, second.count, second.total_volume_um3, second.total_surface_um2) == (2, 0, 0.0, 0.0)
    assert math.isnan(second.mean_volume_um3)
    assert math.isnan(second.std_volume_um3)
    assert (third.count, third.total_volume_um3, third.mean_volume_um3, third.std_volume_um3) == (
        2,
        40.0,
        20.0,
        10.0,
    )
    assert (third.total_surface_um2, third.mean_surface_um2, third.std_surface_um2) == (80.0, 40.0, 20.0)
    assert (third.mean_sphericity, third.mean_intensity) == (0.5, 4.0)


def test_how_sure_the_networks_were():
    labels = np.zeros((2, 3, 4), int)
    labels[0, 0, :2], labels[1, 1:, 3] = 3, 7
    sure = np.zeros(labels.shape)
    sure[0, 0, :2], sure[1, 1:, 3] = (0.5, 0.75), (1, 0.5)
    sure[0, 0, 2] = 0.9  # in no nucleus
    for said in (sure, np.rint(255 * sure).astype(np.uint8)):
        first, second = measure(labels, SPACING, probability=said, centres=said)
        assert (first.mean_probability, second.mean_probability) == pytest.approx((0.625, 0.75), abs=2e-3)
        assert (first.centre_probability, second.centre_probability) == pytest.approx((0.75, 1), abs=2e-3)
    (first, _) = measure(labels, SPACING)
    assert np.isnan([first.mean_probability, first.centre_probability]).all()


def test_criteria_csv(tmp_path):
    path = tmp_path / "out" / "criteria.csv"
    write_criteria(path, [nucleus(0, 1234.5678), nucleus(1, 2.0, 7.25)])
    with path.open(newline="", encoding="utf-8") as file:
        header, first, second = csv.reader(file)
    assert header == [
        *("frame", "label", "voxels", "volume_um3", "surface_um2", "z_um", "y_um", "x_um"),
        *("sphericity", "mean_intensity", "touches_border", "mean_probability", "centre_probability"),
    ]
    assert first == ["0", "1", "10", "1234.57", "2469.14", "0", "0", "0", "0.5", "", "0", "", ""]
    assert second[9] == "7.25"


def test_frames_csv(tmp_path):
    path = tmp_path / "frames.csv"
    write_frames(path, per_frame([nucleus(1, 4.0)], [0, 1]))
    with path.open(newline="", encoding="utf-8") as file:
        empty, full = csv.DictReader(file)
    assert (empty["frame"], empty["count"], empty["total_volume_um3"], empty["mean_volume_um3"]) == (
        "0",
        "0",
        "0",
        "",
    )
    assert (full["count"], full["mean_volume_um3"], full["mean_intensity"]) == ("1", "4", "")


@pytest.mark.parametrize(
    ("nuclei", "panels"),
    [([], 1), ([nucleus(0, 5.0), nucleus(2, 6.0)], 3), ([nucleus(0, 5.0, 1.0), nucleus(2, 6.0, 2.0)], 4)],
)
def test_plot_over_time_has_a_panel_for_all_that_is_known(tmp_path, nuclei, panels):
    path = tmp_path / "criteria.png"
    plot_over_time(path, nuclei, [0, 1, 2])
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.size == (7 * 150, round(2.2 * panels * 150))
        assert len(picture.convert("L").getcolors()) > 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.real
def test_nuclei_of_a_mouse_embryo_are_of_the_size_of_nuclei(real_data):
    labels = tifffile.imread(real_data / "qcanet_example" / "published_output" / "16_cell_stage.tif")
    found = measure(labels, SPACING)
    assert len(found) == 16
    diameters = [(6 * nucleus.volume_um3 / math.pi) ** (1 / 3) for nucleus in found]
    assert 10 < min(diameters) < max(diameters) < 22
    assert all(0.85 < nucleus.sphericity < 1 for nucleus in found)
