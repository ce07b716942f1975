import errno
import logging
import os
import sys
import threading
import time
from pathlib import Path

import cloudpickle
import pytest
from dask.distributed import Client, LocalCluster

from zoo.blocks import cluster as module
from zoo.blocks.cluster import cluster
from zoo.errors import InputError

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers have no tests


@pytest.fixture(scope="module")
def scheduler():
    """The address of a scheduler with two workers in this process."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as started:
        yield started.scheduler_address


def run(where, work, numbers):
    told = []
    with cluster(where, told.append) as engine:
        return {outcome.number: outcome for outcome in engine(work, numbers)}, told


def test_each_piece_is_done_once_and_more_of_them_than_are_handed_out_at_once(scheduler):
    found, told = run(scheduler, lambda number: [f"line {number}"], range(30))
    assert {number: outcome.unread for number, outcome in found.items()} == {
        number: (f"line {number}",) for number in range(30)
    }
    assert told == ["Dask dashboard: None"] or told[0].startswith("Dask dashboard: http://")


def test_no_piece_at_all_is_nothing_to_do(scheduler):
    assert run(scheduler, lambda number: [], [])[0] == {}


def test_a_piece_that_fails_is_named_and_the_others_go_on(scheduler):
    def work(number):
        if number == 3:
            raise RuntimeError("no luck")
        return []

    found, _ = run(scheduler, work, range(9))
    assert {n: outcome.fault for n, outcome in found.items() if outcome.fault} == {3: "RuntimeError: no luck"}
    assert len(found) == 9


def test_a_full_disk_stops_all(scheduler):
    def work(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InputError, match="the disk is full"):
        run(scheduler, work, range(9))


def test_few_pieces_are_handed_out_at_once(scheduler):
    taken = []

    def numbers():
        for number in range(40):
            taken.append(number)
            yield number

    with cluster(scheduler, print) as engine:
        outcomes = engine(lambda number: [], numbers())
        next(outcomes)
        assert len(taken) <= module.AHEAD * 2 + 1
        assert len(list(outcomes)) == 39


def test_a_worker_that_dies_is_replaced_and_its_piece_is_done(tmp_path):
    def work(number, folder=str(tmp_path)):
        sign = Path(folder) / f"{number}"
        if number == 1 and not sign.exists():
            sign.touch()
            os.kill(os.getpid(), 9)
        return [f"{number}"]

    found, told = run("local:1", work, range(3))
    assert {n: outcome.unread for n, outcome in found.items()} == {0: ("0",), 1: ("1",), 2: ("2",)}
    assert told[0].startswith("Dask dashboard: http://")
    assert (tmp_path / "1").exists()


def test_workers_leave_at_once_whatever_still_runs_in_them(caplog, monkeypatch):
    def work(number):
        threading.Thread(target=time.sleep, args=(60,), daemon=False).start()  # as libraries have them
        return []

    monkeypatch.setattr(logging.getLogger("distributed"), "propagate", True)
    run("local:1", work, [0])
    assert "still alive" not in caplog.text
    assert not logging.getLogger("distributed.batched").isEnabledFor(logging.INFO)


def test_nobody_at_an_address_is_told_at_once():
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1 .*dask scheduler"):
        run("tcp://127.0.0.1:1", print, [])
    assert time.monotonic() - begun < 5


def test_settings_of_slurm_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "bad.toml").write_text("jobs = = 3")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(InputError, match=f"{name} cannot be read as TOML"):
            run(f"slurm:{tmp_path / name}", print, [])


def test_settings_of_slurm_go_to_dask_jobqueue(tmp_path, monkeypatch):
    dask_jobqueue = pytest.importorskip("dask_jobqueue")
    seen = {}

    class Fake:
        def __init__(self, **settings):
            seen.update(settings)

        def scale(self, jobs):
            seen["started"] = jobs

    monkeypatch.setattr(dask_jobqueue, "SLURMCluster", Fake)
    (tmp_path / "a.toml").write_text('jobs = 3\nqueue = "gpu"\nmemory = "32GB"\n')
    module._slurm(tmp_path / "a.toml")
    ours = {"processes": 1, "cores": 1, "worker_extra_args": ["--memory-limit", "0", "--nthreads", "1"]}
    assert seen == ours | {"started": 3, "queue": "gpu", "memory": "32GB"}
    seen.clear()
    module._slurm(None)
    assert seen == ours | {"started": 1, "memory": "16GB"}


def test_a_client_of_the_user_is_left_alone(scheduler):
    with Client(scheduler) as mine:
        run(scheduler, lambda number: [], range(3))
        assert mine.status == "running"
        assert mine.submit(abs, -3).result() == 3


class Named:
    def __init__(self, name):
        self.name = name


def test_each_worker_takes_a_gpu_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GPUS", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    module.take_gpu(Named(1))
    assert "CUDA_VISIBLE_DEVICES" not in os.environ  # no GPU
    for number in range(3):
        (tmp_path / f"0000:{number}").mkdir()
    taken = []
    for name in (0, 1, 4):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        module.take_gpu(Named(name))
        taken.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert taken == ["0", "1", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    module.take_gpu(Named(1))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
