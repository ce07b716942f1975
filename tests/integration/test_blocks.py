"""Labels by blocks against those of the whole volume, with the weights that come along."""

import numpy as np
import pytest
from block_jobs import begin, silently

from zoo import registry
from zoo.blocks.audit import agreement, audit
from zoo.blocks.engine import here
from zoo.blocks.labels import label_block, mark_block
from zoo.blocks.maps import map_window
from zoo.blocks.run import merge_blocks, segment_blocks
from zoo.data.omezarr import create
from zoo.data.tissue import Tissue
from zoo.data.volumes import open_volume
from zoo.evaluate.overlap import count_overlap
from zoo.segment import segment
from zoo.weights import open_networks

UM = (1.6, 1.0, 1.0)
SHAPE = (40, 96, 88)
QCANET = registry.get("qcanet")


@pytest.fixture(scope="module")
def image():
    return Tissue(seed=1, shape=SHAPE, spacing=UM).image(tuple(slice(0, n) for n in SHAPE))


@pytest.fixture(scope="module")
def volume(image, tmp_path_factory):
    path = tmp_path_factory.mktemp("volume") / "image.ome.zarr"
    create(path, SHAPE, image.dtype, UM, chunks=(16, 32, 32))[:] = image
    return open_volume(path)


@pytest.fixture(scope="module")
def whole(image):
    return segment(QCANET, open_networks(QCANET, ()), image, UM).labels


def make_job(volume, folder, block=(24, 40, 40), window=32, halo_um=32.0):
    halo = tuple(int(np.ceil(halo_um / um)) for um in UM)
    windows = dict.fromkeys(QCANET.needs.values(), (window,) * 3)
    return begin(folder, volume, UM, block, halo, windows)


def run(job, out, engine=here):
    report = segment_blocks(job, engine, silently)
    merge_blocks([job], out, QCANET.subject.min_volume, engine, silently, report)
    assert report.failed == report.unread == []
    return open_volume(out).read(tuple(slice(0, n) for n in SHAPE)), report


@pytest.mark.parametrize("block", [(40, 96, 88), (24, 40, 40), (16, 24, 56)])
def test_labels_by_blocks_are_those_of_the_whole(volume, whole, tmp_path, block):
    labels, report = run(make_job(volume, tmp_path, block), tmp_path / "labels.ome.zarr")
    found = agreement([count_overlap(whole, labels)])
    print(block, found)
    assert found.nuclei == whole.max() > 30
    assert found.f1 >= 0.999
    assert found.differing <= 1e-4
    assert sorted(nucleus.label for nucleus in report.nuclei) == list(range(1, labels.max() + 1))


def test_shards_in_any_order_give_the_same_labels(volume, whole, tmp_path):
    job = make_job(volume, tmp_path)
    for shard in (3, 1, 4, 2):
        report = segment_blocks(job, here, silently, (shard, 4))
        assert report.failed == []
    merged, _ = run(job, tmp_path / "labels.ome.zarr")
    alone, _ = run(make_job(volume, tmp_path / "alone"), tmp_path / "alone.ome.zarr")
    np.testing.assert_array_equal(merged, alone)


def test_what_is_torn_is_done_again_and_what_is_whole_is_not(volume, tmp_path, monkeypatch):
    job = make_job(volume, tmp_path)
    segment_blocks(job, here, silently)
    chunk = next((job.store.path / "maps-qcanet_nsn" / "c").rglob("1"))
    chunk = chunk if chunk.is_file() else next(path for path in chunk.rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-20])
    (job.store.path / "markers" / "000003.npz").write_bytes(b"torn")
    worked = []
    for name in ("map_window", "mark_block", "label_block"):
        monkeypatch.setattr(f"zoo.blocks.run.{name}", counting(name, worked, job))
    segment_blocks(job, here, silently)
    assert sorted(worked) == [("map_window", 1), ("mark_block", 1)]


def counting(name, worked, job):
    """Tell whether a piece of work wrote something."""
    real = {"map_window": map_window, "mark_block": mark_block, "label_block": label_block}[name]

    def work(*given):
        before = written(job)
        done = real(*given)
        if written(job) != before:
            worked.append((name, 1))
        return done

    return work


def written(job):
    marks = job.store.path / "done"
    return {path: path.stat().st_mtime_ns for path in marks.rglob("*") if path.is_file()}


def test_a_nucleus_larger_than_the_halo_is_seen_and_done_with_a_larger_one(volume, whole, tmp_path):
    labels, _ = run(make_job(volume, tmp_path, halo_um=4.0), tmp_path / "labels.ome.zarr")
    assert agreement([count_overlap(whole, labels)]).f1 >= 0.99


def test_the_audit_finds_a_seam_that_was_cut_on_purpose(volume, tmp_path):
    job, out = make_job(volume, tmp_path), tmp_path / "labels.ome.zarr"
    run(job, out)
    least = QCANET.subject.min_volume
    assert audit(job, out, 4, least).f1 == 1.0
    import zarr

    array = zarr.open_array(str(out / "0"), mode="r+")
    values = array[:]
    values[:, :40][values[:, :40] > 0] += 100
    array[:] = values
    found = audit(job, out, 4, least)
    assert found.f1 < 0.99
    assert found.differing > 1e-4


def test_a_damaged_chunk_is_named_and_the_rest_is_done(volume, whole, tmp_path, image):
    path = tmp_path / "image.ome.zarr"
    create(path, SHAPE, image.dtype, UM, chunks=(16, 32, 32))[:] = image
    chunk = path / "0" / "c" / "0" / "0" / "0"
    chunk.write_bytes(b"damaged")
    job = make_job(open_volume(path), tmp_path)
    report = segment_blocks(job, here, silently)
    assert report.failed == []
    assert len(report.unread) == 1
    assert "c/0/0/0" in report.unread[0]
    merge_blocks([job], tmp_path / "labels.ome.zarr", 400.0, here, silently, report)
    labels = open_volume(tmp_path / "labels.ome.zarr").read(tuple(slice(0, n) for n in SHAPE))
    far = np.s_[:, 64:, 64:]
    assert agreement([count_overlap(whole[far], labels[far])]).f1 > 0.9
    assert not labels[:10, :24, :24].any()


def test_a_block_that_fails_is_named_and_the_others_go_on(volume, tmp_path, monkeypatch):
    job, tries = make_job(volume, tmp_path), []

    def failing(given, number):
        if number == 2:
            tries.append(number)
            raise RuntimeError("no luck")
        return label_block(given, number)

    monkeypatch.setattr("zoo.blocks.run.label_block", failing)
    report = segment_blocks(job, here, silently)
    assert len(tries) == 3
    assert report.failed == ["labels 2: RuntimeError: no luck"]
    out = tmp_path / "labels.ome.zarr"
    merge_blocks([job], out, 400.0, here, silently, report)
    labels = open_volume(out)
    assert not labels.read(job.blocks[2]).any()
    assert labels.read(job.blocks[0]).any()
    monkeypatch.undo()
    mended, _ = run(job, out)  # the same folder goes on
    alone, _ = run(make_job(volume, tmp_path / "alone"), tmp_path / "alone.ome.zarr")
    np.testing.assert_array_equal(mended, alone)
