"""The process in which networks are at work."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pieces
import psutil
import pytest

from zoo.blocks.apart import alone, apart, end
from zoo.blocks.engine import tried
from zoo.errors import InputError


@pytest.fixture(autouse=True)
def reachable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(pieces.__file__).parent))
    yield
    end()


def test_pieces_share_a_process_that_ends_before_what_is_done_here():
    first, second = apart(pieces.where, 3), apart(pieces.where, 4)
    assert (first[1], second[1]) == ("3", "4")
    assert first[0] == second[0] != str(os.getpid())
    assert psutil.pid_exists(int(first[0]))
    assert alone(pieces.where, 5) == [str(os.getpid()), "5"]
    assert not psutil.pid_exists(int(first[0]))
    assert apart(pieces.where, 6)[0] not in (first[0], str(os.getpid()))


def test_a_process_that_holds_too_much_ends():
    first = apart(pieces.where, 1, most=1e12)[0]
    assert apart(pieces.where, 2, most=1e3)[0] == first
    assert not psutil.pid_exists(int(first))
    assert apart(pieces.where, 3)[0] != first


def test_what_is_raised_arrives_with_its_cause():
    with pytest.raises(InputError, match="piece 2") as fault:
        apart(pieces.refuse, 2)
    assert isinstance(fault.value.__cause__, OSError)
    assert fault.value.__cause__.errno == errno.ENOSPC
    with pytest.raises(RuntimeError, match="Unpackable: piece 7"):
        apart(pieces.fail, 7)
    with pytest.raises(RuntimeError, match="BadZipFile: piece 8"):  # others' are not loaded here
        apart(pieces.foreign, 8)


def test_threads_wait_for_each_other():
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(partial(apart, pieces.where), range(40)))
    assert [number for _, number in found] == [str(number) for number in range(40)]
    assert len({process for process, _ in found}) == 1


def test_a_full_disk_there_stops_the_run_here():
    with pytest.raises(InputError, match="the disk is full"):
        tried(lambda number: apart(pieces.refuse, number), 1)


def test_a_process_that_ends_is_told_and_the_next_piece_has_another():
    before = apart(pieces.where, 0)[0]
    with pytest.raises(RuntimeError, match=r"the process of the networks has ended \(code 3\)"):
        apart(pieces.end_all, 3)
    assert apart(pieces.where, 0)[0] != before


def test_the_process_outlives_ctrl_c_but_not_who_made_it():
    said = "import pieces, time, zoo.blocks.apart as a; print(*a.apart(pieces.where, 1), flush=True)"
    maker = subprocess.Popen(
        [sys.executable, "-c", f"{said}; a.apart(pieces.sleep, 60)"], stdout=subprocess.PIPE, text=True
    )
    helper = psutil.Process(int(maker.stdout.readline().split()[0]))
    helper.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert helper.is_running()
    maker.terminate()
    maker.communicate()
    psutil.wait_procs([helper], timeout=20)
    assert not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE
