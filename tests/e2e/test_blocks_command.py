"""``zoo predict`` by blocks, as a user types it: killed at any moment, shared out, refused."""

import csv
import errno
import math
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from block_commands import ALL, RECORD, UM, check_refused, make_image, run, write_zarr, zoo

from zoo import registry
from zoo.blocks import run as steps
from zoo.blocks.audit import agreement
from zoo.blocks.plan import HALO_UM, PROCESS, make_plan
from zoo.data.volumes import open_volume
from zoo.data.write import write_image
from zoo.evaluate.overlap import count_overlap
from zoo.segment import segment
from zoo.weights import open_networks

MEMORY = f"{(PROCESS + 1e8) / 1e6:.0f}MB"
CUT = f"--block 16 32 64 --max-memory {MEMORY}"  # 20 blocks, 5 windows for each network


def labels_of(path: Path, time: int = 0) -> np.ndarray:
    return open_volume(path, time=time).read(ALL)


@pytest.fixture(scope="module")
def image():
    return make_image()


@pytest.fixture(scope="module")
def files(tmp_path_factory, image):
    folder = tmp_path_factory.mktemp("files")
    write_zarr(folder / "a.ome.zarr", image)
    write_image(folder / "a.tif", image, UM)
    np.save(folder / "a.npy", image)
    return folder


@pytest.fixture(scope="module")
def source(files):
    return files / "a.ome.zarr"


@pytest.fixture(scope="module")
def done(files, tmp_path_factory):
    """The labels of a run that nothing interrupted, and what it told."""
    folder = tmp_path_factory.mktemp("done")
    told = zoo(folder, f"qcanet {files}/a.ome.zarr --out b.ome.zarr {CUT} --audit 3")
    return folder, told


@pytest.fixture(scope="module")
def labels(done):
    return labels_of(done[0] / "b.ome.zarr")


def test_labels_and_measurements_are_those_of_the_whole_and_nothing_else_is_left(done, labels, image):
    folder, told = done
    assert sorted(os.listdir(folder)) == ["b.ome.zarr", RECORD, "b_criteria.csv"]
    entry = registry.get("qcanet")
    whole = segment(entry, open_networks(entry, ()), image, UM).labels
    found = agreement([count_overlap(whole, labels)])
    assert found.nuclei > 40
    assert found.f1 >= 0.999
    assert found.differing <= 1e-3
    with (folder / "b_criteria.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == list(range(1, labels.max() + 1))
    assert [int(row["voxels"]) for row in rows] == np.bincount(labels.ravel())[1:].tolist()
    assert "24 x 48 x 320 voxels of 2 x 1.4 x 1.4 um (z, y, x), from the file" in told
    assert f"{len(rows)} nuclei; labels are in b.ome.zarr" in told
    assert "audit: 3 windows across borders" in told
    assert "going on" not in told
    assert open_volume(folder / "b.ome.zarr").spacing == pytest.approx(UM)


KILLED = """
import os, random, sys, time
from pathlib import Path
import keras, tensorflow, zarr
import zoo.cli.blocks, zoo.models.frozen, zoo.train.device, zoo.train.runs
from zoo.cli import main

home, *command = sys.argv[1:]
seed = int.from_bytes(os.urandom(4), "big")
print("seed", seed)
draw = random.Random(seed)

def marks():
    return sum(1 for _ in Path(home).glob("*/done/*/*"))

def start():
    child = os.fork()
    if not child:
        main.main(command, prog_name="zoo")
    return child

for _ in range(5):
    child, goal = start(), marks() + draw.randint(1, 12)
    while marks() < goal:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended by itself"
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 0.1))
    os.kill(child, 9)
    os.waitpid(child, 0)
    print("killed after", marks())
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(start(), 0)[1]))
"""


def test_killed_five_times_and_started_again_the_labels_are_the_same(tmp_path, source, labels, done):
    command = f"predict qcanet {source} --out b.ome.zarr {CUT}"
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, "b.ome.zarr.partial", *shlex.split(command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, (ended.stdout, ended.stderr[-2000:])
    assert ended.stdout.count("killed after") == 5
    assert ended.stderr.count("going on with the unfinished run in ") == 5
    assert ended.stderr.count("of 20 blocks have labels") == 5
    np.testing.assert_array_equal(labels_of(tmp_path / "b.ome.zarr"), labels)
    assert sorted(os.listdir(tmp_path)) == ["b.ome.zarr", RECORD, "b_criteria.csv"]
    ours, theirs = (folder / "b_criteria.csv" for folder in (tmp_path, done[0]))
    assert ours.read_text() == theirs.read_text()


@pytest.fixture(scope="module")
def begun(files, tmp_path_factory):
    """A folder in which the first of four shards is done, of a TIFF."""
    folder = tmp_path_factory.mktemp("begun")
    told = zoo(folder, f"qcanet {files}/a.tif --out b.ome.zarr {CUT} --shard 1/4")
    assert "shard 1 of 4 is done: when all are, give --merge" in told
    assert os.listdir(folder) == ["b.ome.zarr.partial"]
    return folder


@pytest.fixture
def copied(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "here")


def test_four_shards_of_a_tiff_merged_are_the_labels_of_the_omezarr(copied, files, labels):
    command = f"qcanet {files}/a.tif --out b.ome.zarr"
    for shard in (4, 2):
        zoo(copied, f"{command} --shard {shard}/4")  # the cut is that of the first
    check_refused(copied, f"{command} --merge", "5 blocks have no labels yet, of which the first is 10")
    zoo(copied, f"{command} --shard 3/4")
    told = zoo(copied, f"{command} --merge --audit 1")
    assert "20 of 20 blocks have labels" in told
    assert "audit: 1 window " in told
    np.testing.assert_array_equal(labels_of(copied / "b.ome.zarr"), labels)
    assert sorted(os.listdir(copied)) == ["b.ome.zarr", RECORD, "b_criteria.csv"]


def test_another_command_does_not_go_on_with_an_unfinished_run(copied, files):
    command = f"qcanet {files}/a.tif --out b.ome.zarr"
    check_refused(copied, f"{command} --threshold 0.6", "threshold 0.5 there, 0.6 now", "--overwrite")
    check_refused(copied, f"{command} --block 16 32 48", "block [16, 32, 64] there, [16, 32, 48] now")
    check_refused(copied, f"{command} --spacing 2 1 1", "spacing [2.0, 1.4")
    check_refused(copied, f"qcanet {files}/a.ome.zarr --out b.ome.zarr", "image ")
    (copied / "b.ome.zarr.partial" / "t0000" / "plan.json").write_text("{")
    check_refused(copied, command, "plan.json is damaged")


def test_a_full_disk_is_told_and_the_next_start_goes_on(copied, files, labels, monkeypatch):
    command, setitem, where = f"qcanet {files}/a.tif --out b.ome.zarr", zarr.Array.__setitem__, [""]

    def full(array, *given):
        if f"{array.store_path}".endswith(where[0]):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        setitem(array, *given)

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    for where[0] in ("/ids", "/labels.ome.zarr/0", "/labels.ome.zarr/1"):
        result = run(copied, command)
        assert result.exit_code == 2, result.output
        assert result.stderr.splitlines()[-1].startswith("Error: the disk is full (No space left on device)")
        assert "going on with" in result.stderr
    monkeypatch.undo()
    zoo(copied, command)
    np.testing.assert_array_equal(labels_of(copied / "b.ome.zarr"), labels)


def test_ctrl_c_leaves_what_is_done(copied, files, monkeypatch):
    command, real = f"qcanet {files}/a.tif --out b.ome.zarr", steps.label_block

    def stopped(job, number):
        if number == 7:
            raise KeyboardInterrupt
        return real(job, number)

    monkeypatch.setattr(steps, "label_block", stopped)
    result = run(copied, command)
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].startswith("Error: stopped: what is finished is kept")
    monkeypatch.undo()
    check_refused(copied, f"{command} --merge", "13 blocks have no labels yet, of which the first is 7")


def test_workers_of_dask_make_the_same_labels_of_an_array_of_numpy(tmp_path, files, labels):
    memory = f"{2 * (PROCESS + 1e8) / 1e6:.0f}MB"
    cut = f"--block 16 32 64 --max-memory {memory}"
    command = f"qcanet {files}/a.npy --spacing 2 1.4 1.4 --out b.ome.zarr {cut} --dask local:2"
    ended = subprocess.run(
        [sys.executable, "-m", "zoo", "predict", *shlex.split(command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Dask dashboard: http://" in ended.stderr
    assert "Traceback" not in ended.stderr
    np.testing.assert_array_equal(labels_of(tmp_path / "b.ome.zarr"), labels)


def test_networks_in_a_process_of_their_own_make_the_same_labels(tmp_path, files, labels, monkeypatch):
    def told(*given, **more):
        return replace(make_plan(*given, **more), apart=10**10)  # a volume so small needs none

    monkeypatch.setattr("zoo.cli.blocks.make_plan", told)
    monkeypatch.setattr("zoo.blocks.job.load_networks", None)  # here nobody needs them
    zoo(tmp_path, f"qcanet {files}/a.ome.zarr --out b.ome.zarr {CUT}")
    np.testing.assert_array_equal(labels_of(tmp_path / "b.ome.zarr"), labels)


def test_a_plan_is_told_and_nothing_is_done(copied, files):
    before = sorted(copied.rglob("*"))
    result = run(copied, f"qcanet {files}/a.tif --out b.ome.zarr --plan --overwrite {CUT}")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "volume: 24 x 48 x 320 voxels"
    halo = " x ".join(str(math.ceil(HALO_UM / um)) for um in UM)
    assert lines[1].startswith(f"blocks: 20 of 16 x 32 x 64 voxels, halo {halo}: ")
    assert "in 4 windows of 32 x 44 x 72, halo 24: " in lines[2]
    assert lines[-1].startswith("time: about ")
    assert sorted(copied.rglob("*")) == before


# what is refused


BY_BLOCKS = ("block 16 16 16", "max-memory 8GB", "dask local:2", "shard 1/2", "merge", "plan", "audit 2")
WHOLE_ONLY = (
    "frames 0",
    "correct-bleaching",
    "unmarked keep",
    "flips",
    "slice-fusion blob",
    "radius-um 3",
    "tile 8 8 8",
    "server localhost:1",
    "track",
    "resume",
)


@pytest.mark.parametrize("option", BY_BLOCKS)
def test_options_of_blocks_need_an_omezarr(tmp_path, source, option):
    name = option.split()[0]
    says = f"--{name} is for labels in OME-Zarr: give --out NAME.ome.zarr"
    check_refused(tmp_path, f"qcanet {source} --out out --{option}", says)


@pytest.mark.parametrize("option", WHOLE_ONLY)
def test_options_of_whole_images_are_refused(tmp_path, source, option):
    says = f"--{option.split()[0]} is for images that fit into the memory"
    check_refused(tmp_path, f"qcanet {source} --out b.zarr --{option}", says)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("classical @/a.tif --out b.zarr", "or take qcanet"),
        ("qcanet_nsn @/a.tif --out b.zarr", "or take qcanet"),
        ("qcanet @/a.tif @/a.npy --out b.zarr", "give one image at a time"),
        ("qcanet @/c.tif --out b.zarr", "c.tif does not exist"),
        ("qcanet @/a.tif --out b.zarr --block 8 16 16", "8 is not in the range x>=16"),
        ("qcanet @/a.tif --out b.zarr --max-memory lots", "give a size such as 8GB"),
        ("qcanet @/a.tif --out b.zarr --max-memory 0GB", "give a size such as 8GB"),
        ("qcanet @/a.tif --out b.zarr --max-memory 10MB", "GB of memory, 0.0 GB may be taken"),
        ("qcanet @/a.tif --out b.zarr --shard 5/4", "give I/N with I from 1 to N"),
        ("qcanet @/a.tif --out b.zarr --shard 0/4", "give I/N with I from 1 to N"),
        ("qcanet @/a.tif --out b.zarr --shard half", "give I/N with I from 1 to N"),
        ("qcanet @/a.tif --out b.zarr --shard 1/4 --merge", "leave --shard out"),
        ("qcanet @/a.tif --out b.zarr --shard 1/4 --audit 2", "give it with --merge"),
        ("qcanet @/a.tif --out b.zarr --shard 1/4 --overwrite", "what other shards have done"),
        ("qcanet @/a.tif --out b.zarr --merge", "there is nothing to merge"),
        ("qcanet @/a.tif --out b.zarr --dask cluster", "--dask cluster is not understood"),
        ("qcanet @/a.tif --out b.zarr --dask local:0", "--dask local:0 is not understood"),
        ("qcanet @/a.tif --out b.zarr --dask local:two", "--dask local:two is not understood"),
        ("qcanet @/a.tif --out b.zarr --dask tcp://127.0.0.1:1", "no scheduler answers at tcp://127.0.0.1:1"),
        ("qcanet @/a.tif --out b.zarr --dask slurm:none.toml", "none.toml cannot be read"),
        ("qcanet @/a.ome.zarr --out @/a.ome.zarr --overwrite", "would be replaced by its labels"),
        ("qcanet @/a.tif --out @/a.ome.zarr/b.zarr", "labels/NAME in an image"),
        (
            "qcanet @/a.tif --out folder.zarr --overwrite",
            "is not a label image in OME-Zarr, so it is not replaced",
        ),
        ("qcanet @/a.tif --out other.zarr", "other.zarr.partial is no unfinished run"),
        ("qcanet @/constant.npy --out b.zarr", "constant.npy has one single value, 7"),
        ("qcanet @/nan.npy --out b.zarr", "nan.npy has NaN or infinity in z, y, x"),
        ("qcanet @/mixed.ome.zarr --out b.zarr", "levels of different types (uint16, uint8)"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(tmp_path, bad_files, command, says):
    for name in ("folder.zarr", "other.zarr.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    check_refused(tmp_path, command.replace("@", str(bad_files)), says)


@pytest.fixture(scope="module")
def bad_files(files, image):
    np.save(files / "constant.npy", np.full((24, 24, 24), 7, np.uint16))
    values = np.random.default_rng(0).random((24, 24, 24), np.float32)
    values[3, 4, 5] = np.nan
    np.save(files / "nan.npy", values)
    write_zarr(files / "mixed.ome.zarr", image)
    level = files / "mixed.ome.zarr" / "1"
    shutil.rmtree(level)
    zarr.create_array(str(level), shape=(12, 24, 160), dtype=np.uint8)
    return files
