import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from zoo import provenance
from zoo.errors import InputError
from zoo.provenance import Record, digest, read, results_digest, within


def record(**changed):
    made = {
        "command": "fuse",
        "arguments": ["a.tif", "b.tif", "--out", "c.tif"],
        "folder": "somewhere",
        "places": {"--out": "c.tif"},
        "seed": None,
        "deterministic": False,
        "weights": {},
        "inputs": [],
    }
    return Record(**{**made, **changed})


def test_a_file_has_the_hash_that_other_programs_tell(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(tmp_path / "abc") == {"bytes": 3, "sha256": known}


def test_a_folder_has_the_hash_of_names_sizes_and_contents_in_order(tmp_path):
    for name, content in {"b": b"22", "a/z": b"1", "a/.zarray": b"{}"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    wanted = hashlib.sha256(b"a/.zarray\x002\x00{}" + b"a/z\x001\x001" + b"b\x002\x0022").hexdigest()
    assert digest(tmp_path) == {"bytes": 5, "files": 3, "sha256": wanted}
    for passing in (".DS_Store", "provenance.json", "a/x.tif.provenance.json"):
        (tmp_path / passing).write_text("no data")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    assert digest(tmp_path)["sha256"] == wanted


@pytest.mark.parametrize("change", ["name", "content", "more", "split"])
def test_any_change_in_a_folder_changes_its_hash(change, tmp_path):
    for name, content in {"a": "1", "b": "23"}.items():
        (tmp_path / name).write_text(content)
    before = digest(tmp_path)["sha256"]
    if change == "name":
        (tmp_path / "a").rename(tmp_path / "c")
    elif change == "more":
        (tmp_path / "c").write_text("")
    else:
        (tmp_path / "b").write_text("24" if change == "content" else "3")
        (tmp_path / "a").write_text("1" if change == "content" else "12")
    assert digest(tmp_path)["sha256"] != before


def test_results_inside_the_data_are_left_out(tmp_path):
    (tmp_path / "image").write_text("1")
    before = digest(tmp_path)
    (tmp_path / "runs" / "x").mkdir(parents=True)
    (tmp_path / "runs" / "x" / "weights").write_text("2")
    (tmp_path / "scores.csv").write_text("3")
    assert digest(tmp_path, without=[tmp_path / "runs" / "x", tmp_path / "scores.csv"]) == before
    assert digest(tmp_path, without=[tmp_path]) == digest(tmp_path) != before


def test_of_what_is_large_64_pieces_count_and_the_record_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "PIECE", 4)
    (tmp_path / "a").write_bytes(bytes(1000))
    (tmp_path / "b").write_bytes(bytes(1016))
    total, starts = 2016, [number * (2016 - 4) // 63 for number in range(64)]
    before = digest(tmp_path, whole=total - 1)
    assert before["sampled"]
    assert "sampled" not in digest(tmp_path, whole=total)
    for place in (0, starts[20] + 3, starts[40], total - 1, starts[1] - 1):
        name, at = ("a", place) if place < 1000 else ("b", place - 1000)
        content = bytearray((tmp_path / name).read_bytes())
        content[at] = 1
        (tmp_path / name).write_bytes(content)
        seen = any(start <= place < start + 4 for start in starts)
        assert (digest(tmp_path, whole=total - 1) != before) == seen, place
        content[at] = 0
        (tmp_path / name).write_bytes(content)
    one = digest(tmp_path / "a", whole=999)
    assert one["sampled"]
    assert one["sha256"] != digest(tmp_path / "a")["sha256"]


def test_seconds_do_not_count_among_results(tmp_path):
    def told(name, text):
        (tmp_path / name).write_text(text)
        return results_digest(tmp_path / name)

    first = told("a.csv", "epoch,loss,seconds\n1,0.5,3\n")
    assert first == told("a.csv", "epoch,loss,seconds\n1,0.5,4\n")
    assert first != told("a.csv", "epoch,loss,seconds\n1,0.6,3\n")
    scores = {"meta": {"numpy": "1"}, "volumes": [{"name": "a", "seconds": 1.0, "values": {"seg": 1}}]}
    later = json.loads(json.dumps(scores).replace("1.0", "2.0").replace('"1"', '"2"'))
    worse = json.loads(json.dumps(scores).replace('"seg": 1', '"seg": 0'))
    first, second, third = (told("a.json", json.dumps(one)) for one in (scores, later, worse))
    assert first == second != third
    assert told("plain.csv", "label\n1\n") is None
    assert told("empty.csv", "") is None
    assert told("labels.tif", "") is None
    assert told("a_table.json", "label\n1\n") is None
    assert told("ragged.csv", "a,seconds,b\n1\n") is None


def test_a_link_to_a_file_is_where_it_lies_and_one_to_a_folder_where_it_leads(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.tif").touch()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "b.tif").symlink_to(tmp_path / "far" / "a.tif")
    (tmp_path / "out").symlink_to(tmp_path / "here")
    assert within(tmp_path / "here" / "b.tif", tmp_path / "here") == "b.tif"
    assert within(tmp_path / "out", tmp_path / "here") == "."
    assert within(tmp_path / "out" / "c.tif", tmp_path / "out") == "c.tif"
    assert within(tmp_path / "far" / "a.tif", tmp_path / "here") == "a.tif"


def test_a_record_is_read_as_it_was_written(tmp_path):
    (tmp_path / "c.tif").write_bytes(b"abc")
    made = record(weights={"net": {"path": "runs/net", "sha256": "0"}}, seed=3)
    made.finish(tmp_path / "p.json", [tmp_path / "c.tif"])
    assert made.ended is not None
    assert [output["path"] for output in made.outputs] == ["c.tif"]
    assert read(tmp_path / "p.json") == made
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["c.tif", "p.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "not written by cellzoo"),
        ('{"program": "another"}', "not written by cellzoo"),
        ({"format": 2}, "newer"),
        ({"arguments": "predict"}, "'arguments'"),
        ({"arguments": [1]}, "'arguments'"),
        ({"arguments": ["a\0b"]}, "'arguments'"),
        ({"folder": "\0"}, "'folder'"),
        ({"inputs": [{"path": "a"}]}, "'inputs'"),
        ({"weights": {"net": {"path": "a", "sha256": 1}}}, "'weights'"),
        ({"weights": []}, "'weights'"),
        ({"places": {"--out": "../c.tif"}}, "'places'"),
        ({"places": {"--out": "/c.tif"}}, "'places'"),
    ],
)
def test_what_is_no_record_is_refused(content, says, tmp_path):
    if isinstance(content, dict):
        whole = {"program": "cellzoo", "format": 1, **asdict(record())}
        content = json.dumps({**whole, **content})
    (tmp_path / "p.json").write_text(content)
    with pytest.raises(InputError, match=says):
        read(tmp_path / "p.json")


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "p.json")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_record(make, tmp_path):
    make(tmp_path / "p.json")
    with pytest.raises(InputError, match="is a folder, a pipe or a device"):
        read(tmp_path / "p.json")


def test_the_commit_is_told_in_a_checkout_only(tmp_path, monkeypatch):
    told = provenance.commit()
    if (Path(provenance.__file__).resolve().parents[1] / ".git").exists():
        assert told is None or len(told.removesuffix("-dirty")) == 40
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "zoo" / "provenance.py"))
    assert provenance.commit() is None
