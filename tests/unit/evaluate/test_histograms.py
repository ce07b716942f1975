import re
from xml.etree import ElementTree

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.evaluate.histograms import FEWEST, count_bins, draw


def test_bins_by_hand():
    # from 0.5 to 11: a twelfth is 0.875, the next round width 1
    counts, edges = count_bins([0.5, 1, 1.5, 11, 2.999, float("nan"), float("inf")])
    assert edges.tolist() == list(range(12))
    assert counts.tolist() == [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1, 3e5])
@pytest.mark.parametrize("seed", range(20))
def test_counts_are_numpys_in_bins_of_a_round_width(seed, scale):
    rng = np.random.default_rng(seed)
    values = scale * rng.normal(rng.uniform(-5, 5), 1, rng.integers(1, 200))
    counts, edges = count_bins(values)
    np.testing.assert_array_equal(counts, np.histogram(values, edges)[0])
    assert counts.sum() == len(values)
    assert len(counts) <= 13
    step = edges[1] - edges[0]
    assert f"{step:.3e}"[:5] in ("1.000", "2.000", "5.000")
    np.testing.assert_allclose(edges / step, np.round(edges / step), atol=1e-6)


def test_values_on_edges_that_floats_miss_lie_above_them_and_the_last_edge_is_closed():
    counts, edges = count_bins([0.1 * k for k in range(11)])  # 0.3 is a little more than 3 times 0.1
    np.testing.assert_allclose(edges, np.linspace(0, 1, 11))
    assert counts.tolist() == [1] * 9 + [2]


@pytest.mark.parametrize("value", [0.0, 1.0, -7.5, 0.93, 12345.0])
def test_values_all_alike_are_one_bar(value):
    counts, edges = count_bins([value] * 7)
    assert counts.tolist() == [7]
    assert edges[0] <= value <= edges[-1]


def test_no_value_is_an_error():
    with pytest.raises(InputError, match="finite"):
        count_bins([float("nan")])


def test_drawing_shows_every_count_and_needs_enough_values():
    values = np.random.default_rng(1).gamma(2, 400, 60)
    counts, _ = count_bins(values)
    figure = ElementTree.fromstring(draw("volume <µm³>", values))
    bars = figure.findall(".//rect")
    heights = np.array([float(bar.get("height")) for bar in bars])
    np.testing.assert_allclose(heights / heights.max(), counts[counts > 0] / counts.max(), atol=0.01)
    assert [int(bar.findtext("title").split(": ")[1]) for bar in bars] == counts[counts > 0].tolist()
    assert figure.findtext("figcaption/b") == "volume <µm³>"
    assert figure.find("svg").get("aria-label").startswith("volume <µm³>: 60 from 0 to ")
    assert draw("few", [1.0] * (FEWEST - 1) + [float("nan")] * 9) == ""
    assert draw("none", []) == ""


def test_the_median_stands_where_it_is():
    figure = draw("x", [0, 0, 2.5, 10, 10])
    at = float(re.search(r'class="median" d="M([\d.]+) ', figure).group(1))
    assert at == pytest.approx(1 + 0.25 * 238, abs=0.05)
    assert "median 2.5" in figure
