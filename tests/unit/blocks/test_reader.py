import numpy as np
import pytest

from zoo.blocks.reader import Reader, Unreadable
from zoo.data.omezarr import create
from zoo.data.volumes import open_volume
from zoo.errors import InputError

SHAPE = (64, 64, 128)
ALL = tuple(slice(0, n) for n in SHAPE)
CHUNK = (slice(32, 64), slice(0, 32), slice(64, 96))  # damaged


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(50, 1000, SHAPE).astype(np.uint16)


@pytest.fixture
def path(tmp_path, array):
    create(tmp_path / "a.zarr", SHAPE, np.uint16, None, chunks=(32, 32, 32))[:] = array
    (tmp_path / "a.zarr" / "0" / "c" / "1" / "0" / "2").write_bytes(b"damaged")
    return tmp_path / "a.zarr"


def test_what_is_whole_is_read_as_it_is(path, array):
    reader = Reader(open_volume(path))
    box = (slice(3, 60), slice(2, 50), slice(1, 64))
    np.testing.assert_array_equal(reader(box), array[box])
    assert reader.faults == []


def test_a_damaged_chunk_is_dark_and_all_others_are_there(path, array):
    reader = Reader(open_volume(path))
    found = reader(ALL)
    damaged = np.zeros(SHAPE, bool)
    damaged[CHUNK] = True
    np.testing.assert_array_equal(found[~damaged], array[~damaged])
    assert (found[damaged] == array[~damaged].min()).all()
    assert found.dtype == np.uint16
    assert len(reader.faults) == 1
    assert "0/c/1/0/2 (z 32 to 63, y 0 to 31, x 64 to 95) cannot be decoded" in reader.faults[0]
    reader(ALL)
    assert len(reader.faults) == 1  # named once


def test_a_box_of_which_nothing_can_be_read_is_an_error_or_dark(path):
    inner = (slice(40, 50), slice(2, 30), slice(70, 90))
    with pytest.raises(Unreadable, match="0/c/1/0/2"):
        Reader(open_volume(path))(inner)
    reader = Reader(open_volume(path), dark=7)
    assert (reader(inner) == 7).all()
    assert reader(inner).shape == (10, 28, 20)
    assert len(reader.faults) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_none_are_an_error_where_they_are(tmp_path, value):
    image = np.zeros((8, 8, 8), np.float32)
    image[3, 4, 5] = value
    np.save(tmp_path / "a.npy", image)
    reader = Reader(open_volume(tmp_path / "a.npy"))
    with pytest.raises(InputError, match="has NaN or infinity in z, y, x 2 to 4, 0 to 7, 0 to 7") as fault:
        reader((slice(2, 5), slice(0, 8), slice(0, 8)))
    assert not isinstance(fault.value, Unreadable)
    assert not reader((slice(0, 3), slice(0, 8), slice(0, 8))).any()
