"""What is prepared of movies: volumes, their cut to the cell, and their parts."""

import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile
from preparations import SHAPE, UM, files, refused, run, settings, write_movie

from zoo import __version__
from zoo.data import layouts
from zoo.data.cell import find_cell
from zoo.data.io import read_image, read_labels
from zoo.data.movies import fit_image, fit_mask
from zoo.data.preparation import draw_parts, prepare
from zoo.data.prepared import read_settings, read_split
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError

# what is written


def test_frames_are_scaled_by_movie_and_resized(tmp_path, folder):
    run(folder, tmp_path / "data")
    image, truth = write_movie(tmp_path, "again", 1)
    for frame in (2, 3):
        name = f"c1_t{frame:03d}.tif"
        found = read_image(tmp_path / "data" / "images" / name)
        assert (found.frames.dtype, found.frames.shape) == (np.float32, (1, 4, 8, 8))
        expected = fit_image(image[frame] / image.max(), (4, 8, 8), "resize")
        np.testing.assert_allclose(found.frames[0], expected, rtol=1e-5)
        assert found.spacing == pytest.approx((0.5 * 5 / 4, 0.2, 0.1 * 10 / 8))
        label = read_labels(tmp_path / "data" / "labels" / name)
        assert label.frames.dtype == np.uint8
        np.testing.assert_array_equal(label.frames[0], fit_mask(truth[frame], (4, 8, 8), "resize"))
        assert label.spacing == found.spacing
    names = {f"c{i}_t00{t}.tif" for i in range(4) for t in (2, 3)}
    for part in ("images", "labels"):
        assert {path.name for path in (tmp_path / "data" / part).iterdir()} == names
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "images",
        "labels",
        "split.csv",
        "prepared.json",
    }


def test_padded_volumes_keep_their_voxels(tmp_path, folder):
    run(folder, tmp_path / "data", fit="pad", size=(6, 8, 13), frames="all", scaling="percentile")
    image, truth = write_movie(tmp_path, "again", 2)
    low, high = np.percentile(image, (1, 99.8))
    for frame in range(len(image)):
        found = read_image(tmp_path / "data" / "images" / f"c2_t00{frame}.tif")
        inside = found.frames[0, :5, :, 1:11]
        np.testing.assert_allclose(inside, (image[frame] - low) / (high - low), atol=1e-5)
        assert found.spacing == pytest.approx(UM)
        label = read_labels(tmp_path / "data" / "labels" / f"c2_t00{frame}.tif")
        np.testing.assert_array_equal(label.frames[0, :5, :, 1:11], truth[frame])
        assert np.count_nonzero(label.frames) == np.count_nonzero(truth[frame])


def test_the_result_is_a_data_set_of_pairs_in_groups_of_movies(tmp_path, folder):
    run(folder, tmp_path / "data", frames="all")
    found = layouts.find(tmp_path / "data")
    assert found.groups == ("c0", "c1", "c2", "c3")
    assert Counter(sample.group for sample in found.samples) == dict.fromkeys(found.groups, 6)
    assert {sample.name for sample in found.samples} == set(read_split(tmp_path / "data"))
    for sample in found.samples:
        assert sample.load().mask.any() == (not sample.name.endswith("_t000"))


def test_frame_numbers_of_long_movies_sort(tmp_path):
    write_movie(tmp_path / "movies", "long", shape=(1001, 2, 6, 7), mask=np.ones((1001, 2, 6, 7), bool))
    run(tmp_path / "movies", tmp_path / "data", frames="middle:1")
    assert list(read_split(tmp_path / "data")) == ["long_t0500"]


def test_the_seed_decides(tmp_path, folder):
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        run(folder, tmp_path / name, seed=seed, frames="weighted:1")
    assert files(tmp_path / "one") == files(tmp_path / "same")
    assert files(tmp_path / "one").keys() != files(tmp_path / "other").keys()


def test_the_settings_are_kept(tmp_path, folder):
    write_movie(folder, "e", mask=np.zeros(SHAPE, bool))
    write_movie(folder, "n")
    (folder / "n_mask.tif").unlink()
    run(folder, tmp_path / "data", frames="middle:1", seed=7)
    kept = read_settings(tmp_path / "data")
    assert kept["kind"] == "yeast"
    assert kept["version"] == __version__
    plain = ("size", "frames", "fit", "scaling", "split", "seed", "spacing", "too_large", "lost_patches")
    assert [kept[key] for key in plain] == [[4, 8, 8], "middle:1", "resize", "max", "movie", 7, None, [], 0]
    assert kept["outside_cell"] == 0
    assert kept["skipped"] == {"no_mask": ["n"], "empty_mask": ["e"]}
    assert list(kept["movies"]) == ["c0", "c1", "c2", "c3"]
    movie = kept["movies"]["c2"]
    assert (movie["shape"], movie["frames"], movie["spacing_from"]) == ([6, 5, 8, 10], [2], "metadata")
    assert movie["spacing"] == pytest.approx(UM)
    assert movie["box"] == [[0, 5], [0, 8], [0, 10]]


def test_memory_does_not_grow_with_the_number_of_movies(tmp_path):
    shape = (12, 16, 48, 48)
    peaks = []
    for count in (1, 2, 8):  # the first warms up
        folder = tmp_path / f"movies{count}"
        for seed in range(count):
            write_movie(folder, f"m{seed}", seed, shape)
        tracemalloc.start()
        run(folder, tmp_path / f"data{count}", frames="middle:3")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    one = np.prod(shape) * 2  # bytes of a movie as it is read
    assert peaks[1] > 2 * one  # it is measured at all
    assert peaks[2] - peaks[1] < one / 2


def test_of_several_channels_one_is_taken(tmp_path):
    """ImageJ's order of axes: T, Z, C, Y, X."""
    rng = np.random.default_rng(0)
    image = rng.integers(1, 900, (3, 8, 2, 9, 10)).astype(np.uint16)
    mask = np.zeros((3, 8, 9, 10), np.uint8)
    mask[:, 2:5, 3:6, 3:7] = 1
    folder = tmp_path / "movies"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", image, imagej=True, metadata={"axes": "TZCYX"})
    tifffile.imwrite(folder / "a_mask.tif", mask, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(InputError, match="2 channels: give --channel"):
        prepare(folder, tmp_path / "none", settings(size=(8, 9, 10)), overwrite=False, tell=print)
    one = settings(size=(8, 9, 10), frames="all", channel=1)
    prepare(folder, tmp_path / "out", one, overwrite=False, tell=print)
    volumes = [s.load() for s in layouts.find(tmp_path / "out").samples]
    for volume, frame in zip(volumes, image[:, :, 1], strict=True):
        np.testing.assert_allclose(volume.image, frame / image[:, :, 1].max(), rtol=1e-6)


# movies that are cut to their cells


CELL = (slice(3, 9), slice(4, 16), slice(14, 28))  # of 12 x 24 x 34 voxels, not in the middle


def write_cell(folder, name, mask=None):
    """Write a movie of 4 frames with a cell and, in its corner, a patch; return image and mask."""
    image = np.random.default_rng(0).integers(90, 110, (4, 12, 24, 34))
    truth = np.zeros(image.shape, bool)
    truth[:, 4:6, 5:9, 15:20] = True
    image[(slice(None), *CELL)] += 300
    image += 500 * truth
    truth = truth if mask is None else mask
    write_image(folder / f"{name}.tif", image.astype(np.uint16), UM)
    write_labels(folder / f"{name}_mask.tif", truth, UM)
    return image, truth


def test_a_movie_that_is_cut_first_gives_the_same_volumes(tmp_path):
    folder = tmp_path / "movies"
    image, truth = write_cell(folder, "a")
    box = find_cell(image, UM)
    assert all(s.start <= c.start and c.stop <= s.stop for s, c in zip(box, CELL, strict=True))
    assert box != tuple(slice(0, n) for n in image.shape[1:])
    write_image(tmp_path / "cut" / "a.tif", image[(slice(None), *box)].astype(np.uint16), UM)
    write_labels(tmp_path / "cut" / "a_mask.tif", truth[(slice(None), *box)], UM)
    told = run(folder, tmp_path / "data", fit="cell", scaling="percentile", frames="weighted:2")
    assert not any(line.startswith("warning") for line in told)
    run(tmp_path / "cut", tmp_path / "same", fit="resize", scaling="percentile", frames="weighted:2")
    found, same = files(tmp_path / "data"), files(tmp_path / "same")
    kept = read_settings(tmp_path / "data")
    assert kept["movies"]["a"]["box"] == [[part.start, part.stop] for part in box]
    assert kept["movies"]["a"]["shape"] == [4, 12, 24, 34]
    assert found.keys() == same.keys()
    assert {path for path in found if found[path] != same[path]} == {Path("prepared.json")}


def test_what_a_mask_has_outside_of_the_cell_is_counted(tmp_path):
    folder = tmp_path / "movies"
    _, truth = write_cell(folder, "good")
    stray = truth.copy()
    stray[1:3, 10:, 22:, :2] = True  # 2 frames of 2 x 2 x 2 voxels, far off
    write_cell(folder, "a", mask=stray)
    stray[0, 11, 23, 33] = True
    write_cell(folder, "b", mask=stray)
    told = run(folder, tmp_path / "data", fit="cell", frames="middle:1")
    assert told[0] == (
        "warning: 33 mask voxels outside of the box of the cell, cut off in 2 movies: a, b; or --fit resize"
    )
    assert read_settings(tmp_path / "data")["outside_cell"] == 33
    assert len(read_split(tmp_path / "data")) == 3
    assert not any(line.startswith("warning") for line in run(folder, tmp_path / "whole", size=(12, 24, 34)))


def test_masks_that_lie_wholly_outside_of_the_cell_are_told(tmp_path):
    mask = np.zeros((4, 12, 24, 34), bool)
    mask[:, 11, 23, 33] = True
    write_cell(tmp_path / "movies", "a", mask=mask)
    refused(
        tmp_path / "movies", tmp_path / "data", "patch inside the box of its cell", "--fit resize", fit="cell"
    )


# the split


@pytest.mark.parametrize(
    "count, each", [(1, 0), (2, 0), (3, 1), (7, 1), (9, 1), (12, 2), (20, 3), (40, 6), (100, 15)]
)
def test_parts_have_their_shares(count, each):
    names = [f"m{i}" for i in range(count)]
    parts = draw_parts(names, 3)
    assert list(parts) == names
    found = Counter(parts.values())
    assert (found["validation"], found["test"], found["train"]) == (each, each, count - 2 * each)


def test_parts_are_drawn_from_all_names():
    seen = {(name, part) for seed in range(60) for name, part in draw_parts("abcd", seed).items()}
    assert len(seen) == 4 * 3


def test_a_movie_is_in_one_part(tmp_path, folder):
    told = run(folder, tmp_path / "data", frames="all")
    split = read_split(tmp_path / "data")
    parts = {name: {p for v, p in split.items() if v.startswith(name)} for name in ("c0", "c1", "c2", "c3")}
    assert sorted(len(part) for part in parts.values()) == [1, 1, 1, 1]
    assert Counter(split.values()) == {"train": 12, "validation": 6, "test": 6}
    assert told == [
        "24 volumes of 4 movies, 4 without a patch: 12 to train, 6 to validate, 6 to test",
        f"data set in {tmp_path / 'data'}",
    ]


def test_the_split_does_not_hang_on_the_frames(tmp_path, folder):
    found = []
    for frames in ("weighted:1", "all", "middle:3"):
        run(folder, tmp_path / "data", frames=frames, overwrite=True)
        found.append({v.split("_")[0]: part for v, part in read_split(tmp_path / "data").items()})
    assert found[0] == found[1] == found[2]


def test_a_split_by_frame_is_called_a_leak(tmp_path, folder):
    told = run(folder, tmp_path / "data", frames="all", split="frame")
    split = read_split(tmp_path / "data")
    assert Counter(split.values()) == {"train": 16, "validation": 4, "test": 4}
    testing = {volume.split("_")[0] for volume, part in split.items() if part == "test"}
    training = {volume.split("_")[0] for volume, part in split.items() if part == "train"}
    assert testing & training  # that is the leak
    assert [line for line in told if "leaks" in line and line.startswith("warning: ")] == told[:1]


def test_fewer_than_three_movies_all_train(tmp_path):
    for name in ("a", "b"):
        write_movie(tmp_path / "movies", name)
    told = run(tmp_path / "movies", tmp_path / "data")
    assert set(read_split(tmp_path / "data").values()) == {"train"}
    assert told[0] == "fewer than 3 movies: none is kept for the test"
