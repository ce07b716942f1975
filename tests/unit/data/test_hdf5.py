import h5py
import numpy as np
import pytest

from zoo.data.hdf5 import check_arrays
from zoo.errors import InputError


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/a/0"] = np.ones((3, 4), np.float16)
        file["layers/a/1"] = np.arange(5)
    return tmp_path / "w.h5"


def test_arrays_of_numbers_are_taken(path):
    check_arrays(path)


def external(file):
    file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
    file.create_virtual_dataset("x", layout)


def bomb(file):
    file.create_dataset("x", (1 << 40,), "f4", chunks=(1 << 20,), fillvalue=1)


def linked(file):
    file["x"] = h5py.ExternalLink("other.h5", "/a")


def softly(file):
    file["x"] = h5py.SoftLink("/x")


def text(file):
    file.create_dataset("x", (2,), h5py.string_dtype())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (external, "x lies in another file"),
        (virtual, "x lies in another file"),
        (bomb, "4,398,046,51"),
        (linked, "x is a link"),
        (softly, "x is a link"),
        (text, "not of numbers"),
    ],
)
def test_anything_else_is_refused(path, spoil, words):
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(InputError, match=words):
        check_arrays(path)


@pytest.mark.parametrize("share", [0, 0.1, 0.9])
def test_a_file_cut_short(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="cannot be loaded"):
        check_arrays(path)


def test_a_group_that_holds_itself_is_walked_once(path):
    with h5py.File(path, "r+") as file:
        file["layers/again"] = file["layers"]
    check_arrays(path)
