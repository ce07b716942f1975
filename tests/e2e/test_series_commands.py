"""The commands with a time series of volumes, as a user types them."""

from pathlib import Path

import numpy as np
import pytest
from commands import SMALL, UM, files, rows, zoo

from zoo.data import phantom
from zoo.data.io import read_labels
from zoo.data.write import write_image


@pytest.fixture(scope="module")
def series(tmp_path_factory) -> Path:
    """A time series of four frames, its labels, and what the classical pipeline makes of them."""
    folder = tmp_path_factory.mktemp("series")
    frames = phantom.embryo_series(2, frames=4, first=2, last=5, shape=SMALL)
    write_image(folder / "film.tif", np.stack([frame.image for frame in frames]), UM)
    zoo(folder, "predict classical film.tif --out all")
    return folder


def test_time_series_keeps_its_time_axis(series):
    assert files(series / "all") == [
        "film.tif",
        "film_criteria.csv",
        "film_frames.csv",
        "film_over_time.png",
        "provenance.json",
        "report.html",
    ]
    labels = read_labels(series / "all" / "film.tif")
    assert labels.series
    assert labels.frames.shape == (4, *SMALL)
    assert labels.spacing == pytest.approx(UM)
    counts = [len(np.unique(frame)) - 1 for frame in labels.frames]
    sums = rows(series / "all" / "film_frames.csv")
    assert [int(row["frame"]) for row in sums] == [0, 1, 2, 3]
    assert [int(row["count"]) for row in sums] == counts
    assert (series / "all" / "film_over_time.png").read_bytes().startswith(b"\x89PNG")
    assert len(rows(series / "all" / "film_criteria.csv")) == sum(counts)


def test_some_frames_of_a_time_series(series):
    zoo(series, "predict classical film.tif --frames 0:2 --out some")
    some, whole = (read_labels(series / name / "film.tif") for name in ("some", "all"))
    np.testing.assert_array_equal(some.frames, whole.frames[:2])  # each frame is segmented on its own
    zoo(series, "predict classical film.tif --frames 3 --out last")
    assert [row["frame"] for row in rows(series / "last" / "film_frames.csv")] == ["3"]


def test_measure_and_score_a_time_series(series):
    zoo(series, "measure all/film.tif --image film.tif --out measured/film.csv")
    assert files(series / "measured") == [
        "film.csv",
        "film.csv.provenance.json",
        "film_frames.csv",
        "film_over_time.png",
    ]
    assert rows(series / "measured" / "film.csv") == rows(series / "all" / "film_criteria.csv")
    zoo(series, "eval --pred all/film.tif --truth all/film.tif --csv same.csv")
    assert [row["name"] for row in rows(series / "same.csv")] == [f"film frame {t}" for t in range(4)]
    assert {row["seg"] for row in rows(series / "same.csv")} == {"1.0"}
