import random

import h5py
import numpy as np
import pytest

from zoo.errors import InputError
from zoo.train.store import load, save

RNG = np.random.default_rng(0)
WEIGHTS = [
    RNG.random((3, 3, 2, 4), np.float32),
    RNG.random(4),
    np.array(7, np.int64),
    np.zeros((0, 5), np.float32),
    RNG.random((2, 3)).astype(np.float16),
]


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "best.weights.h5", {"model": WEIGHTS})
    return tmp_path / "best.weights.h5"


def refused(path, *words, name="model", like=WEIGHTS):
    """See that weights are refused in one line which names the file and says `words`."""
    with pytest.raises(InputError) as caught:
        load(path, name, like)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_come_back_bit_by_bit(path):
    found = load(path, "model", WEIGHTS)
    assert len(found) == len(WEIGHTS)
    for array, expected in zip(found, WEIGHTS, strict=True):
        np.testing.assert_array_equal(array, expected, strict=True)


def test_the_order_is_kept_beyond_ten_and_a_hundred(tmp_path):
    arrays = [np.array([float(n)]) for n in range(250)]
    save(tmp_path / "w.h5", {"model": arrays})
    assert [float(a[0]) for a in load(tmp_path / "w.h5", "model", arrays)] == list(range(250))


def test_lists_are_told_apart_by_their_names(tmp_path):
    groups = {"model": [np.ones(2)], "optimiser": [np.array(3), np.zeros(2)]}
    save(tmp_path / "w.h5", groups)
    for name, arrays in groups.items():
        for found, expected in zip(load(tmp_path / "w.h5", name, arrays), arrays, strict=True):
            np.testing.assert_array_equal(found, expected)
    refused(tmp_path / "w.h5", "cannot be read", "train anew", name="gradients")


def test_another_is_replaced_at_once_or_not_at_all(path):
    save(path, {"model": [np.zeros(3)]})
    assert load(path, "model", [np.ones(3)])[0].tolist() == [0, 0, 0]

    def torn():
        yield np.ones(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save(path, {"model": torn()})
    assert load(path, "model", [np.ones(3)])[0].tolist() == [0, 0, 0]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "like, words",
    [
        (WEIGHTS[:-1], ("5 arrays, 83 values", "4 arrays, 77 values")),
        ([*WEIGHTS, np.zeros(1000)], ("6 arrays, 1,083 values",)),
        ([WEIGHTS[0].reshape(3, 3, 4, 2), *WEIGHTS[1:]], ("5 arrays, 83 values",)),
        (WEIGHTS[::-1], ("5 arrays",)),
        ([], ("0 arrays, 0 values",)),
    ],
)
def test_weights_of_another_network_are_refused(path, like, words):
    refused(path, "are of another network", "give those of its own backbone", *words, like=like)


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "none.h5", "cannot be read", "train anew")


def test_a_folder_is_refused_in_one_line(tmp_path):
    refused(tmp_path, "cannot be read")


@pytest.mark.parametrize("content", [b"", b"weights", b"\x89HDF\r\n\x1a\n", b"\0" * 4096])
def test_what_is_no_hdf5_is_refused(tmp_path, content):
    (tmp_path / "w.h5").write_bytes(content)
    refused(tmp_path / "w.h5", "cannot be read")


def test_cut_anywhere_weights_are_refused(path):
    whole = path.read_bytes()
    for end in [random.Random(0).randrange(len(whole) - 1) for _ in range(20)]:
        path.write_bytes(whole[:end])
        refused(path, "cannot be read")


def test_bytes_changed_anywhere_never_raise_anything_else(path):
    whole = path.read_bytes()
    draw = random.Random(0)
    outcomes = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[draw.randrange(len(whole))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            outcomes.add("read" if load(path, "model", WEIGHTS) else "nothing")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_a_list_that_is_one_array_is_refused(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["model"] = np.ones((3, 2))
    refused(tmp_path / "w.h5", "cannot be read")
