"""Groups, tables and files of scores."""

import csv
import io
import json
import statistics
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from zoo.errors import InputError
from zoo.evaluate.foreground import Counts
from zoo.evaluate.scores import (
    Row,
    as_json,
    count_voxels,
    markdown,
    pair_labels,
    stage_of,
    summarise,
    table,
    together,
    write_csv,
    write_json,
)

ROWS = [
    Row("Emb04_t001", "Emb04", 2, {"iou": 0.5, "seg": 0.4}, 1.25),
    Row("Emb04_t251", "Emb04", 4, {"iou": 0.6, "seg": 0.7}, 2.0),
    Row("Emb10_t251", "Emb10", 9, {"iou": 0.8, "seg": 0.8}, 2.0),
    Row("Emb10_t501", "Emb10", 40, {"iou": 0.7, "seg": 0.9}, None),
]


@pytest.mark.parametrize(
    ("nuclei", "stage"),
    [(0, "0"), (1, "1-3"), (3, "1-3"), (4, "4-15"), (15, "4-15"), (16, "16+"), (500, "16+")],
)
def test_stage_of(nuclei, stage):
    assert stage_of(nuclei) == stage


def test_summarise_by_hand():
    found = {part.stage: part for part in summarise(ROWS)}
    assert list(found) == ["1-3", "4-15", "16+", "4+", "all"]
    assert [part.n for part in found.values()] == [1, 2, 1, 3, 4]
    assert found["1-3"].mean == {"iou": 0.5, "seg": 0.4}
    assert found["1-3"].std == {"iou": 0.0, "seg": 0.0}
    # mean of 0.6 and 0.8; each is 0.1 from it
    assert found["4-15"].mean["iou"] == pytest.approx(0.7)
    assert found["4-15"].std["iou"] == pytest.approx(0.1)
    assert found["4+"].mean == {"iou": pytest.approx(0.7), "seg": pytest.approx(0.8)}
    # an oracle of its own for the population standard deviation
    assert found["all"].mean["seg"] == pytest.approx(statistics.fmean([0.4, 0.7, 0.8, 0.9]))
    assert found["all"].std["seg"] == pytest.approx(statistics.pstdev([0.4, 0.7, 0.8, 0.9]))


def test_summarise_leaves_out_stages_without_volumes():
    assert [part.stage for part in summarise(ROWS[:1])] == ["1-3", "all"]
    assert [part.stage for part in summarise([Row("empty", "", 0, {"iou": 1.0})])] == ["0", "all"]
    assert summarise([]) == []


def printed(shown):
    text = io.StringIO()
    Console(file=text, width=120).print(shown)
    return text.getvalue()


def test_table_shows_volumes_then_groups():
    lines = printed(table("QCANet on two embryos", ROWS)).splitlines()
    assert "QCANet on two embryos" in lines[0]
    text = [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in lines]
    assert "volume nuclei iou seg seconds" in text
    assert "Emb04_t001 2 0.500 0.400 1.2" in text
    assert "Emb10_t501 40 0.700 0.900" in text
    assert "1-3 nuclei (1 volume) 0.500 0.400" in text
    assert "4-15 nuclei (2 volumes) 0.700 ± 0.100 0.750 ± 0.050" in text
    assert text.index("Emb10_t501 40 0.700 0.900") < text.index("1-3 nuclei (1 volume) 0.500 0.400")


def test_table_without_times_has_no_column_for_them_and_takes_names_literally():
    text = printed(table("scores", [Row("stack [red] 1", "", 5, {"iou": 0.25})]))
    assert "seconds" not in text
    assert "stack [red] 1" in text


def test_markdown_compares_methods():
    text = markdown({"qcanet": ROWS, "class|ical": ROWS[:1]}, stage="4+")
    assert text.splitlines() == [
        "| method | volumes | iou | seg |",
        "| --- | ---: | ---: | ---: |",
        "| qcanet | 3 | 0.700 ± 0.082 | 0.800 ± 0.082 |",  # 0.1 * sqrt(2 / 3) = 0.0816
        "| class\\|ical | 0 | – | – |",
    ]
    assert "| qcanet | 4 | 0.650 ± 0.112 |" in markdown({"qcanet": ROWS})


def test_markdown_shows_a_dash_for_a_metric_a_method_lacks():
    text = markdown({"one": ROWS, "two": [Row("a", "", 4, {"pq": 0.5})]})
    assert text.splitlines()[-1] == "| two | 1 | – | – | 0.500 |"


def test_markdown_refuses_an_unknown_stage():
    with pytest.raises(InputError, match="unknown stage '16-'"):
        markdown({"qcanet": ROWS}, stage="16-")


def test_json_holds_everything(tmp_path):
    path = tmp_path / "scores.json"
    write_json(path, as_json({"method": "qcanet", "seed": 0}, ROWS))
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["meta"] == {"method": "qcanet", "seed": 0}
    assert found["volumes"][1] == {
        "name": "Emb04_t251",
        "group": "Emb04",
        "stage": "4-15",
        "nuclei": 4,
        "values": {"iou": 0.6, "seg": 0.7},
        "seconds": 2.0,
    }
    assert found["summary"][-1]["stage"] == "all"
    assert found["summary"][-1]["mean"]["iou"] == pytest.approx(0.65)


def test_json_with_nan_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "scores.json", {"iou": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_csv_reads_back(tmp_path):
    path = tmp_path / "scores.csv"
    write_csv(path, {"ours": ROWS})
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert found[0] == {
        "method": "ours",
        "name": "Emb04_t001",
        "group": "Emb04",
        "stage": "1-3",
        "nuclei": "2",
        "iou": "0.5",
        "seg": "0.4",
        "seconds": "1.25",
    }
    assert found[3]["seconds"] == ""
    assert len(found) == 4


def test_csv_that_fails_leaves_the_older_file(tmp_path):
    path = tmp_path / "scores.csv"
    write_csv(path, {"ours": ROWS})
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_csv(path, {"ours": [*ROWS, Row("lacks seg", "", 1, {"iou": 0.1})]})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"")
    return path


def test_pairs_two_files_whatever_their_names(tmp_path):
    np.save(tmp_path / "mine.npy", np.zeros(1))
    np.save(tmp_path / "truth.npy", np.zeros(1))
    mine, truth = tmp_path / "mine.npy", tmp_path / "truth.npy"
    assert pair_labels(mine, truth) == [("truth", mine, truth)]


def test_pairs_two_folders_by_name(tmp_path):
    pred = folder(tmp_path / "pred", "b.ome.tif", "a.npy", "criteria.csv", ".hidden.tif")
    truth = folder(tmp_path / "truth", "a.tif", "b.TIFF")
    (truth / "notes.tif").mkdir()
    assert pair_labels(pred, truth) == [
        ("a", pred / "a.npy", truth / "a.tif"),
        ("b", pred / "b.ome.tif", truth / "b.TIFF"),
    ]


def test_names_every_file_without_partner_on_both_sides(tmp_path):
    pred = folder(tmp_path / "pred", "a.tif", "x.tif", "y.tif")
    truth = folder(tmp_path / "truth", "a.tif", "b.tif", "c.tif")
    with pytest.raises(
        InputError, match=r"no predicted labels in .*pred for b, c; no true labels in .*truth for x, y"
    ):
        pair_labels(pred, truth)


def test_refuses_what_cannot_be_paired(tmp_path):
    pred, truth = folder(tmp_path / "pred", "a.tif"), folder(tmp_path / "truth", "a.tif")
    with pytest.raises(InputError, match=r"true labels .*nowhere: no such file"):
        pair_labels(pred, tmp_path / "nowhere")
    with pytest.raises(InputError, match="one is a file, the other a folder"):
        pair_labels(pred / "a.tif", truth)
    with pytest.raises(InputError, match=r"holds no label files \(.tif"):
        pair_labels(pred, folder(tmp_path / "empty", "readme.txt"))
    with pytest.raises(InputError, match="have the same name"):
        pair_labels(folder(tmp_path / "twice", "a.tif", "a.ome.tif"), truth)


def test_voxels_are_counted_where_a_metric_of_masks_is_asked_for():
    truth, pred = np.zeros((2, 3, 4), int), np.zeros((2, 3, 4), int)
    truth[0, 0, :3], pred[0, 0, 1:] = 1, 7
    assert count_voxels(truth, pred, ["iou", "seg"]) is None
    for metric in ("miou", "accuracy"):
        assert count_voxels(truth, pred, ["seg", metric]) == Counts(2, 1, 1, 20)


def test_all_voxels_together_weigh_the_same():
    """A volume of one wrong voxel and one of many right ones: a mean over volumes would be a half."""
    rows = [
        Row("a", "a", 1, {"iou": 0.0, "miou": 0.5, "seg": 0.0}, counts=Counts(0, 1, 0, 9)),
        Row("b", "b", 1, {"iou": 1.0, "miou": 1.0, "seg": 1.0}, counts=Counts(8, 0, 0, 2)),
    ]
    assert together(rows) == pytest.approx({"iou": 8 / 9, "miou": (8 / 9 + 11 / 12) / 2})
    assert as_json({}, rows)["together"] == together(rows)
    shown = io.StringIO()
    Console(file=shown, width=200).print(table("t", rows, "patches"))
    assert "all voxels together" in shown.getvalue()
    assert "0.889" in shown.getvalue()
    assert "1-3 patches (2 volumes)" in shown.getvalue()


def test_without_counts_nothing_is_taken_together():
    assert together(ROWS) == {}
    assert "together" not in as_json({}, ROWS)
