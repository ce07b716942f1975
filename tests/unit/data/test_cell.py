import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import threshold_otsu

from zoo.data.cell import box_to_fit, find_cell

UM = (0.25, 0.1, 0.1)  # the margin of 0.2 um is 1 voxel in z (0.8) and 2 in y and x
SHAPE = (24, 44, 50)


def spans(box):
    return [(part.start, part.stop) for part in box]


def block(*parts, inside=200.0, outside=20.0, shape=SHAPE):
    """A volume with bright blocks, given as (start, stop) of z, y and x."""
    image = np.full(shape, outside)
    for part in parts:
        image[tuple(slice(*edges) for edges in part)] = inside
    return image


def movie(image, frames=5, noise=4.0, seed=0):
    """Frames of one image, with noise."""
    return image + noise * np.random.default_rng(seed).normal(size=(frames, *image.shape))


def ellipsoid(centre, radii):
    grid = np.indices(SHAPE).astype(float)
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1


def test_a_block_is_found_with_its_margin():
    # Otsu parts the logarithms half-way, at 20 * sqrt(10) = 63; smoothing leaves 74 just outside of the block
    # at 0.3 of the step, and 25 one further: 1 voxel more, and the margin of 1 or 2
    edges = [(8, 16), (12, 30), (20, 41)]
    assert spans(find_cell(movie(block(edges)), UM)) == [(6, 18), (9, 33), (17, 44)]


@pytest.mark.parametrize(
    "centre, radii", [((12, 22, 25), (6, 12, 14)), ((6, 31, 15), (4.5, 9, 12)), ((3, 9, 40), (6, 12, 14))]
)
def test_an_ellipsoid_is_held_whole_and_closely(centre, radii):
    """Also off the centre, and where it goes on beyond the volume."""
    cell = ellipsoid(centre, radii)
    box = find_cell(movie(np.where(cell, 150.0, 30.0)), UM)
    for part, true, n, margin in zip(box, np.argwhere(cell).T, SHAPE, (1, 2, 2), strict=True):
        start, stop = true.min() - margin, true.max() + 1 + margin
        assert max(0, start - 2) <= part.start <= max(0, start)
        assert min(n, stop) <= part.stop <= min(n, stop + 2)


def test_of_two_cells_the_larger_counts_not_the_brighter():
    large, small = [(4, 20), (4, 24), (4, 26)], [(8, 14), (30, 38), (34, 44)]
    image = np.maximum(block(large, inside=150), block(small, inside=600))
    assert spans(find_cell(movie(image), UM)) == [(2, 22), (1, 27), (1, 29)]


def test_a_bright_patch_does_not_hide_its_cell():
    cell = [(6, 18), (10, 34), (10, 40)]
    dim = block(cell, inside=100)
    bright = np.maximum(dim, block([(10, 13), (20, 24), (20, 24)], inside=3000, outside=0))
    smooth = ndimage.gaussian_filter(bright, 1)
    assert (smooth > threshold_otsu(smooth)).sum() < 500  # so that without the logarithm it would
    assert spans(find_cell(movie(bright), UM)) == spans(find_cell(movie(dim), UM))


def test_all_frames_count():
    """A cell that moves from frame to frame is held in all of them."""
    left, right = ([(8, 16), (12, 30), x] for x in ((8, 28), (20, 40)))
    frames = np.stack([block(left), block(right)])
    assert spans(find_cell(movie(frames, 1)[0], UM)) == [(6, 18), (9, 33), (5, 43)]


def test_the_margin_is_in_micrometres_and_ends_with_the_volume():
    edges = [(8, 16), (12, 30), (20, 41)]
    frames = movie(block(edges))
    assert spans(find_cell(frames, (10, 10, 10))) == [(7, 17), (11, 31), (19, 42)]
    assert spans(find_cell(frames, (0.05, 0.05, 0.02))) == [(3, 21), (7, 35), (9, 50)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_type_is_of_no_matter(dtype):
    edges = [(8, 16), (12, 30), (20, 41)]
    assert spans(find_cell(movie(block(edges)).astype(dtype), UM)) == [(6, 18), (9, 33), (17, 44)]


@pytest.mark.parametrize("offset", [20, 21, 40])
def test_values_of_0_and_less_are_as_dark_as_can_be(offset):
    """The background is subtracted, or a little too much of it; the box is held a voxel or two wider."""
    edges = [(8, 16), (12, 30), (20, 41)]
    frames = movie(block(edges)) - offset
    assert (frames < 0).any()
    for wanted, found in zip(edges, find_cell(frames, (10, 10, 10)), strict=True):
        assert wanted[0] - 3 <= found.start <= wanted[0]
        assert wanted[1] <= found.stop <= wanted[1] + 3
    # clipped at 0, as cameras' software does
    black = np.maximum(movie(block(edges), noise=0) - 20, 0).astype(np.uint16)
    assert (black[0] == 0).mean() > 0.8
    for wanted, found in zip(edges, find_cell(black, (10, 10, 10)), strict=True):
        assert wanted[0] - 3 <= found.start <= wanted[0]
        assert wanted[1] <= found.stop <= wanted[1] + 3


@pytest.mark.parametrize(
    "frames",
    [
        np.full((3, 6, 7, 8), 9, np.uint16),
        np.zeros((3, 6, 7, 8), np.uint16),
        np.full((3, 6, 7, 8), -0.1, np.float32),
        0.1 + 1e-9 * np.random.default_rng(0).random((2, 20, 30, 30)),
        -movie(block([(1, 4), (2, 5), (2, 6)], shape=(6, 7, 8))),
        movie(block([(3, 4), (2, 6), (2, 6)], inside=1e6, shape=(6, 7, 8)))[:, 3:4],
    ],
    ids=["constant", "black", "constant below 0", "rounding", "below 0", "one slice"],
)
def test_where_nothing_stands_out_the_volume_is_left_whole(frames):
    assert spans(find_cell(frames, (10, 10, 10))) == [(0, n) for n in frames.shape[1:]]


def test_other_ways_to_fit_take_the_whole_frame():
    frames = movie(block([(8, 16), (12, 30), (20, 41)]))
    assert box_to_fit(frames, UM, "cell") == find_cell(frames, UM)
    for fit in ("resize", "pad"):
        assert spans(box_to_fit(frames, UM, fit)) == [(0, n) for n in SHAPE]
