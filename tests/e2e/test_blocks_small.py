"""``zoo predict`` by blocks of a small volume: groups, series of frames, and faults on the way."""

import csv
import json
import os

import numpy as np
import pytest
import zarr
from block_commands import RECORD, UM, check_refused, make_image, run, write_zarr, zoo

from zoo import registry
from zoo.blocks import run as steps
from zoo.blocks.audit import agreement
from zoo.data.ngff import read_attributes
from zoo.data.omezarr import create
from zoo.data.volumes import open_volume
from zoo.evaluate.overlap import count_overlap
from zoo.segment import segment
from zoo.weights import open_networks

SMALL = "--block 24 48 32"  # two blocks


def cropped(image: np.ndarray) -> np.ndarray:
    return image[:, :, :64]


@pytest.fixture(scope="module")
def image():
    return make_image()


@pytest.fixture
def small(tmp_path, image):
    write_zarr(tmp_path / "a.ome.zarr", cropped(image))
    return tmp_path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_go_into_the_group_of_their_image(tmp_path, image, version):
    write_zarr(tmp_path / "a.ome.zarr", cropped(image), version=version)
    command = f"qcanet a.ome.zarr --out a.ome.zarr/labels/nuclei {SMALL}"
    told = zoo(tmp_path, command)
    assert "labels are in a.ome.zarr/labels/nuclei" in told
    assert sorted(os.listdir(tmp_path)) == ["a.ome.zarr", "a_nuclei.provenance.json", "a_nuclei_criteria.csv"]
    group = tmp_path / "a.ome.zarr" / "labels"
    found = read_attributes(group)
    assert found[0] == version
    assert found[1]["labels"] == ["nuclei"]
    assert read_attributes(group / "nuclei")[0] == version
    assert "image-label" in read_attributes(group / "nuclei")[1]
    assert open_volume(group / "nuclei").read((slice(0, 24), slice(0, 48), slice(0, 64))).max() > 5
    check_refused(tmp_path, command, "nuclei exists")
    check_refused(tmp_path, f"qcanet a.ome.zarr --out a.ome.zarr/nuclei {SMALL}", "labels/NAME in an image")
    if version == "0.5":
        zoo(tmp_path, f"{command} --overwrite")
        assert read_attributes(group)[1]["labels"] == ["nuclei"]
        assert sorted(os.listdir(tmp_path)) == [
            "a.ome.zarr",
            "a_nuclei.provenance.json",
            "a_nuclei_criteria.csv",
        ]


def test_each_frame_of_a_series_has_its_labels(tmp_path, image):
    frames = np.stack([cropped(image), image[:, :, 64:128]])
    create(tmp_path / "a.ome.zarr", frames.shape, frames.dtype, UM, chunks=(16, 32, 64))[:] = frames
    told = zoo(tmp_path, f"qcanet a.ome.zarr --out b.ome.zarr {SMALL} --audit 1")
    assert "2 frames of 24 x 48 x 64 voxels" in told
    assert "audit of frame 1" in told
    entry = registry.get("qcanet")
    networks = open_networks(entry, ())
    made = zarr.open_array(str(tmp_path / "b.ome.zarr" / "0"), mode="r")[:]
    assert made.shape == frames.shape
    with (tmp_path / "b_criteria.csv").open() as file:
        rows = list(csv.DictReader(file))
    for time, frame in enumerate(frames):
        whole = segment(entry, networks, frame, UM).labels
        assert agreement([count_overlap(whole, made[time])]).f1 >= 0.999
        counted = [int(row["label"]) for row in rows if int(row["frame"]) == time]
        assert counted == list(range(1, whole.max() + 1))


def test_a_frame_without_anything_is_named_and_the_others_are_done(tmp_path, image):
    frames = np.stack([cropped(image), np.zeros_like(cropped(image))])
    create(tmp_path / "a.ome.zarr", frames.shape, frames.dtype, UM, chunks=(16, 32, 64))[:] = frames
    result = run(tmp_path, f"qcanet a.ome.zarr --out b.ome.zarr {SMALL}")
    assert result.exit_code == 1
    assert "frame 1, levels 0: " in result.stderr
    assert "has one single value, 0" in result.stderr
    made = zarr.open_array(str(tmp_path / "b.ome.zarr" / "0"), mode="r")[:]
    assert made[0].max() > 5
    assert not made[1].any()


def test_a_damaged_chunk_is_named_and_the_rest_is_done(small):
    chunk = small / "a.ome.zarr" / "0" / "c" / "1" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-5])
    command = f"qcanet a.ome.zarr --out b.ome.zarr {SMALL}"
    zoo_like = run(small, f"{command} --shard 1/1")
    assert zoo_like.exit_code == 1
    for told in (zoo_like, run(small, f"{command} --merge")):  # whoever read it
        assert told.exit_code == 1
        assert told.stderr.count("0/c/1/1/0 (z 16 to 23, y 32 to 47, x 0 to 63) cannot be decoded") == 1
    assert not (small / "b.ome.zarr.partial").exists()
    assert open_volume(small / "b.ome.zarr").read((slice(0, 16), slice(0, 30), slice(0, 64))).any()


def test_a_block_that_fails_is_named_and_done_by_the_next_start(small, monkeypatch):
    real, command = steps.label_block, f"qcanet a.ome.zarr --out b.ome.zarr {SMALL}"

    def failing(job, number):
        if number == 1:
            raise RuntimeError("no luck")
        return real(job, number)

    monkeypatch.setattr(steps, "label_block", failing)
    result = run(small, command)
    assert result.exit_code == 1
    assert "labels 1: RuntimeError: no luck" in result.stderr
    assert "1 pieces failed; give the command again" in result.stderr
    assert json.loads((small / RECORD).read_text())["failed"] == ["labels 1: RuntimeError: no luck"]
    half = open_volume(small / "b.ome.zarr").read((slice(0, 24), slice(0, 48), slice(0, 64)))
    assert half[..., :32].any()
    assert not half[..., 32:].any()
    monkeypatch.undo()
    assert "1 of 2 blocks have labels" in zoo(small, command)
    assert open_volume(small / "b.ome.zarr").read((slice(0, 24), slice(0, 48), slice(32, 64))).any()
    assert sorted(os.listdir(small)) == ["a.ome.zarr", "b.ome.zarr", RECORD, "b_criteria.csv"]
    assert json.loads((small / RECORD).read_text())["failed"] == []
    check_refused(small, command, "b.ome.zarr exists: choose another place, or give --overwrite")


def test_an_unknown_voxel_size_is_told(tmp_path, image):
    np.save(tmp_path / "a.npy", cropped(image))
    result = run(tmp_path, "qcanet a.npy --out b.ome.zarr --plan")
    assert "as the file does not tell: --spacing Z Y X overrides" in result.stderr
