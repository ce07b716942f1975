"""An ensemble by blocks against the same ensemble on the whole, with detectors that are drawn by hand."""

from functools import partial

import numpy as np
import pytest
from block_jobs import UM, maps, silently
from scipy import ndimage as ndi

from zoo import registry
from zoo.blocks import nuclei, slices
from zoo.blocks.audit import agreement, audit
from zoo.blocks.engine import here
from zoo.blocks.job import Job
from zoo.blocks.reader import Reader
from zoo.blocks.run import make_arrays, merge_blocks, segment_blocks
from zoo.blocks.store import Store, open_store
from zoo.data.volumes import open_volume
from zoo.evaluate.overlap import count_overlap
from zoo.fusion.detections import Detections
from zoo.fusion.slices import join
from zoo.recipe import change
from zoo.vote import agree

SHAPE = (20, 96, 88)
RECIPE = change(registry.get("mrcnn_ensemble").recipes["default"], {"members": (), "pixel_um": 1.0})


class Blobs:
    """A detector that finds what is brighter than a level, each connected piece for itself."""

    recipe = RECIPE

    def __init__(self, level):
        self.level = level

    def detect_slices(self, scaled, chosen, shape, part):
        found = []
        for z in chosen:
            labels, count = ndi.label(scaled[z] > self.level)
            boxes = ndi.find_objects(labels)
            starts = [[side.start + first for side, first in zip(box, part[0], strict=True)] for box in boxes]
            masks = tuple(labels[box] == i for i, box in enumerate(boxes, start=1))
            assert tuple(part[1]) == tuple(shape) == SHAPE[1:]
            found.append(
                Detections(np.array(starts, int).reshape(-1, 2), masks, np.full(count, 0.9, np.float32))
            )
        return found


@pytest.fixture(autouse=True)
def members(monkeypatch):
    """Three members that see the same nuclei a little larger or smaller."""
    all_of = [(f"member {n}", Blobs(level)) for n, level in enumerate((0.35, 0.45, 0.55), start=1)]
    for module in (slices,):
        monkeypatch.setattr(module, "members_of", lambda job: all_of)
    return all_of


@pytest.fixture(scope="module")
def image():
    mask, *_ = maps(SHAPE, seed=3, pressed=False)
    light = ndi.gaussian_filter(mask.astype(np.float32), 0.7)
    return (100 + 3000 * light + np.random.default_rng(0).normal(0, 5, SHAPE)).astype(np.uint16)


def make_job(folder, image, block, halo=(8, 24, 24)):
    path = folder / "image.npy"
    if not path.exists():
        np.save(path, image)
    job = Job(
        room=10**9,
        name="emrcnn",
        weights=(),
        volume=open_volume(path),
        spacing=UM,
        store=Store(folder / f"run{block[1]}" / "t0000"),
        block=block,
        halo=halo,
        windows={},
        threshold=0.5,
    )
    open_store(job.store.path, {"block": block}, partial(make_arrays, block, SHAPE, {}))
    return job


def by_blocks(folder, job):
    report = segment_blocks(job, here, silently)
    out = folder / f"labels{job.block[1]}.ome.zarr"
    merge_blocks([job], out, 30.0, here, silently, report)
    assert report.failed == report.unread == []
    return open_volume(out).read(tuple(slice(0, n) for n in SHAPE)), report, out


def as_whole(job, members):
    box = tuple(slice(0, n) for n in SHAPE)
    found = slices.detect_in(job, box, Reader(job.volume))
    assert len(found) == len(members)
    fused, shares = agree(found, SHAPE, UM, 0.5)
    return join([one.detections for one in fused], SHAPE, UM, min_volume=30.0), shares


@pytest.mark.parametrize("block", [(20, 96, 88), (20, 32, 32), (20, 40, 24), (10, 48, 44)])
def test_labels_by_blocks_are_those_of_the_whole(block, image, members, tmp_path):
    job = make_job(tmp_path, image, block)
    labels, report, _ = by_blocks(tmp_path, job)
    whole, _ = as_whole(job, members)
    found = agreement([count_overlap(whole, labels)])
    assert found.nuclei == whole.max() > 15
    assert found.f1 == 1
    assert found.differing == 0
    assert len(report.nuclei) == found.nuclei


def test_each_detection_and_each_nucleus_has_one_owner(image, members, tmp_path):
    whole = make_job(tmp_path, image, SHAPE)
    parts = make_job(tmp_path, image, (20, 32, 32))
    for job in (whole, parts):
        segment_blocks(job, here, silently)
    for step in (slices.DETECTIONS, nuclei.NUCLEI):
        tables = [parts.store.table(step, number) for number in range(len(parts.blocks))]
        starts = sorted(map(tuple, np.concatenate([table["starts"] for table in tables]).tolist()))
        assert starts == sorted(map(tuple, whole.store.table(step, 0)["starts"].tolist()))
        assert len(starts) > 15


def test_measurements_are_those_of_the_labels(image, members, tmp_path):
    job = make_job(tmp_path, image, (20, 32, 32))
    labels, report, _ = by_blocks(tmp_path, job)
    _, shares = as_whole(job, members)
    for nucleus in report.nuclei:
        own = labels == nucleus.label
        assert nucleus.voxels == own.sum()
        assert nucleus.volume_um3 == pytest.approx(own.sum() * np.prod(UM))
        assert (nucleus.z_um, nucleus.y_um, nucleus.x_um) == pytest.approx(np.argwhere(own).mean(axis=0) * UM)
        assert nucleus.mean_intensity == pytest.approx(image[own].mean())
        assert nucleus.mean_probability == pytest.approx(shares[own].mean(), abs=0.01)
        assert np.isnan(nucleus.centre_probability)


def test_what_is_done_is_not_done_again_and_what_is_torn_is(image, tmp_path, monkeypatch):
    job = make_job(tmp_path, image, (20, 48, 44))
    first, *_ = by_blocks(tmp_path, job)
    asked = []
    monkeypatch.setattr(Blobs, "detect_slices", lambda *_, **__: asked.append(1))
    np.testing.assert_array_equal(by_blocks(tmp_path, job)[0], first)
    (job.store.path / nuclei.NUCLEI / "000001.npz").write_bytes(b"torn")
    (job.store.path / "objects" / "000001.npz").write_bytes(b"torn")
    np.testing.assert_array_equal(by_blocks(tmp_path, job)[0], first)
    assert asked == []


def test_the_audit_does_windows_as_one_piece(image, tmp_path):
    job = make_job(tmp_path, image, (20, 32, 32))
    _, _, out = by_blocks(tmp_path, job)
    found = audit(job, out, 3, 30.0)
    assert found.windows == 3
    assert found.nuclei > 5
    assert found.f1 >= 0.95
