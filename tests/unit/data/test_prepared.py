import json
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zoo import __version__
from zoo.data import layouts, preparation
from zoo.data.cell import find_cell
from zoo.data.io import read_image, read_labels
from zoo.data.movies import fit_image, fit_mask
from zoo.data.preparation import Settings, draw_parts, prepare
from zoo.data.prepared import read_settings, read_split
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError

UM = (0.5, 0.2, 0.1)
SHAPE = (6, 5, 8, 10)  # t, z, y, x


def settings(**changed):
    chosen = {"size": (4, 8, 8), "frames": "middle:2", "fit": "resize", "scaling": "max", "split": "movie"}
    return Settings(**(chosen | {"seed": 0, "spacing": None} | changed))


def write_movie(folder, name, seed=0, shape=SHAPE, um=UM, mask=None):
    """Write a movie of noise with a bright block, its mask, which is absent in the first frame."""
    truth = np.zeros(shape, bool)
    truth[1:, 1:4, 2:6, 3:7] = True
    image = np.random.default_rng(seed).integers(0, 100, shape) + 400 * truth
    write_image(folder / f"{name}.tif", image.astype(np.uint16), um)
    write_labels(folder / f"{name}_mask.tif", truth if mask is None else mask, um)
    return image, truth


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "movies"
    for seed in range(4):
        write_movie(made, f"c{seed}", seed)
    return made


def run(folder, out, *, overwrite=False, **changed):
    """Prepare, and return what was told."""
    told = []
    prepare(folder, out, settings(**changed), overwrite=overwrite, tell=told.append)
    return told


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder, out, *words, overwrite=False, **changed):
    """See that it is refused in one line, and leaves all as it was."""
    before = files(folder.parent)
    there = sorted(folder.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        run(folder, out, overwrite=overwrite, **changed)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert files(folder.parent) == before
    assert sorted(folder.parent.rglob("*")) == there
    return message


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


# what is left out or said


def test_movies_without_annotation_are_skipped_and_named(tmp_path, folder):
    write_movie(folder, "empty", mask=np.zeros(SHAPE, bool))
    write_movie(folder, "bare")
    (folder / "bare_mask.tif").unlink()
    told = run(folder, tmp_path / "data")
    assert told[:2] == [
        "left out: 1 movie without a mask file: bare",
        "left out: 1 movie with a mask that is empty in all frames: empty",
    ]
    assert "8 volumes of 4 movies" in told[2]


def test_movies_larger_than_the_pad_size_are_named(tmp_path, folder):
    write_movie(folder, "wide", shape=(6, 5, 8, 11))
    told = run(folder, tmp_path / "data", fit="pad", size=(5, 8, 10))
    assert told[0].startswith("left out: 1 movie larger than 5 x 8 x 10 voxels (")
    assert told[0].endswith(": wide")
    assert read_settings(tmp_path / "data")["too_large"] == ["wide"]
    assert not any("wide" in volume for volume in read_split(tmp_path / "data"))


def test_a_patch_that_vanishes_is_counted(tmp_path):
    # 10 columns become 2, whose centres lie in the columns 2 and 7: a patch in column 4 is lost
    mask = np.zeros(SHAPE, bool)
    mask[1:4, 2, 3, 4] = mask[4, 2, 3, 7] = mask[4, 2, 3, 4] = True
    folder = tmp_path / "movies"
    write_movie(folder, "tiny", mask=mask)
    told = run(folder, tmp_path / "data", frames="all", size=(5, 8, 2))
    assert told[0] == "warning: the patch of 3 frames vanishes at 5 x 8 x 2: give a larger --size"
    assert read_settings(tmp_path / "data")["lost_patches"] == 3
    told = run(folder, tmp_path / "wider", frames="all", size=(5, 8, 10))
    assert not any(line.startswith("warning") for line in told)


def test_single_frames_and_default_voxel_sizes_are_said(tmp_path, folder):
    image, truth = write_movie(folder, "s")
    tifffile.imwrite(folder / "s.tif", image[3].astype(np.uint16))
    write_labels(folder / "s_mask.tif", truth[3], UM)
    told = run(folder, tmp_path / "data")
    assert told[:2] == [
        "3-D files, taken as movies of one frame: s",
        "no voxel size in 1 movie: taking 0.25 x 0.13 x 0.13 um, or give --spacing Z Y X",
    ]
    assert [volume for volume in read_split(tmp_path / "data") if volume.startswith("s")] == ["s_t000"]
    told = run(folder, tmp_path / "given", spacing=(1.0, 2.0, 3.0))
    assert not any("voxel size" in line for line in told)
    found = read_image(tmp_path / "given" / "images" / "c0_t002.tif")
    assert found.spacing == pytest.approx((1.25, 2, 3.75))


def test_many_names_are_cut_short_but_kept_in_the_settings(tmp_path, folder):
    for number in range(25):
        (folder / f"bare{number:02d}.tif").touch()
    told = run(folder, tmp_path / "data")
    assert told[0].endswith("bare18, bare19 and 5 more")
    assert len(read_settings(tmp_path / "data")["skipped"]["no_mask"]) == 25


# what is refused


def test_no_usable_movie_is_refused_with_the_reasons(tmp_path):
    folder = tmp_path / "movies"
    write_movie(folder, "e", mask=np.zeros(SHAPE, bool))
    write_movie(folder, "big")
    write_movie(folder, "n")
    (folder / "n_mask.tif").unlink()
    refused(
        folder,
        tmp_path / "data",
        "none of the movies",
        "without a mask file: n",
        "empty in all frames: e",
        "larger than 4 x 4 x 4 voxels (give a larger --size, or --fit cell): big",
        fit="pad",
        size=(4, 4, 4),
    )


def test_the_faults_of_all_movies_are_told_together(tmp_path, folder):
    write_movie(folder, "c1", mask=np.ones((6, 5, 8, 9), bool))
    (folder / "c2.tif").write_text("this is a letter")
    image, _ = write_movie(folder, "c3")
    write_image(folder / "c3.tif", (-image - 1).astype(np.float32), UM)
    refused(
        folder,
        tmp_path / "new" / "data",
        "3 movies cannot be used",
        "c1_mask.tif (shape (6, 5, 8, 9)) must have the shape of",
        "c2.tif",
        "c3.tif: the largest value is -1:",
    )


def test_bad_settings_are_refused_before_any_work(tmp_path, folder):
    refused(folder, tmp_path / "data", "'middle'", "middle:20", frames="middle")
    refused(folder, tmp_path / "data", "size 1 x 8 x 8", "2 voxels", size=(1, 8, 8))


def test_only_a_prepared_data_set_is_replaced(tmp_path, folder):
    out = tmp_path / "data"
    run(folder, out)
    refused(folder, out, "exists", "--overwrite")
    (out / "run").mkdir()
    refused(folder, out, "holds run too", "not removed", overwrite=True)
    (out / "run").rmdir()
    run(folder, out, frames="middle:1", overwrite=True)
    assert len(read_split(out)) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "movies"]  # nothing hidden either

    (out / "prepared.json").unlink()
    refused(folder, out, "no prepared data set", "prepared.json", "not removed", overwrite=True)
    (tmp_path / "file").touch()
    refused(folder, tmp_path / "file", "no prepared data set", overwrite=True)
    (tmp_path / "empty").mkdir()
    refused(folder, tmp_path / "empty", "exists")
    run(folder, tmp_path / "empty", overwrite=True)


def test_a_link_is_not_replaced(tmp_path, folder):
    run(folder, tmp_path / "data")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "dangling").symlink_to("gone")
    refused(folder, tmp_path / "link", "no prepared data set", overwrite=True)
    refused(folder, tmp_path / "dangling", "no prepared data set", overwrite=True)
    refused(folder, tmp_path / "dangling", "exists")


def test_the_movies_are_never_replaced(tmp_path, folder):
    (folder.parent / "prepared.json").write_text("{}")
    for out in (folder, tmp_path):
        refused(folder, out, "holds the movies", overwrite=True)
    run(folder, folder / "data")  # below them is well


class Stop(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("step", ["frame", "split", "rename"])
def test_an_interruption_leaves_all_as_it_was(tmp_path, folder, monkeypatch, there, step):
    out = tmp_path / "data"
    if there:
        run(folder, out)
    before, real, calls = files(tmp_path), preparation.os.replace, []

    def stop(*_):
        calls.append(1)
        raise Stop

    def rename(source, target):
        # the last of the renames: the new folder to its place
        if target == out and len(list(source.iterdir())) == 4 and not calls:
            stop()
        real(source, target)

    match step:
        case "frame":
            count = iter(range(9))
            real_write = preparation.write_labels
            monkeypatch.setattr(
                preparation, "write_labels", lambda *args: real_write(*args) if next(count) < 3 else stop()
            )
        case "split":
            monkeypatch.setattr(preparation, "_write_split", stop)
        case "rename":
            monkeypatch.setattr(preparation.os, "replace", rename)
    with pytest.raises(Stop):
        run(folder, out, overwrite=there, frames="middle:1")
    assert calls
    assert files(tmp_path) == before
    assert {p.name for p in tmp_path.iterdir()} == ({"movies", "data"} if there else {"movies"})


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


# reading it again


def test_other_folders_have_no_settings_and_no_split(tmp_path):
    assert read_settings(tmp_path) is None
    assert read_split(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"size": [4, 4], "fit": "pad", "scaling": "max"}',
        '{"size": [4, 4, "4"], "fit": "pad", "scaling": "max"}',
        '{"size": 4, "fit": "pad", "scaling": "max"}',
        '{"size": [4, 4, 4], "fit": "crop", "scaling": "max"}',
        '{"size": [4, 4, 4], "fit": "pad", "scaling": "min"}',
        b"\xff\xfe",
    ],
)
def test_damaged_settings_are_refused(tmp_path, text):
    path = tmp_path / "prepared.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=rf"{path} is damaged: .*zoo prepare"):
        read_settings(tmp_path)
    path.write_text(json.dumps({"size": [4, 4, 4], "fit": "pad", "scaling": "max"}))
    assert read_settings(tmp_path)["fit"] == "pad"


def test_a_split_may_be_written_by_hand(tmp_path):
    text = '\ufeffvolume,part\r\na_t001,train\r\n\r\n"b,c_t001",test\r\nd,validation\r\n'
    (tmp_path / "split.csv").write_text(text, encoding="utf-8", newline="")
    assert read_split(tmp_path) == {"a_t001": "train", "b,c_t001": "test", "d": "validation"}


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "line 1, must be volume,part"),
        ("name,part\na,train\n", "line 1, must be volume,part"),
        (
            "volume,part\na,train\nb,testing\n",
            "line 3, has the part 'testing': allowed are train,",
        ),
        ("volume,part\na,train\nb,test\na,test\n", "line 4, has the volume a again"),
        ("volume,part\na\n", "line 2, must be volume,part: it has 1 columns"),
        ("volume,part\na,train,1\n", "line 2, must be volume,part: it has 3 columns"),
        ("volume,part\n,train\n", "line 2, must be volume,part"),
        (b"volume,part\n\xff,train\n", "no CSV file in UTF-8"),
    ],
)
def test_a_damaged_split_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "split.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_split(tmp_path)
    assert f"{tmp_path / 'split.csv'}" in str(caught.value)
    assert says in str(caught.value)


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


def test_frames_that_were_chosen_and_hold_no_patch_are_counted(tmp_path, folder):
    """The first frame of each movie has none."""
    told = []
    prepare(folder, tmp_path / "all", settings(frames="all"), overwrite=False, tell=told.append)
    assert told[-2].startswith("24 volumes of 4 movies, 4 without a patch: ")
    late = np.zeros(SHAPE, bool)
    late[-1, 1:4, 2:6, 3:7] = True
    for name in [path.stem for path in folder.glob("*.tif") if not path.stem.endswith("_mask")]:
        write_labels(folder / f"{name}_mask.tif", late, UM)
    refused(folder, tmp_path / "none", "none of the frames that --frames middle:2 chose has a patch")


def test_settings_nested_too_deep_are_damaged(tmp_path):
    (tmp_path / "prepared.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="damaged"):
        read_settings(tmp_path)
