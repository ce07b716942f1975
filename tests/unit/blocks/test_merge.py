import dataclasses

import numpy as np
import pytest
from block_jobs import UM, label_all, make_job, maps, show, silently
from scipy import ndimage as ndi

from zoo.blocks.engine import here
from zoo.blocks.labels import IDS, OBJECTS, label_block
from zoo.blocks.merge import NUMBERS, WRITTEN, add_up, chunk_for, cut_objects, type_for, unread_in
from zoo.blocks.run import Report, merge_blocks
from zoo.data.volumes import open_volume
from zoo.errors import InputError
from zoo.evaluate.criteria import measure
from zoo.evaluate.overlap import count_overlap
from zoo.fusion.landscape import find_markers, split_by_vote
from zoo.fusion.watershed import remove_small

LEAST = 60.0  # um3
NOT_BY_BLOCKS = {"surface_um2", "sphericity"}


def merged(jobs, out, least=LEAST):
    report = Report()
    merge_blocks(jobs, out, least, here, silently, report)
    return report


def whole_of(path, time=0):
    volume = open_volume(path, time=time)
    return volume.read(tuple(slice(0, n) for n in volume.shape))


@pytest.mark.parametrize("block", [(20, 48, 44), (8, 16, 16), (7, 20, 44)])
def test_labels_and_sums_are_those_of_the_whole_volume(tmp_path, monkeypatch, block):
    mask, centres, probability, image = maps()
    show(monkeypatch, mask, centres, probability)
    job = make_job(tmp_path, image, block)
    label_all(job)
    report = merged([job], tmp_path / "out.ome.zarr")
    labels = whole_of(tmp_path / "out.ome.zarr")
    whole = remove_small(split_by_vote(mask, centres, UM), LEAST, UM)
    found = count_overlap(whole, labels)
    assert len(found.truth_ids) > 15
    assert (found.iou == 1).sum() == len(found.truth_ids) == len(found.pred_ids)

    assert report.failed == report.unread == report.notes == []
    for ours, theirs in zip(report.nuclei, measure(labels, UM, image, 0, probability, centres), strict=True):
        for field in dataclasses.fields(ours):
            if field.name not in NOT_BY_BLOCKS:
                assert getattr(ours, field.name) == pytest.approx(getattr(theirs, field.name)), field.name
        assert np.isnan([ours.surface_um2, ours.sphericity]).all()


def test_the_order_in_which_blocks_are_done_changes_nothing(tmp_path, monkeypatch):
    mask, centres, probability, image = maps(seed=4)
    show(monkeypatch, mask, centres, probability)
    found = []
    for name, order in (("a", None), ("b", np.random.default_rng(0).permutation(8).tolist())):
        (tmp_path / name).mkdir()
        job = make_job(tmp_path / name, image, (10, 24, 22))
        label_all(job, order)
        merged([job], tmp_path / f"{name}.ome.zarr")
        found.append(whole_of(tmp_path / f"{name}.ome.zarr"))
    np.testing.assert_array_equal(*found)


def test_a_volume_without_an_object_has_empty_labels(tmp_path, monkeypatch):
    image = np.zeros((8, 20, 20), np.uint8)
    show(monkeypatch, np.zeros(image.shape, bool), image, image)
    job = make_job(tmp_path, image, (8, 16, 16))
    label_all(job)
    assert merged([job], tmp_path / "out.ome.zarr").nuclei == []
    labels = whole_of(tmp_path / "out.ome.zarr")
    assert labels.dtype == np.uint8
    assert not labels.any()


def test_each_frame_is_numbered_from_one(tmp_path, monkeypatch):
    frames = [maps((8, 32, 32), seed) for seed in (1, 2)]
    mask, centres, probability, image = (np.stack(kind) for kind in zip(*frames, strict=True))
    show(monkeypatch, mask, centres, probability)
    jobs = [make_job(tmp_path, image, (8, 16, 16), time=t, name=f"t{t:04d}") for t in (0, 1)]
    for job in jobs:
        label_all(job)
    report = merged(jobs, tmp_path / "out.ome.zarr")
    for time in (0, 1):
        labels = whole_of(tmp_path / "out.ome.zarr", time)
        whole = remove_small(split_by_vote(mask[time], centres[time], UM), LEAST, UM)
        assert (count_overlap(whole, labels).iou == 1).sum() == whole.max() > 2
        counted = [nucleus.label for nucleus in report.nuclei if nucleus.frame == time]
        assert counted == list(range(1, whole.max() + 1))


def test_parts_of_an_object_are_added_up_by_hand(tmp_path):
    """Two blocks of 1 x 1 x 2 voxels hold 3 voxels of object 5; object 9 is a single voxel."""
    job = make_job(tmp_path, np.zeros((2, 16, 32), np.uint8), (2, 16, 16))
    none = {"larger": np.array(False), "unread": np.array([], np.str_)}

    def part(ids, voxels, places, box, intensity, probability, centre):
        values = (ids, voxels, places, box, intensity, probability, centre)
        keys = ("id", "voxels", "places", "box", "intensity", "probability", "centre")
        return {key: np.array(value) for key, value in zip(keys, values, strict=True)}

    left = part([5], [2], [[2, 4, 29]], [[[1, 2], [2, 3], [14, 16]]], [30.0], [1.5], [0.25])
    right = part(
        [5, 9],
        [1, 1],
        [[1, 2, 16], [0, 0, 31]],
        [[[1, 2], [2, 3], [16, 17]], [[0, 1], [0, 1], [31, 32]]],
        [12.0, 7.0],
        [0.9, 0.5],
        [0.75, 0.5],
    )
    job.store.put_table(OBJECTS, 0, left | none)
    job.store.put_table(OBJECTS, 1, right | none)
    (first, second), smaller = add_up(job, [0, 1], 0.0)
    assert smaller == 0
    assert (first.label, first.voxels, first.volume_um3) == (1, 3, 6.0)
    assert (first.z_um, first.y_um, first.x_um) == (2.0, 2.0, 15.0)
    assert (first.mean_intensity, first.mean_probability) == pytest.approx((14.0, 0.8))
    assert first.centre_probability == 0.75
    assert first.touches_border  # two planes: all touches one
    assert (second.label, second.voxels, second.x_um) == (2, 1, 31.0)
    nuclei, smaller = add_up(job, [0, 1], 4.0)
    assert ([nucleus.voxels for nucleus in nuclei], smaller) == ([3], 1)
    assert [job.store.table(NUMBERS, block)["number"].tolist() for block in (0, 1)] == [[1], [1, 0]]


def test_other_numbers_make_what_was_written_undone(tmp_path, monkeypatch):
    mask, centres, probability, image = maps((8, 32, 32), 3)
    show(monkeypatch, mask, centres, probability)
    job = make_job(tmp_path, image, (8, 16, 16))
    label_all(job)
    add_up(job, range(len(job.blocks)), 0.0)
    job.store.put(IDS, job.blocks[0], job.store.array(IDS)[job.blocks[0]], WRITTEN, 0)  # as if it were
    add_up(job, range(len(job.blocks)), 0.0)
    assert job.store.marked(WRITTEN, 0)
    add_up(job, range(len(job.blocks)), 1e4)
    assert not job.store.marked(WRITTEN, 0)


def test_a_hole_is_not_left_without_a_word(tmp_path, monkeypatch):
    mask, centres, probability, image = maps((8, 32, 32), 3)
    show(monkeypatch, mask, centres, probability)
    job = make_job(tmp_path, image, (8, 16, 16))
    for number in (0, 1, 3):
        label_block(job, number)
    assert merged([job], tmp_path / "out.ome.zarr").failed == ["1 blocks have no labels, the first is 2"]


def test_what_is_torn_is_not_merged_in_silence(tmp_path, monkeypatch):
    mask, centres, probability, image = maps((8, 32, 32), 3)
    show(monkeypatch, mask, centres, probability)
    job = make_job(tmp_path, image, (8, 16, 16))
    label_all(job)
    box = job.blocks[3]
    job.store.array(IDS)[box] = 1 + job.store.array(IDS)[box]
    report = merged([job], tmp_path / "out.ome.zarr")
    assert len(report.failed) == 1
    assert report.failed[0].startswith("writing 3: the labels of block 3 are lost: ")
    label_all(job)
    assert merged([job], tmp_path / "out.ome.zarr").failed == []
    whole = remove_small(split_by_vote(mask, centres, UM), LEAST, UM)
    np.testing.assert_array_equal(whole > 0, whole_of(tmp_path / "out.ome.zarr") > 0)
    (job.store.path / OBJECTS / "000002.npz").write_bytes(b"torn")
    with pytest.raises(InputError, match="the objects of block 2 are lost"):
        merged([job], tmp_path / "out.ome.zarr")


def test_objects_beyond_the_widest_halo_and_chunks_that_could_not_be_read_are_told(tmp_path, monkeypatch):
    shape = (8, 16, 160)
    mask = np.zeros(shape, bool)
    mask[3:5, 6:9, 2:158] = True  # a worm
    flat = mask.astype(np.uint8) * 200
    centres = np.zeros(shape, np.uint8)
    centres[3:5, 6:9, 4:7] = 255
    show(monkeypatch, mask, centres, flat)
    job = make_job(tmp_path, flat, (8, 16, 16), halo=(4, 4, 4))
    label_all(job)
    numbers = range(len(job.blocks))
    (note,) = cut_objects(job, numbers)
    assert "needs more than 4 halos" in note
    assert "the first z, y, x 0 to 7, 0 to 15, " in note
    assert unread_in(job, numbers) == []
    table = job.store.table(OBJECTS, 4)
    for number in (4, 5):
        job.store.put_table(OBJECTS, number, table | {"unread": np.array(["chunk 7"])})
    assert unread_in(job, numbers) == ["chunk 7"]


@pytest.mark.parametrize(
    ("block", "chunk"), [((64, 256, 100), (64, 128, 100)), ((16, 384, 131), (16, 128, 131))]
)
def test_a_block_is_made_of_whole_chunks(block, chunk):
    assert chunk_for(block) == chunk


def test_labels_have_the_smallest_type_that_holds_them():
    assert [type_for(n).name for n in (0, 255, 256, 65536, 2**32 - 1, 2**32)] == [
        "uint8",
        "uint8",
        "uint16",
        "uint32",
        "uint32",
        "uint64",
    ]


@pytest.mark.parametrize("sigma", [3, 10])
def test_markers_of_large_objects_are_sought_with_a_larger_halo(tmp_path, monkeypatch, sigma):
    shape = (48, 96, 96)
    rough = np.random.default_rng(0).normal(size=shape)
    mask = ndi.gaussian_filter(rough, (sigma / 2, sigma, sigma)) > 0
    flat, centres = mask.astype(np.uint8) * 200, np.zeros(shape, np.uint8)
    show(monkeypatch, mask, centres, flat)
    job = make_job(tmp_path, flat, (16, 32, 32), halo=(8, 16, 16))
    label_all(job)
    found = np.concatenate([job.store.table("markers", number)["at"] for number in range(len(job.blocks))])
    markers, _ = find_markers(mask, centres, UM)
    assert sorted(map(tuple, found)) == sorted(map(tuple, markers))
    tables = [job.store.table("markers", number) for number in range(len(job.blocks))]
    assert not any(table["larger"] for table in tables)  # in the end all had room enough
