"""Names of files that are no text, as old archives and Windows shares leave them."""

import csv
import json
import os

import pytest
from commands import zoo

from zoo.data import phantom
from zoo.data.write import write_image, write_labels

LATIN = os.fsdecode(b"caf\xe9")


@pytest.fixture
def home(tmp_path):
    made = phantom.embryo(0, nuclei=2, shape=(8, 32, 32), debris=0)
    try:
        write_image(tmp_path / f"{LATIN}.tif", made.image, (1.75, 0.8, 0.8))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    write_labels(tmp_path / "truth" / f"{LATIN}.tif", made.labels, (1.75, 0.8, 0.8))
    return tmp_path


def test_an_image_is_segmented_reported_recorded_and_scored(home, monkeypatch):
    monkeypatch.setattr("sys.argv", ["zoo"])
    zoo(home, "predict classical . --out found")
    assert (home / "found" / f"{LATIN}.tif").is_file()
    assert r"caf\udce9.tif" in (home / "found" / "report.html").read_text(encoding="utf-8")
    told = json.loads((home / "found" / "provenance.json").read_text())
    assert told["outputs"][0]["path"] == f"{LATIN}.tif"
    zoo(home, "eval --pred found --truth truth --json s.json --csv s.csv")
    assert LATIN in json.loads((home / "s.json").read_text())["volumes"][0]["name"]
    with (home / "s.csv").open(newline="", encoding="utf-8") as file:
        assert r"caf\udce9" in next(csv.DictReader(file))["name"]
