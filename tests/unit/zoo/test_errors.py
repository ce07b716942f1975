import pytest

from zoo.errors import InputError, unknown


def test_the_nearest_name_is_named_and_all_are_listed():
    fault = unknown("model", "qcanet_nsm", ["unet3d", "qcanet_nsn", "qcanet_ndn"])
    assert isinstance(fault, InputError)
    assert isinstance(fault, ValueError)
    assert str(fault) == (
        "unknown model 'qcanet_nsm': did you mean 'qcanet_nsn'? allowed are qcanet_ndn, qcanet_nsn, unet3d"
    )


def test_nothing_near_is_no_hint():
    assert str(unknown("metric", "xyz", ["iou", "seg"])) == "unknown metric 'xyz': allowed are iou, seg"


@pytest.mark.parametrize("given", ["", "two\nlines"])
def test_one_line_whatever_is_given(given):
    assert "\n" not in str(unknown("model", given, iter(["a", "b"])))
