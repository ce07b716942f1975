"""The quirks of the published code, as the benchmark has them: by hand, on small volumes."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from zoo import registry
from zoo.data.datasets import Volume
from zoo.recipe import Recipe
from zoo.segment import Network


@pytest.fixture(scope="module")
def bench():
    path = Path(__file__).parents[3] / "benchmarks" / "bench_reproduction.py"
    spec = importlib.util.spec_from_file_location("bench_reproduction", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def ball(shape, centre, radius):
    apart = [(np.arange(n) - c) ** 2 for n, c in zip(shape, centre, strict=True)]
    return np.add.outer(np.add.outer(apart[0], apart[1]), apart[2]) <= radius**2


def volume(labels, image=None, spacing=(0.8, 0.8, 0.8)):
    return Volume(
        name="one",
        group="one",
        image=(labels > 0).astype(np.float32) if image is None else image,
        labels=labels,
        mask=labels > 0,
        markers=labels > 0,
        spacing=spacing,
    )


def network(name, answer):
    """A network whose probability is a function of what it is shown."""
    seen = []

    def predict_on_batch(batch):
        seen.append(batch[0, ..., 0])
        return answer(batch)

    model = SimpleNamespace(predict_on_batch=predict_on_batch)
    entry = registry.get(name)
    return Network(entry, Recipe(poolings=2, base=4, voxel_um=0.8, scaling="minmax"), model), seen


def test_a_voxel_that_is_not_quite_zero_counts_as_nucleus(bench):
    mask = np.zeros((1, 1, 5), bool)
    mask[..., 2] = True
    # twice as fine: its own two voxels, and one more on either side, where the linear slope is above 0
    assert bench.resize_above_zero(mask, (1, 1, 10))[0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    truth = ball((24, 24, 24), (12, 12, 12), 8)
    assert bench.resize_above_zero(truth, (11, 24, 24)).sum() > truth.sum() / (24 / 11)


def test_a_cube_has_the_edge_of_the_longest_axis(bench):
    image = np.arange(24.0).reshape(2, 3, 4)
    for mode in ("reflect", "constant"):
        cube = bench.pad_to_cube(image, mode)
        assert cube.shape == (4, 4, 4)
        assert np.array_equal(cube[:2, :3], image)
    assert not bench.pad_to_cube(image, "constant")[2:].any()
    assert np.array_equal(bench.pad_to_cube(image, "reflect")[2, :3], image[0])


@pytest.mark.parametrize(
    # steps of 48 voxels of 0.8 um, 38.4 um: 89.25 um hold two of them, 76.8 um, 43.9 slices
    ("slices", "um", "kept"),
    [(51, 1.75, 44), (48, 0.8, 48), (95, 0.8, 48), (96, 0.8, 96), (10, 1.75, 0)],
)
def test_the_last_slab_is_what_does_not_fill_a_step(bench, slices, um, kept):
    assert bench.slices_predicted(slices, um) == kept


def test_each_quirk_changes_what_it_says_and_nothing_else(bench):
    shape = (64, 24, 20)
    labels = np.zeros(shape, np.int32)
    labels[ball(shape, (16, 12, 10), 7)] = 1
    labels[ball(shape, (56, 12, 10), 6)] = 2
    one = volume(labels)
    nsn, seen = network("qcanet_nsn", lambda batch: batch)
    upper = (np.arange(64) < 40)[:, None, None, None]
    ndn, _ = network("qcanet_ndn", lambda batch: batch * upper)  # a marker in the first nucleus alone
    quirk = bench.Quirk
    ways = [
        bench.OURS,
        quirk(name="dropped", unmarked="drop"),
        quirk(name="slab", slab=True),
        quirk(name="above zero", above_zero=("nsn",), voxel_um=1.6),
        quirk(name="zeros", padding="constant"),
        quirk(name="scoring", definition="replication"),
    ]
    rows = bench.run(one, {"nsn": nsn, "ndn": ndn}, ways)
    sizes = np.bincount(labels.ravel())[1:]
    assert rows[0] == pytest.approx([1, 1, 1])
    assert rows[1] == pytest.approx([sizes[0] / sizes.sum(), 0.5, 1])
    assert rows[2] == rows[1]  # of the 64 slices 48 are predicted, and the second nucleus begins at 50
    assert rows[3][0] < 0.9
    assert rows[4] == pytest.approx([1, 1, 1])
    assert rows[5][1:] == pytest.approx([0.5, 0.5])
    assert [image.shape for image in seen] == [shape, (64, 64, 64)]  # once for all that show it the same


def test_training_mode_is_of_the_mask_network_alone(bench):
    labels = np.zeros((8, 8, 8), np.int32)
    labels[2:6, 2:6, 2:6] = 1

    class Model:
        def __call__(self, batch, training):
            return np.zeros_like(batch) if training else batch

        def predict_on_batch(self, batch):
            return self(batch, training=False)

    recipe = Recipe(poolings=2, base=4, voxel_um=0.8, scaling="minmax")
    nets = {key: Network(registry.get(f"qcanet_{key}"), recipe, Model()) for key in ("nsn", "ndn")}
    trained = bench.Quirk(name="", training=True)
    assert not bench.predict(nets["nsn"], volume(labels), trained).any()
    assert bench.predict(nets["ndn"], volume(labels), trained).any()
    assert bench.predict(nets["nsn"], volume(labels), bench.OURS).any()


def test_a_perfect_mask_comes_back_larger(bench):
    labels = np.zeros((20, 40, 40), np.int32)
    labels[ball(labels.shape, (10, 20, 20), 8)] = 1
    found = bench.perfect(volume(labels, spacing=(1.75, 0.8, 0.8)))
    assert len(found) == len(bench.PERFECT_UM)
    assert all(0.5 < value < 0.95 for value in found)


def test_the_table_shows_costs_and_what_was_not_measured(bench, capsys):
    bench.show(["ours", "worse", "other"], np.array([[0.8, 0.7, 0.6], [0.5, 0.7, 0.65], [np.nan] * 3]))
    lines = capsys.readouterr().out.splitlines()[3:]
    assert lines == [
        "| ours | 0.800 | 0.700 | 0.600 |",
        "| worse | 0.500 (-0.300) | 0.700 (+0.000) | 0.650 (+0.050) |",
        "| other | not measured here | not measured here | not measured here |",
    ]
