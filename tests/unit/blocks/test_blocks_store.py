import errno
import json
import os
from multiprocessing import get_context

import numpy as np
import pytest
import zarr

from zoo.blocks.store import PLAN, open_store, read_plan
from zoo.errors import InputError

BOX = (slice(0, 4), slice(4, 8))
PLANNED = {"block": [4, 4], "windows": {"nsn": 64}, "memory": 5}


def fill(folder):
    zarr.create_array(str(folder / "ids"), shape=(8, 8), chunks=(4, 4), dtype="int64", fill_value=0)


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "run", PLANNED, fill)


def chunk_of(store):
    return store.path / "ids" / "c" / "0" / "1"


def test_a_box_is_as_it_was_written(store):
    values = np.arange(16).reshape(4, 4)
    assert store.get("ids", BOX, "step", 3) is None
    store.put("ids", BOX, values, "step", 3)
    np.testing.assert_array_equal(store.get("ids", BOX, "step", 3), values)
    assert store.has("ids", BOX, "step", 3)
    assert store.marked("step", 3)
    assert not store.marked("step", 4)
    store.forget("step")
    assert not store.has("ids", BOX, "step", 3)
    store.forget("step")  # nothing to do


@pytest.mark.parametrize(
    "torn", [lambda whole: whole[:-3], lambda whole: b"", lambda whole: b"x" * len(whole)]
)
def test_a_torn_chunk_is_not_as_it_was_written(store, torn):
    store.put("ids", BOX, np.arange(16).reshape(4, 4), "step", 3)
    chunk_of(store).write_bytes(torn(chunk_of(store).read_bytes()))
    assert store.get("ids", BOX, "step", 3) is None
    assert store.marked("step", 3)


def test_a_chunk_that_is_gone_and_one_of_another_time_are_seen(store):
    store.put("ids", BOX, np.arange(16).reshape(4, 4), "step", 3)
    old = chunk_of(store).read_bytes()
    chunk_of(store).unlink()
    assert not store.has("ids", BOX, "step", 3)
    store.put("ids", BOX, np.ones((4, 4), np.int64), "step", 3)
    chunk_of(store).write_bytes(old)  # whole, but not what was written last
    assert not store.has("ids", BOX, "step", 3)


@pytest.mark.parametrize("mark", ["", "12a\n", "7\n"])
def test_a_torn_mark_is_none(store, mark):
    store.put("ids", BOX, np.arange(16).reshape(4, 4), "step", 3)
    (store.path / "done" / "step" / "000003").write_text(mark)
    assert not store.has("ids", BOX, "step", 3)


def test_a_table_is_as_it_was_written_or_none(store):
    table = {"a": np.arange(5), "b": np.array(["x", "yz"]), "c": np.array(True), "d": np.empty((0, 3, 2))}
    assert store.table("objects", 2) is None
    store.put_table("objects", 2, table)
    found = store.table("objects", 2)
    assert found.keys() == table.keys()
    for key, values in table.items():
        np.testing.assert_array_equal(found[key], values)
    path = store.path / "objects" / "000002.npz"
    path.write_bytes(path.read_bytes()[:-1])
    assert store.table("objects", 2) is None
    path.unlink()
    assert store.table("objects", 2) is None


def test_a_write_that_fails_leaves_no_mark(store, monkeypatch):
    def full(*given, **named):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(InputError, match="free some space"):
        store.put_table("objects", 2, {"a": np.arange(5)})
    with pytest.raises(OSError, match="No space"):
        store.put("ids", BOX, np.zeros((4, 4), np.int64), "step", 3)
    assert not store.marked("objects", 2)
    assert not store.marked("step", 3)
    assert [path.name for path in store.path.rglob(".*")] == []


def test_the_same_plan_goes_on_and_another_is_refused(store):
    again = open_store(store.path, {**PLANNED, "block": (4, 4)}, fill)
    assert again.token == store.token
    with pytest.raises(InputError, match=r"another command \(block \[4, 4\] there, \[4, 8\] now\)"):
        open_store(store.path, {**PLANNED, "block": (4, 8)}, fill)
    with pytest.raises(InputError, match=r"\(colour None there, red now\)"):
        open_store(store.path, {**PLANNED, "colour": "red"}, fill)
    less = {key: PLANNED[key] for key in ("block", "memory")}
    with pytest.raises(InputError, match=r"windows .* there, None now"):
        open_store(store.path, less, fill)


def test_some_of_the_plan_may_be_free(store):
    other = {**PLANNED, "windows": {"nsn": 32}, "memory": 3}
    found = open_store(store.path, other, fill, {"windows", "memory"})
    assert found.plan["windows"] == {"nsn": 64}
    with pytest.raises(InputError, match=r"\(memory 5 there, 3 now\)"):
        open_store(store.path, other, fill, {"windows"})


def test_two_runs_in_the_same_folder_have_different_tokens(store, tmp_path):
    assert open_store(tmp_path / "other", PLANNED, fill).token != store.token


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="is no unfinished run"):
        open_store(tmp_path / "run", PLANNED, fill)
    (tmp_path / "run" / PLAN).write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        read_plan(tmp_path / "run" / PLAN)
    with pytest.raises(InputError, match="is damaged"):
        open_store(tmp_path / "run", PLANNED, fill)


def test_a_folder_that_cannot_be_filled_leaves_nothing(tmp_path):
    def full(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space"):
        open_store(tmp_path / "run", PLANNED, full)
    assert list(tmp_path.iterdir()) == []


def test_one_that_another_process_made_meanwhile_is_taken(tmp_path):
    def late(folder):
        fill(folder)
        if not (tmp_path / "run").exists():
            open_store(tmp_path / "run", {**PLANNED, "memory": 7}, fill)

    assert open_store(tmp_path / "run", PLANNED, late, {"memory"}).plan["memory"] == 7
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def begin(path, number, gate, answers):
    gate.wait()
    store = open_store(path, PLANNED | {"memory": number}, fill, {"memory"})
    answers.put((store.token, store.plan["memory"]))


def test_of_processes_that_begin_at_once_one_makes_the_folder(tmp_path):
    fork = get_context("fork")
    gate, answers = fork.Barrier(2), fork.Queue()
    started = [fork.Process(target=begin, args=(tmp_path / "run", n, gate, answers)) for n in (1, 2)]
    for process in started:
        process.start()
    found = {answers.get(timeout=60) for _ in started}
    for process in started:
        process.join(60)
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert json.loads((tmp_path / "run" / PLAN).read_text())["memory"] in (1, 2)
