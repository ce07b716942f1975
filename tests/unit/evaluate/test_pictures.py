from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.evaluate.pictures import (
    BOTH,
    EXTRA,
    GREY,
    MISSED,
    VIRIDIS,
    add_scale_bar,
    bar_length,
    colour_labels,
    grey_levels,
    label_colours,
    map_levels,
    outline,
    overlay,
    png,
)

# Deuteranopia in linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.0
_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def _as_seen_by_a_deuteranope(colours):
    linear = (np.asarray(colours) / 255) ** 2.2
    return 255 * np.clip(linear @ _DEUTERANOPIA.T, 0, 1) ** (1 / 2.2)


def _distances(colours):
    colours = np.asarray(colours, dtype=float)
    return np.linalg.norm(colours[:, None] - colours[None], axis=-1)


def test_overlay_by_hand():
    truth = np.array([[[0, 1], [0, 7]], [[2, 0], [0, 0]]])
    predicted = np.array([[[0, 0], [5, 7]], [[3, 0], [0, 1]]])
    nothing = (0, 0, 0)
    expected = np.array([[[nothing, MISSED], [EXTRA, BOTH]], [[BOTH, nothing], [nothing, EXTRA]]])
    result = overlay(truth, predicted)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(overlay(truth > 0, predicted > 0), expected)


def test_overlay_lets_the_image_through_dimly():
    levels = np.array([[0, 254]], dtype=np.uint8).repeat(4, axis=0)
    truth, predicted = np.array([[0], [1], [0], [1]]), np.array([[0], [0], [1], [1]])
    result = overlay(truth.repeat(2, axis=1), predicted.repeat(2, axis=1), levels)
    assert tuple(result[0, 0]) == (0, 0, 0)
    assert tuple(result[0, 1]) == (90, 90, 90)
    for row, colour in enumerate((MISSED, EXTRA, BOTH), start=1):
        assert tuple(result[row, 1]) == colour
        np.testing.assert_allclose(result[row, 0], 0.55 * np.array(colour), atol=0.5)


def test_overlay_names_both_shapes():
    with pytest.raises(InputError, match=r"\(2, 2\), \(2, 3\)"):
        overlay(np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"\(1, 4\)"):
        overlay(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((1, 4), dtype=np.uint8))


def test_overlay_colours_stay_apart_for_red_green_blind_readers():
    seen = _as_seen_by_a_deuteranope([MISSED, EXTRA, BOTH])
    assert _distances(seen)[np.triu_indices(3, 1)].min() > 50
    # the check itself tells: pure red and a green of its lightness do not pass it
    assert _distances(_as_seen_by_a_deuteranope([(255, 0, 0), (128, 115, 0)]))[0, 1] < 50


def test_label_colours_do_not_change():
    # colours are part of what a reader compares between reports: written down once, kept
    expected = [[0, 0, 0], [136, 162, 255], [0, 144, 126], [221, 187, 23], [209, 84, 117]]
    np.testing.assert_array_equal(label_colours(np.arange(5)), expected)


def test_label_colours_have_the_lightness_they_are_meant_to_have():
    # back to OkLab with the matrices of Ottosson (2020); only colours that sRGB holds come back as they were
    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    ids = np.arange(1, 200)
    colours = label_colours(ids) / 255
    inside = (colours.min(axis=1) > 0) & (colours.max(axis=1) < 1)
    assert inside.sum() > 50
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    lms = np.cbrt(linear @ to_lms.T)
    lightness = lms @ [0.2104542553, 0.7936177850, -0.0040720468]
    meant = 0.50 + 0.42 * (ids * 0.5698402909980532 % 1)
    np.testing.assert_allclose(lightness[inside], meant[inside], atol=0.004)


def test_label_colours_are_distinct():
    colours = label_colours(np.arange(1, 1001))
    assert len(np.unique(colours, axis=0)) > 950
    assert colours.max(axis=1).min() > 80  # none is near the black of the background
    ids = np.arange(60)
    near = (abs(ids[:, None] - ids) <= 4) & (ids[:, None] != ids)
    assert _distances(label_colours(ids + 1))[near].min() > 30
    assert _distances(_as_seen_by_a_deuteranope(label_colours(ids + 1)))[near].min() > 12


def test_colour_of_a_label_does_not_depend_on_the_others():
    labels = np.array([[0, 3], [70_000, 3]], dtype=np.uint32)
    picture = colour_labels(labels)
    assert picture.shape == (2, 2, 3)
    assert tuple(picture[0, 0]) == (0, 0, 0)
    np.testing.assert_array_equal(picture[0, 1], colour_labels(np.array([[3]]))[0, 0])
    np.testing.assert_array_equal(picture[1, 0], label_colours(np.array([70_000]))[0])


def test_picture_without_labels_is_black():
    assert not colour_labels(np.zeros((3, 4), dtype=np.uint8)).any()


def test_outline_by_hand():
    labels = np.zeros((5, 6), dtype=np.uint8)
    labels[1:4, 1:4] = 2
    labels[1:4, 4:] = 5  # touches the first and the picture's edge, which is no rim
    levels = np.full((5, 6), 201, dtype=np.uint8)
    picture = outline(levels, labels)
    two, five = label_colours(np.array([2, 5]))
    expected = np.tile(GREY[100], (5, 6, 1))
    expected[1:4, 1:4] = two
    expected[2, 2] = GREY[100]
    expected[1:4, 4:] = five
    expected[2, 5] = GREY[100]
    np.testing.assert_array_equal(picture, expected)


def test_grey_levels_follow_the_percentiles():
    volume = np.random.default_rng(2).integers(90, 2000, (6, 20, 20)).astype(np.uint16)
    levels, (black, white) = grey_levels(volume)
    assert (black, white) == tuple(np.percentile(volume, [1, 99.8]))
    expected = np.clip((volume - black) / (white - black), 0, 1) * 254
    np.testing.assert_allclose(levels, expected, atol=0.51)
    assert levels.dtype == np.uint8
    assert (levels.min(), levels.max()) == (0, 254)


def test_grey_levels_do_not_depend_on_the_gain():
    volume = np.random.default_rng(3).gamma(2, 100, (4, 16, 16))
    difference = grey_levels(volume)[0].astype(int) - grey_levels(2.5 * volume)[0]
    assert abs(difference).max() <= 1


def test_grey_levels_of_flat_and_nearly_flat_volumes():
    flat = np.full((2, 30, 30), 7, dtype=np.uint16)
    levels, ends = grey_levels(flat)
    assert not levels.any()
    assert ends == (7, 7)
    flat[1, 2, 3] = 9  # one voxel in 1,800 lies beyond the percentiles
    levels, ends = grey_levels(flat)
    assert ends == (7, 9)
    assert levels[1, 2, 3] == 254
    assert levels.sum() == 254


def test_map_levels_keep_probabilities_comparable():
    levels, ends = map_levels(np.array([[[0.0, 0.5, 0.25]]], dtype=np.float32))
    assert ends == (0, 1)
    assert levels.ravel().tolist() == [0, 127, 64]
    levels, ends = map_levels(np.array([[[0.0, 4.0, 8.0]]]))
    assert ends == (0, 8)
    assert levels.ravel().tolist() == [0, 127, 254]
    assert map_levels(np.array([[[True, False]]]))[0].ravel().tolist() == [254, 0]
    levels, ends = map_levels(np.array([[[0, 51, 255]]], dtype=np.uint8))  # a byte a voxel, 255 for 1
    assert ends == (0, 1)
    assert levels.ravel().tolist() == [0, 51, 254]


def test_scales_run_from_dark_to_light():
    for table in (GREY, VIRIDIS):
        assert table.shape == (255, 3)
        assert (np.diff(table[::4] @ np.array([0.2126, 0.7152, 0.0722])) > 0).all()
    assert GREY[0].tolist() == [0, 0, 0]
    assert GREY[-1].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "width, bar", [(102, 20), (150, 50), (149.9, 20), (60, 20), (30, 10), (3, 1), (2.9, 0.5), (3000, 1000)]
)
def test_bar_is_a_round_length_of_at_most_a_third(width, bar):
    assert bar_length(width) == pytest.approx(bar)


def test_scale_bar_by_hand():
    picture = np.zeros((60, 50, 3), dtype=np.uint8)
    marked = add_scale_bar(picture, height=40, pixels=12)
    expected = np.zeros_like(picture)
    expected[37:38, 2:14] = 255
    np.testing.assert_array_equal(marked, expected)
    assert not picture.any()


def test_scale_bar_fits_a_tiny_picture():
    assert add_scale_bar(np.zeros((1, 1, 3), dtype=np.uint8), height=1, pixels=1).max() == 255


@pytest.mark.parametrize("colours, mode", [(254, "P"), (300, "RGBA")])
def test_png_is_lossless_and_transparent_outside(colours, mode):
    rng = np.random.default_rng(4)
    picture = rng.integers(0, 256, (colours, 3), dtype=np.uint8)[np.arange(40 * 30).reshape(40, 30) % colours]
    picture[0, :2] = 0  # black inside the picture stays black
    inside = np.ones((40, 30), dtype=bool)
    inside[20:, 15:] = False
    read = Image.open(BytesIO(png(picture, inside)))
    assert read.mode == mode
    rgba = np.asarray(read.convert("RGBA"))
    np.testing.assert_array_equal(rgba[inside][:, :3], picture[inside])
    np.testing.assert_array_equal(rgba[..., 3], np.where(inside, 255, 0))


def test_png_without_gaps_is_opaque():
    picture = np.zeros((3, 5, 3), dtype=np.uint8)
    picture[1, 1] = 255
    read = np.asarray(Image.open(BytesIO(png(picture))).convert("RGBA"))
    np.testing.assert_array_equal(read[..., :3], picture)
    assert (read[..., 3] == 255).all()
