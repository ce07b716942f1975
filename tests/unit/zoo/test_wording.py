import pytest

from zoo.wording import counted, lasting, numbers_below, sized


@pytest.mark.parametrize("seconds, told", [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min")])
def test_a_time(seconds, told):
    assert lasting(seconds) == told


@pytest.mark.parametrize(
    "count, told", [(12e3, "12 kB"), (940e6, "940 MB"), (1e9, "1.0 GB"), (3.74e9, "3.7 GB")]
)
def test_a_size(count, told):
    assert sized(count) == told


def test_numbers_and_counts():
    assert [numbers_below(count) for count in (1, 2, 11)] == ["only 0", "0 to 1", "0 to 10"]
    assert [counted(count, "window") for count in (0, 1, 1204)] == ["0 windows", "1 window", "1,204 windows"]
