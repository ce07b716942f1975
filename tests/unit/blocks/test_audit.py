import numpy as np
import pytest
from block_jobs import UM, label_all, make_job, maps, show

from zoo.blocks import audit as module
from zoo.blocks.audit import Agreement, agreement, audit
from zoo.blocks.engine import here
from zoo.blocks.run import Report, merge_blocks
from zoo.evaluate.overlap import count_overlap

LEAST = 60.0


def test_agreement_by_hand():
    one = np.zeros((1, 4, 10), int)
    one[0, 0], one[0, 1], one[0, 2, :5] = 1, 2, 3
    two = np.zeros_like(one)
    two[0, 0], two[0, 1, :8], two[0, 2, :5] = 7, 8, 9  # the second lost 2 of 10 voxels
    found = agreement([count_overlap(one, two), count_overlap(one, one)])
    assert found == Agreement(2, 6, pytest.approx(10 / 12), pytest.approx(2 / 80))


def test_objects_that_are_in_one_alone_differ_in_all_their_voxels():
    one, two = np.zeros((2, 1, 2, 10), int)
    one[0, 0] = 1
    two[0, 1, :4] = 1
    assert agreement([count_overlap(one, two)]) == Agreement(1, 1, 0.0, pytest.approx(14 / 20))


def test_nothing_anywhere_agrees():
    nothing = np.zeros((2, 3, 4), int)
    assert agreement([count_overlap(nothing, nothing)]) == Agreement(1, 0, 1.0, 0.0)
    assert agreement([]) == Agreement(0, 0, 1.0, 0.0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A job whose labels are made, of maps that the audit sees, too."""
    mask, centres, probability, image = maps((20, 64, 64), seed=2)
    show(monkeypatch, mask, centres, probability)
    given = {"qcanet_nsn": np.where(mask, 0.9, 0.1), "qcanet_ndn": centres / 255}
    monkeypatch.setattr(module, "probability_of_piece", lambda job, name, box: given[name][box])
    monkeypatch.setattr(module, "EDGE_UM", 24.0)
    job = make_job(tmp_path, image, (10, 32, 32), halo=(8, 16, 16))
    label_all(job)
    merge_blocks([job], tmp_path / "out.zarr", LEAST, here, lambda step, total, all: all, Report())
    return job, tmp_path / "out.zarr"


def test_labels_without_seams_agree(run):
    found = audit(*run, 5, LEAST)
    assert found.windows == 5
    assert found.nuclei > 5
    assert found.f1 == 1.0
    assert found.differing <= 1e-3


def test_windows_lie_across_borders_and_are_drawn_by_seed(run):
    job, _ = run
    windows = module._windows(job, 7, np.random.default_rng(1))
    assert len(windows) == 7  # all blocks but the last have others after them
    for window in windows:
        assert [side.stop - side.start for side in window] == [round(24 / um) for um in UM]
        crossed = [side.start < edge < side.stop for side, edge in zip(window, job.block, strict=True)]
        assert any(crossed)
        assert all(0 <= side.start < side.stop <= n for side, n in zip(window, job.volume.shape, strict=True))
    assert windows == module._windows(job, 7, np.random.default_rng(1))
    assert windows != module._windows(job, 7, np.random.default_rng(2))
    assert len(module._windows(job, 99, np.random.default_rng(1))) == 7


def test_a_seam_is_found(run):
    import zarr

    job, out = run
    array = zarr.open_array(str(out / "0"), mode="r+")
    values = array[:]
    values[:, :32][values[:, :32] > 0] += 100
    array[:] = values
    found = audit(job, out, 7, LEAST)
    assert found.f1 < 0.95
    assert found.differing > 1e-3


def test_a_volume_of_one_block_has_no_borders(tmp_path, monkeypatch):
    mask, centres, probability, image = maps((10, 20, 20))
    show(monkeypatch, mask, centres, probability)
    job = make_job(tmp_path, image, (16, 32, 32))
    label_all(job)
    merge_blocks([job], tmp_path / "out.zarr", LEAST, here, lambda step, total, all: all, Report())
    assert audit(job, tmp_path / "out.zarr", 4, LEAST).windows == 0
