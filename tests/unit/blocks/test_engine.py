import errno
import os

import pytest

from zoo.blocks.engine import Outcome, here, tried
from zoo.errors import InputError


def failing(fault, times):
    """Return work that fails so many times, and the list of its calls."""
    calls = []

    def work(number):
        calls.append(number)
        if len(calls) <= times:
            raise fault
        return ["a line"]

    return work, calls


@pytest.mark.parametrize("fault", [RuntimeError("no luck"), OSError(errno.EIO, "I/O"), MemoryError()])
def test_a_piece_is_tried_three_times(fault):
    work, calls = failing(fault, 2)
    assert tried(work, 5) == Outcome(5, ("a line",))
    assert calls == [5, 5, 5]


def test_a_piece_that_fails_three_times_is_named_in_one_line():
    work, calls = failing(RuntimeError("no\n luck " + "x" * 300), 9)
    assert tried(work, 5) == Outcome(5, fault=f"RuntimeError: no luck {'x' * 192}")
    assert len(calls) == 3
    assert tried(failing(MemoryError(), 9)[0], 1).fault == "MemoryError"


def test_bad_input_is_not_tried_again():
    work, calls = failing(InputError("NaN in it"), 9)
    assert tried(work, 5) == Outcome(5, fault="NaN in it")
    assert len(calls) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_stops_all(code):
    work, calls = failing(OSError(code, os.strerror(code)), 9)
    with pytest.raises(InputError, match=r"the disk is full .* what is done stays"):
        list(here(work, range(3)))
    assert len(calls) == 1


def test_a_full_disk_behind_another_fault_stops_all():
    fault = InputError("a.npz cannot be written")
    fault.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(InputError, match="the disk is full"):
        tried(failing(fault, 9)[0], 1)


def test_one_that_fails_does_not_keep_the_others():
    def work(number):
        if number == 1:
            raise RuntimeError("no luck")
        return []

    assert [outcome.fault for outcome in here(work, range(3))] == ["", "RuntimeError: no luck", ""]


def test_ctrl_c_is_no_fault_of_a_piece():
    with pytest.raises(KeyboardInterrupt):
        tried(failing(KeyboardInterrupt(), 9)[0], 1)
