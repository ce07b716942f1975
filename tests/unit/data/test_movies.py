from itertools import product

import numpy as np
import pytest
import tifffile

from zoo.data.movies import (
    YEAST_UM,
    MovieFiles,
    choose_frames,
    find_movies,
    fit_image,
    fit_mask,
    levels,
    parse_choice,
    read_movie,
    scale,
    to_levels,
    unfit,
)
from zoo.data.resample import resample
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError

UM = (0.5, 0.2, 0.1)
SHAPE = (5, 6, 7, 8)  # t, z, y, x; no z of 3 or 4, which tifffile writes as RGB


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


# find_movies


def test_movies_are_paired_with_their_masks(tmp_path):
    touch(tmp_path, "c10.tif", "c10_mask.tif", "c2.TIF", "c2_mask.tiff", "o.ome.tif", "o_mask.tif", "p.tiff")
    touch(tmp_path, ".hidden.tif", ".hidden_mask.tif", "notes.txt", "c2.csv", "lonely_mask.csv")
    (tmp_path / "folder.tif").mkdir()
    assert find_movies(tmp_path) == [
        MovieFiles("c2", tmp_path / "c2.TIF", tmp_path / "c2_mask.tiff"),
        MovieFiles("c10", tmp_path / "c10.tif", tmp_path / "c10_mask.tif"),
        MovieFiles("o", tmp_path / "o.ome.tif", tmp_path / "o_mask.tif"),
        MovieFiles("p", tmp_path / "p.tiff", None),
    ]


@pytest.mark.parametrize(
    "names, says",
    [
        ((), "holds no movie"),
        (("a.txt", ".b.tif"), "holds no movie"),
        (("a.tif", "b_mask.tif", "c_mask.tiff"), "2 masks .* no image: b_mask.tif, c_mask.tiff;"),
        (("a_mask.tif",), "1 masks .* no image: a_mask.tif;"),
        (("a_mask.tif", "a_mask_mask.tif", "a.tif"), "1 masks .* no image: a_mask_mask.tif;"),
        (("a.tif", "a.tiff"), "have one name"),
        (("a.tif", "a_mask.tif", "a_mask.ome.tif"), "have one name"),
    ],
)
def test_a_folder_that_is_not_one_of_movies_is_refused(tmp_path, names, says):
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=says):
        find_movies(tmp_path)


def test_a_missing_folder_and_a_file_are_refused(tmp_path):
    touch(tmp_path, "a.tif")
    for path in (tmp_path / "gone", tmp_path / "a.tif"):
        with pytest.raises(InputError, match=f"{path} is not a folder"):
            find_movies(path)


# read_movie


def write(folder, image, mask, um=UM):
    write_image(folder / "a.tif", image, um)
    write_labels(folder / "a_mask.tif", mask, um)
    return MovieFiles("a", folder / "a.tif", folder / "a_mask.tif")


@pytest.fixture
def image(rng):
    return rng.integers(100, 60_000, SHAPE).astype(np.uint16)


def test_a_movie_is_read_with_its_mask(tmp_path, image):
    labels = (image % 3).astype(np.uint8) * 100
    movie = read_movie(write(tmp_path, image, labels))
    np.testing.assert_array_equal(movie.frames, image)
    np.testing.assert_array_equal(movie.mask, image % 3 > 0)
    assert (movie.frames.dtype, movie.mask.dtype) == (np.uint16, bool)
    assert movie.spacing == pytest.approx(UM)
    assert (movie.name, movie.spacing_from, movie.single) == ("a", "metadata", False)
    given = read_movie(write(tmp_path, image, labels), (1, 2, 3))
    assert (given.spacing, given.spacing_from) == ((1, 2, 3), "given")


def test_a_file_without_a_voxel_size_gets_the_default(tmp_path, image):
    files = write(tmp_path, image, image > 500)
    tifffile.imwrite(files.image, image, metadata={"axes": "TZYX"})
    movie = read_movie(files)
    assert (movie.spacing, movie.spacing_from) == (YEAST_UM, "default")


def test_a_3d_file_is_one_frame(tmp_path, image):
    movie = read_movie(write(tmp_path, image[0], image[0] > 500))
    np.testing.assert_array_equal(movie.frames, image[:1])
    assert movie.single
    # a mask with a time axis of one frame goes with it, and a series of one frame is no single
    files = write(tmp_path, image[:1], image[:1] > 500)
    tifffile.imwrite(files.image, image[:1], metadata={"axes": "TZYX"})
    assert not read_movie(files).single


def test_a_mask_of_another_shape_is_refused_with_both_shapes(tmp_path, image):
    files = write(tmp_path, image, image[:3] > 500)
    with pytest.raises(InputError) as caught:
        read_movie(files)
    for words in ("a_mask.tif (shape (3, 6, 7, 8))", "a.tif, (5, 6, 7, 8)"):
        assert words in str(caught.value)


def test_a_mask_that_is_missing_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.tif has no mask: put a_mask\.tif"):
        read_movie(MovieFiles("a", tmp_path / "a.tif", None))


@pytest.mark.parametrize(
    "metadata", [{"axes": "TZYX"}, {"imagej": True}, {"ome": True}, None], ids=["named", "ij", "ome", "plain"]
)
def test_one_slice_is_refused_in_one_line(tmp_path, image, metadata):
    files = write(tmp_path, image, image > 500)
    single = image[:, :1]
    match metadata:
        case {"imagej": True}:
            write_image(files.image, single, UM)
        case {"ome": True}:
            tifffile.imwrite(files.image, single, ome=True, metadata={"axes": "TZYX"})
        case _:
            tifffile.imwrite(files.image, single, metadata=metadata or {})
    with pytest.raises(InputError, match=r"2-D.*5 time points.*3-D stack") as caught:
        read_movie(files)
    assert "\n" not in str(caught.value)


# scale


def test_scaling_keeps_the_ratio_of_frames(rng):
    frames = rng.integers(0, 4000, (3, 4, 10, 10)).astype(np.uint16)
    frames[1] //= 4
    top = scale(frames, "max")
    assert top.dtype == np.float32
    np.testing.assert_allclose(top, frames / frames.max(), rtol=1e-6)
    low, high = np.percentile(frames, (1, 99.8))
    np.testing.assert_allclose(scale(frames, "percentile"), (frames - low) / (high - low), atol=1e-6)
    assert scale(frames, "percentile").max() > 1  # not clipped
    assert scale(frames, "percentile").min() < 0


def test_scaling_by_the_maximum_needs_one_above_zero():
    frames = -np.arange(7.0, 15).reshape(1, 2, 2, 2)
    with pytest.raises(InputError, match=r"largest value is -7: .*'percentile'"):
        scale(frames, "max")


def test_frames_scaled_one_by_one_are_as_those_of_the_movie(rng):
    frames = rng.integers(0, 4000, (3, 4, 10, 10)).astype(np.uint16)
    for how in ("max", "percentile"):
        one_by_one = [to_levels(frame, *levels(frames, how)) for frame in frames]
        np.testing.assert_array_equal(one_by_one, scale(frames, how))


def test_a_constant_movie_becomes_0():
    np.testing.assert_array_equal(scale(np.full((2, 3, 4, 5), 7), "percentile"), np.zeros((2, 3, 4, 5)))


# frames


def test_choices_are_parsed():
    assert parse_choice("middle:20") == ("middle", 20)
    assert parse_choice(" weighted:1") == ("weighted", 1)
    assert parse_choice("all") == ("all", 0)


@pytest.mark.parametrize(
    "text",
    ["", "middle", "middle:", "middle:0", "middle:-1", "middle:1.5", "all:3", "first:3", "middle:3,4"],
)
def test_a_malformed_choice_is_refused(text, rng):
    for refuse in (parse_choice, lambda how: choose_frames(np.ones(5, int), how, rng)):
        with pytest.raises(InputError, match=f"frames {text!r} are not understood.*middle:20"):
            refuse(text)


@pytest.mark.parametrize(
    "total, how, expected",
    [
        (10, "middle:4", (3, 4, 5, 6)),
        (9, "middle:4", (2, 3, 4, 5)),
        (9, "middle:3", (3, 4, 5)),
        (21, "middle:20", tuple(range(20))),
        (3, "middle:20", (0, 1, 2)),
        (3, "weighted:3", (0, 1, 2)),
        (3, "weighted:9", (0, 1, 2)),
        (4, "all", (0, 1, 2, 3)),
        (1, "weighted:1", (0,)),
    ],
)
def test_frames_are_chosen(total, how, expected, rng):
    assert choose_frames(np.arange(total), how, rng) == expected


def test_drawn_frames_follow_the_mask_volume_plus_one(rng):
    voxels = np.array([0, 9, 0, 29])  # weights 1, 10, 1, 30 of 42
    drawn = [choose_frames(voxels, "weighted:1", rng)[0] for _ in range(4200)]
    found = np.bincount(drawn, minlength=4)
    expected = np.array([100, 1000, 100, 3000])
    assert np.all(np.abs(found - expected) < 5 * np.sqrt(expected))


def test_drawn_frames_rise_and_are_not_doubled(rng):
    for _ in range(50):
        drawn = choose_frames(np.array([0, 1000, 1000, 0, 0]), "weighted:4", rng)
        assert len(drawn) == 4
        assert list(drawn) == sorted(set(drawn))
        assert {1, 2} <= set(drawn)


# fit and unfit


def naive_nearest(labels, shape):
    """One voxel at a time: the old box, of those that fill the same space, that the new centre is in."""
    out = np.zeros(shape, labels.dtype)
    for voxel in product(*map(range, shape)):
        centre = [(i + 0.5) / new for i, new in zip(voxel, shape, strict=True)]
        out[voxel] = labels[
            tuple(
                next(box for box in range(old) if c < (box + 1) / old)
                for c, old in zip(centre, labels.shape, strict=True)
            )
        ]
    return out


@pytest.mark.parametrize("shape", [(4, 6, 7), (9, 3, 13), (2, 2, 2), (5, 17, 6)])
def test_a_resized_mask_takes_the_voxel_that_the_centre_lies_in(shape, rng):
    old = rng.random((4, 6, 7)) > 0.5
    mask = fit_mask(old, shape, "resize")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, naive_nearest(old, shape))


def test_resizing_takes_image_and_mask_to_the_same_place():
    mask = np.zeros((8, 12, 16), bool)
    mask[2:6, 4:9, 8:16] = True
    small = fit_image(mask, (4, 6, 8), "resize")
    np.testing.assert_array_equal(small, resample(mask, (4, 6, 8)))
    np.testing.assert_array_equal(small > 0.5, fit_mask(mask, (4, 6, 8), "resize") & (small != 0.5))
    assert np.count_nonzero(small == 0.5) == 2 * 4  # the odd end of y, half in and half out
    back = unfit(small, mask.shape, "resize")
    np.testing.assert_array_equal(back, resample(small, mask.shape))


def test_an_image_that_is_cut_to_its_cell_is_resized(rng):
    image = rng.random((5, 9, 14))
    small = fit_image(image, (4, 6, 8), "cell")
    np.testing.assert_array_equal(small, resample(image, (4, 6, 8)))
    mask = fit_mask(image > 0.5, (4, 6, 8), "cell")
    np.testing.assert_array_equal(mask, naive_nearest(image > 0.5, (4, 6, 8)))
    np.testing.assert_array_equal(unfit(small, image.shape, "cell"), resample(small, image.shape))


def test_padding_is_centred_and_cut_out_again(rng):
    image = rng.normal(5, 1, (3, 4, 6))
    mask = image > 5
    padded = fit_image(image, (6, 4, 9), "pad")
    assert (padded.shape, padded.dtype) == ((6, 4, 9), np.float32)
    np.testing.assert_array_equal(padded[1:4, :, 1:7], image.astype(np.float32))
    outside = np.ones(padded.shape, bool)
    outside[1:4, :, 1:7] = False
    np.testing.assert_array_equal(padded[outside], np.float32(image.min()))
    fitted = fit_mask(mask, (6, 4, 9), "pad")
    assert fitted.dtype == bool
    np.testing.assert_array_equal(fitted[1:4, :, 1:7], mask)
    assert not fitted[outside].any()
    back = unfit(padded, image.shape, "pad")
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, image.astype(np.float32))


def test_padding_to_a_smaller_size_is_refused():
    volume = np.zeros((3, 4, 6))
    for fit in (fit_image, fit_mask):
        with pytest.raises(InputError, match="3 x 4 x 6 voxels is larger than 9 x 3 x 9"):
            fit(volume, (9, 3, 9), "pad")
    with pytest.raises(InputError, match="9 x 3 x 9 voxels is larger than 3 x 4 x 6"):
        unfit(volume, (9, 3, 9), "pad")
