"""What a preparation leaves out, warns of or refuses, and that nothing is lost by it."""

import os

import numpy as np
import pytest
import tifffile
from preparations import SHAPE, UM, files, refused, run, settings, write_movie

from zoo.data import preparation
from zoo.data.io import read_image
from zoo.data.preparation import prepare
from zoo.data.prepared import read_settings, read_split
from zoo.data.write import write_image, write_labels

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


def test_a_movie_whose_name_is_no_text_is_refused_before_any_work(tmp_path, folder):
    name = os.fsdecode(b"caf\xe9")
    try:
        write_movie(folder, name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    refused(folder, tmp_path / "data", r"is no UTF-8: rename it and its mask")
