"""``zoo track`` and ``zoo predict --track``, as a user types them, and what they refuse."""

import csv
import re
import shlex
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from challenge import check_challenge, read_challenge
from click.testing import CliRunner
from refusal import UM, bad, check_refused, volume

from zoo.cli import main
from zoo.data import phantom
from zoo.data.io import read_labels
from zoo.data.write import write_image, write_labels

SMALL = (24, 64, 64)


def zoo(folder: Path, command: str) -> str:
    """Run a command in a folder, see that it ends well, and return what it tells."""
    with chdir(folder):
        result = CliRunner().invoke(main, shlex.split(command), prog_name="zoo")
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stderr


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A sample series and what the classical pipeline makes of it, with tracks and without."""
    folder = tmp_path_factory.mktemp("home")
    zoo(folder, "sample series --out sample --nuclei 8 --frames 4")
    told = zoo(folder, "predict classical sample/Images/series00.tif --out tracked --track")
    (folder / "told.txt").write_text(told)
    zoo(folder, "predict classical sample/Images/series00.tif --out plain")
    return folder


def test_predict_writes_tracks_that_keep_the_rules_of_the_challenge(home):
    assert set(files(home / "tracked")) - set(files(home / "plain")) == {
        "series00_tracks.csv",
        "series00_res_track.txt",
    }
    labels = read_labels(home / "tracked" / "series00.tif")
    assert labels.series
    tracks = read_challenge(home / "tracked" / "series00_res_track.txt")
    check_challenge(tracks, labels.frames)
    table = rows(home / "tracked" / "series00_tracks.csv")
    assert list(table[0]) == ["track", "parent", "begin", "end", "frames", "path_um", "displacement_um"]
    assert {
        int(row["track"]): (int(row["begin"]), int(row["end"]), int(row["parent"])) for row in table
    } == tracks
    assert all(int(row["frames"]) == int(row["end"]) - int(row["begin"]) + 1 for row in table)
    assert all(float(row["path_um"]) >= float(row["displacement_um"]) >= 0 for row in table)
    parents = [parent for *_, parent in tracks.values() if parent]
    assert parents  # two nuclei became eight
    divisions = sum(parents.count(parent) > 1 for parent in set(parents))
    assert (
        f"series00.tif frame 0: {len(tracks)} tracks, {divisions} divisions\n"
        in (home / "told.txt").read_text()
    )


def test_measurements_and_report_have_the_numbers_of_the_tracks(home):
    labels = read_labels(home / "tracked" / "series00.tif").frames
    expected = [(time, int(label)) for time in range(4) for label in np.unique(labels[time]) if label]
    criteria = rows(home / "tracked" / "series00_criteria.csv")
    assert [(int(row["frame"]), int(row["label"])) for row in criteria] == expected
    for row in criteria:
        assert int(row["voxels"]) == np.count_nonzero(labels[int(row["frame"])] == int(row["label"]))
    report = (home / "tracked" / "report.html").read_text(encoding="utf-8")
    assert "by track" in report
    last = re.findall(r'<tr data-label="(\d+)">', report.split("frame 3")[-1])
    assert sorted(map(int, last)) == [label for time, label in expected if time == 3]


def test_tracking_changes_numbers_only(home):
    tracked, plain = (read_labels(home / name / "series00.tif").frames for name in ("tracked", "plain"))
    for numbered, labels in zip(tracked, plain, strict=True):
        both = np.unique(np.stack([numbered.ravel(), labels.ravel()]), axis=1)
        assert len(np.unique(both[0])) == len(np.unique(both[1])) == both.shape[1]
    for name in ("series00_frames.csv",):
        assert [row["count"] for row in rows(home / "tracked" / name)] == [
            row["count"] for row in rows(home / "plain" / name)
        ]


def test_track_of_the_plain_labels_gives_what_predict_gives(home):
    told = zoo(home, "track plain/series00.tif --out after")
    assert re.fullmatch(
        r"\d+ tracks, \d+ divisions? in after/series00.tif, series00_tracks.csv and "
        r"series00_res_track.txt\n",
        told,
    )
    names = [name for name in files(home / "after") if not name.endswith("provenance.json")]
    for name in names:
        assert (home / "after" / name).read_bytes() == (home / "tracked" / name).read_bytes()
    assert len(names) == 3
    zoo(home, "track plain/series00.tif --out after --overwrite --max-distance 0.01")
    tracks = read_challenge(home / "after" / "series00_res_track.txt")
    assert {(begin == end, parent) for begin, end, parent in tracks.values()} == {(True, 0)}


def test_chosen_frames_keep_their_numbers_in_the_table_and_count_anew_in_the_list(home):
    zoo(home, "predict classical sample/Images/series00.tif --out some --track --frames 1:4:2")
    tracks = read_challenge(home / "some" / "series00_res_track.txt")
    check_challenge(tracks, read_labels(home / "some" / "series00.tif").frames)
    table = {int(row["track"]): row for row in rows(home / "some" / "series00_tracks.csv")}
    for track, (begin, end, _) in tracks.items():
        assert (int(table[track]["begin"]), int(table[track]["end"])) == ((1, 3)[begin], (1, 3)[end])


def test_every_nucleus_keeps_its_number_where_none_divides(tmp_path):
    truth = np.stack([f.labels for f in phantom.embryo_series(1, frames=5, first=6, last=6, shape=SMALL)])
    shuffled = truth.copy()
    for time in range(1, 5):
        shuffled[time] = np.array([0, *np.random.default_rng(time).permutation(6) + 1])[truth[time]]
    write_labels(tmp_path / "film.tif", shuffled, UM)
    assert zoo(tmp_path, "track film.tif --out tracks").startswith("6 tracks, 0 divisions in tracks/film.tif")
    found = read_labels(tmp_path / "tracks" / "film.tif")
    np.testing.assert_array_equal(found.frames, truth)
    assert found.spacing == pytest.approx(UM)
    for row, label in zip(rows(tmp_path / "tracks" / "film_tracks.csv"), range(1, 7), strict=True):
        assert list(row.values())[:5] == [str(label), "0", "0", "4", "5"]
        way = [np.argwhere(frame == label).mean(axis=0) * UM for frame in truth]
        steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
        assert float(row["path_um"]) == pytest.approx(steps.sum(), rel=1e-5)
        assert float(row["displacement_um"]) == pytest.approx(np.linalg.norm(way[-1] - way[0]), rel=1e-4)


def test_distances_are_in_um_and_without_a_voxel_size_in_voxels(tmp_path):
    labels = np.zeros((2, 12, 8, 8), np.uint8)
    labels[0, 1:3, 2:4, 2:4] = labels[1, 7:9, 2:4, 2:4] = 5  # six planes on
    np.save(tmp_path / "film.npy", labels)
    told = zoo(tmp_path, "track film.npy --out voxels --max-distance 7")
    assert "no voxel size in the file: taking 1 x 1 x 1 um" in told
    assert "1 track, 0 divisions" in told
    told = zoo(tmp_path, "track film.npy --out um --max-distance 7 --spacing 2 1 1")
    assert "2 tracks, 0 divisions" in told
    assert "no voxel size" not in told


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    image, labels = volume()
    write_image(folder / "image.tif", image, UM)
    write_labels(folder / "labels.tif", labels, UM)
    write_image(folder / "film.tif", np.stack([image, image]), UM)
    write_labels(folder / "series.tif", np.stack([labels, labels]), UM)
    np.save(folder / "floats.npy", np.stack([labels, labels]).astype(np.float32))
    (folder / "done").mkdir()
    (folder / "done" / "film_tracks.csv").write_text("")
    (folder / "done" / "series_res_track.txt").write_text("")
    return folder


@pytest.mark.parametrize(
    "case",
    [
        bad("3-D labels", "track @/labels.tif --out out", "@/labels.tif has no time axis"),
        bad("float labels", "track @/floats.npy --out out", "@/floats.npy", "float32"),
        bad("no such file", "track @/gone.tif --out out", "@/gone.tif", "does not exist"),
        bad("onto itself", "track @/series.tif --out @ --overwrite", "series.tif would change the input"),
        bad("results are there", "track @/series.tif --out @/done", "series_res_track.txt", "--overwrite"),
        bad("no distance", "track @/series.tif --out out --max-distance 0", "--max-distance", "x>0"),
        bad("distance no number", "track @/series.tif --out out --max-distance nan", "nan"),
        bad("out is a file", "track @/series.tif --out @/labels.tif", "@/labels.tif is a file"),
        bad("3-D image", "predict classical @/image.tif --out out --track", "@/image.tif", "no time axis"),
        bad(
            "movies",
            "predict cnn3d_yeast @/film.tif --out out --track",
            "--track means nothing to cnn3d_yeast",
        ),
        bad("tracks are there", "predict classical @/film.tif --out @/done --track", "film_tracks.csv"),
    ],
)
def test_bad_input_is_refused_in_one_line(case, bad_files, tmp_path):
    check_refused(case.command, case.says, bad_files, tmp_path, news="predict" in case.command)
