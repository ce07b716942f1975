import math

import numpy as np
import pytest

from zoo.evaluate.criteria import Nucleus, measure
from zoo.evaluate.suspicion import ENOUGH, HOW, rank, suspect

USUAL = math.e**3


def nucleus(label=1, *, volume=USUAL, sphericity=0.9, border=False, mean=math.nan, centre=math.nan):
    return Nucleus(0, label, 1, volume, 1.0, 0.0, 0.0, 0.0, sphericity, 1.0, border, mean, centre)


def test_none_is_suspected_of_nothing():
    assert suspect([]) == []
    assert rank([]) == []


def test_nuclei_that_are_alike_give_no_reason():
    for found in suspect([nucleus(label) for label in range(1, 9)]):
        assert (found.score, found.reasons) == (0.0, ())


@pytest.mark.parametrize("power, reason", [(6, "large (4e+02 × median)"), (-6, "small (0.0025 × median)")])
def test_a_size_outlier_is_one_by_median_and_mad(power, reason):
    # log volumes -2 -1 0 1 and 6: median 0, distances 0 1 1 2 6, MAD 1, z = 6 / 1.4826 = 4.05
    powers = [-2, -1, 0, 1, power] if power > 0 else [2, 1, 0, -1, power]
    found = suspect([nucleus(volume=math.e**k) for k in powers])
    assert [one.reasons for one in found] == [(), (), (), (), (reason,)]
    assert found[-1].score == 2
    # 5 / 1.4826 = 3.37 is within 3.5
    assert not suspect([nucleus(volume=math.e**k) for k in [*powers[:4], power * 5 / 6]])[-1].reasons


def test_a_nucleus_cut_by_the_border_is_not_small_but_at_the_border():
    alike = [nucleus(volume=math.e**k) for k in (2, 1, 0, -1)]
    found = suspect([*alike, nucleus(volume=math.e**-6, border=True)])[-1]
    assert (found.score, found.reasons) == (1, ("touches border",))
    large = suspect([*alike, nucleus(volume=math.e**8, border=True)])[-1]
    assert (large.score, len(large.reasons)) == (3, 2)


def test_two_balls_in_one_look_merged_a_large_ball_and_a_small_rod_do_not():
    # volumes spread so that twice the median is no outlier: logs 0 +-0.5 +-1, MAD 0.5, z of 2 is 0.93
    others = [nucleus(volume=USUAL * math.e**k) for k in (-1, -0.5, 0, 0, 0.5, 1)]
    touching = 2 ** (2 / 3) / 2 * 0.9
    merged, ball, rod = (
        suspect([*others, one])[-1]
        for one in (
            nucleus(volume=2 * USUAL, sphericity=touching),
            nucleus(volume=2 * USUAL, sphericity=0.9),
            nucleus(volume=USUAL, sphericity=touching),
        )
    )
    assert (merged.score, merged.reasons) == (3, ("looks merged (sphericity 0.71)",))
    assert ball.reasons == rod.reasons == ()


def test_merging_two_balls_is_found_from_the_voxels_themselves():
    z, y, x = np.indices((20, 80, 80))
    labels = np.zeros((20, 80, 80), np.uint8)
    places = [(12 + 18 * (k // 4), 12 + 18 * (k % 4)) for k in range(15)]
    for number, (row, column) in enumerate(places, 1):
        labels[(z - 10) ** 2 + (y - row) ** 2 + (x - column) ** 2 <= 49] = number
    labels[(z - 10) ** 2 + (y - places[5][0]) ** 2 + (x - places[5][1] - 13) ** 2 <= 49] = 6
    (worst, why), *others = rank(measure(labels, (1, 1, 1)))
    assert worst.label == 6
    assert why.reasons[0].startswith("looks merged")
    assert not any("merged" in reason for _, other in others for reason in other.reasons)


def test_few_nuclei_are_compared_with_nobody():
    few = [nucleus(volume=USUAL)] * (ENOUGH - 2) + [nucleus(volume=90 * USUAL, sphericity=0.3)]
    assert all(not found.reasons for found in suspect(few))
    assert suspect([*few, nucleus()])[-2].reasons


@pytest.mark.parametrize(
    "given, reasons",
    [
        ({"mean": 0.749}, ("low confidence (0.75)",)),
        ({"mean": 0.75}, ()),
        ({"mean": 0.9, "centre": 0.499}, ("no sure centre (0.50)",)),
        ({"mean": 0.9, "centre": 0.5}, ()),
        ({"mean": 0.6, "centre": 0.1}, ("low confidence (0.60)", "no sure centre (0.10)")),
        ({}, ()),
    ],
)
def test_low_confidence_counts_once_and_an_unknown_one_not_at_all(given, reasons):
    (found,) = suspect([nucleus(**given)])
    assert found.reasons == reasons
    certain = given.get("mean", 1.0)
    assert found.score == pytest.approx((2 if reasons else 0) + 1 - certain)


def test_the_worst_come_first_then_the_less_certain_then_by_label():
    nuclei = [
        nucleus(1, mean=0.9),
        nucleus(2, mean=0.95, border=True),
        nucleus(3, mean=0.8),
        nucleus(4, mean=0.7),
        nucleus(5, mean=0.9),
    ]
    assert [one.label for one, _ in rank(nuclei)] == [4, 2, 3, 1, 5]
    assert [one.label for one, _ in rank(nuclei[::-1])] == [4, 2, 3, 1, 5]


def test_a_reader_is_told_the_thresholds():
    for threshold in ("1.5 times", "0.9 times", "±3.5", "below 0.75", "below 0.5", "5 nuclei"):
        assert threshold in HOW
