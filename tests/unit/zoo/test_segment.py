from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from zoo import forecast, registry
from zoo.data.normalise import minmax
from zoo.data.resample import resample
from zoo.defaults import THRESHOLD
from zoo.errors import InputError
from zoo.fusion import classical
from zoo.fusion.landscape import split_by_vote
from zoo.fusion.watershed import split_touching
from zoo.recipe import Recipe
from zoo.segment import Network, predict_probability, segment

ENTRY = registry.get("qcanet_nsn")
RECIPE = Recipe(poolings=2, base=2, voxel_um=1.0, scaling="minmax", patch=(8, 8, 8))
UM = (1.0, 1.0, 1.0)


class Identity:
    """A network whose foreground probability is its input; it remembers the shapes it was given."""

    def __init__(self):
        self.shapes = []

    def predict_on_batch(self, batch):
        assert batch.dtype == np.float32
        assert batch.shape[0] == batch.shape[-1] == 1
        self.shapes.append(batch.shape[1:-1])
        return np.concatenate([1 - batch, batch], axis=-1)


@pytest.fixture
def plenty(monkeypatch):
    monkeypatch.setattr(forecast, "fits", lambda recipe, shape, memory: True)


@pytest.fixture
def scarce(monkeypatch):
    monkeypatch.setattr(forecast, "fits", lambda recipe, shape, memory: False)


def image(shape=(10, 13, 17), seed=0):
    return np.random.default_rng(seed).integers(90, 4000, shape).astype(np.uint16)


# predict_probability


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("shape", [(10, 13, 17), (8, 8, 8), (1, 2, 3)])
def test_the_whole_volume_at_once(shape):
    model = Identity()
    probability = predict_probability(Network(ENTRY, RECIPE, model), image(shape), UM)
    assert probability.dtype == np.float32
    np.testing.assert_array_equal(probability, minmax(image(shape)))
    assert model.shapes == [tuple(-(-n // 4) * 4 for n in shape)]


@pytest.mark.parametrize("window", [(8, 8, 8), (4, 8, 16), (12, 16, 24)])
def test_windows_give_the_same(window):
    model = Identity()
    probability = predict_probability(Network(ENTRY, RECIPE, model), image(), UM, window=window)
    np.testing.assert_allclose(probability, minmax(image()), atol=1e-5)
    assert set(model.shapes) == {window}


@pytest.mark.usefixtures("scarce")
def test_little_memory_falls_back_to_the_patch_of_the_recipe():
    model = Identity()
    probability = predict_probability(Network(ENTRY, RECIPE, model), image(), UM)
    np.testing.assert_allclose(probability, minmax(image()), atol=1e-5)
    assert set(model.shapes) == {(8, 8, 8)}
    assert len(model.shapes) > 8


def test_the_forecast_is_asked_for_what_the_network_would_see(monkeypatch):
    asked = []
    monkeypatch.setattr(forecast, "fits", lambda recipe, shape, memory: asked.append((recipe, shape)) or True)
    predict_probability(Network(ENTRY, RECIPE, Identity()), image(), UM)
    assert asked == [(RECIPE, (12, 16, 20))]


@pytest.mark.usefixtures("plenty")
def test_anisotropic_voxels_become_cubes_and_come_back():
    model = Identity()
    stack = np.broadcast_to(np.linspace(0, 1, 6, dtype=np.float32)[:, None, None], (6, 8, 8))
    probability = predict_probability(Network(ENTRY, RECIPE, model), stack, (2.0, 0.5, 0.5))
    assert model.shapes == [(12, 4, 4)]
    assert probability.shape == (6, 8, 8)
    # (Z, Y, X) of 12 x 4 x 4 um either way
    np.testing.assert_allclose(
        probability, resample(minmax(resample(stack, (12, 4, 4))), (6, 8, 8)), atol=1e-6
    )
    np.testing.assert_allclose(probability[1:-1], stack[1:-1], atol=0.05)


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("scaling", ["percentile", "minmax"])
def test_gain_does_not_matter(scaling):
    network = Network(ENTRY, replace(RECIPE, scaling=scaling), Identity())
    brighter = predict_probability(network, image() * 2.5, UM)
    np.testing.assert_allclose(brighter, predict_probability(network, image(), UM), atol=1e-5)


@pytest.mark.usefixtures("plenty")
def test_attenuation_is_corrected_where_the_recipe_says():
    stack = np.zeros((12, 16, 16), np.float32)
    stack[:, 4:9, 4:9] = 1000 * np.exp(-0.2 * np.arange(12))[:, None, None]
    faded, even = (
        predict_probability(Network(ENTRY, replace(RECIPE, attenuation=on), Identity()), stack, UM)[11, 6, 6]
        for on in (False, True)
    )
    assert faded == pytest.approx(np.exp(-2.2), rel=1e-3)
    assert even == pytest.approx(1, rel=1e-3)


# segment


def balls():
    """Two balls that touch and one apart, and a voxel in the middle of each of the two."""
    z, y, x = np.indices((16, 16, 32))
    inside = [(z - 8) ** 2 + (y - 8) ** 2 + (x - c) ** 2 <= r * r for c, r in ((7, 5), (16, 5), (27, 3))]
    centres = np.zeros((16, 16, 32))
    centres[8, 8, 7] = centres[8, 8, 16] = 1
    return np.logical_or.reduce(inside).astype(np.float32), centres


class Constant:
    """A network that answers with a map of its own."""

    def __init__(self, probability):
        self.probability = np.asarray(probability, np.float32)

    def predict_on_batch(self, batch):
        return np.stack([1 - self.probability, self.probability], axis=-1)[None]


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("unmarked, count", [("keep", 3), ("drop", 2)])
def test_a_pipeline_splits_its_mask_by_its_markers(unmarked, count):
    mask, centres = balls()
    networks = {
        "qcanet_nsn": Network(ENTRY, RECIPE, Identity()),
        "qcanet_ndn": Network(ENTRY, RECIPE, Constant(centres)),
    }
    result = segment(registry.get("qcanet"), networks, mask, UM, unmarked=unmarked, min_volume=0)
    assert result.labels.dtype == np.int32
    np.testing.assert_array_equal(result.labels, split_touching(mask > 0, centres > 0, UM, unmarked))
    assert result.labels.max() == count
    assert list(result.layers) == ["NSN (nucleus probability)", "NDN (centre probability)"]
    # a byte a voxel is enough for the report
    np.testing.assert_array_equal(result.layers["NDN (centre probability)"], (255 * centres).astype(np.uint8))


@pytest.mark.usefixtures("plenty")
def test_the_shape_of_the_mask_votes_with_the_markers():
    mask, centres = balls()
    centres[8, 8, 16] = 0  # missed
    networks = {
        "qcanet_nsn": Network(ENTRY, RECIPE, Identity()),
        "qcanet_ndn": Network(ENTRY, RECIPE, Constant(centres)),
    }
    coarse = (4.0, 4.0, 4.0)  # um, or the balls would be too small to be two nuclei
    result = segment(registry.get("qcanet"), networks, mask, coarse, min_volume=0)
    np.testing.assert_array_equal(
        result.labels, split_by_vote(mask > 0, (255 * centres).astype(np.uint8), coarse)
    )
    assert result.labels.max() == 3
    assert segment(registry.get("qcanet"), networks, mask, coarse, unmarked="keep").labels.max() == 2


@pytest.mark.usefixtures("plenty")
def test_nuclei_far_smaller_than_those_trained_on_are_told_and_shown_larger():
    mask, _ = balls()
    trained = {"spacing_um": list(UM), "diameter_um": [18.0, 20.0, 22.0]}
    models = Identity(), Identity()
    networks = {
        "qcanet_nsn": Network(ENTRY, RECIPE, models[0], objects=trained),
        "qcanet_ndn": Network(ENTRY, RECIPE, models[1], objects=trained),
    }
    entry = registry.get("qcanet")
    (note,) = segment(entry, networks, mask, UM, min_volume=0).notes
    assert "--diameter 9.94," in note  # the median of balls of 10, 10 and 6 um
    result = segment(entry, networks, mask, UM, min_volume=0, diameter=10)
    assert result.notes == ()
    assert result.labels.shape == mask.shape
    for model in models:
        assert model.shapes[0][0] == 16
        assert model.shapes[1][0] == 32
    with pytest.raises(InputError, match="leave --diameter out"):
        segment(entry, {**networks, "qcanet_ndn": Network(ENTRY, RECIPE, models[1])}, mask, UM, diameter=10)


@pytest.mark.usefixtures("plenty")
def test_flips_average_what_is_said_of_the_mirror_images():
    class Corner(Identity):
        """A network that is sure of the corner at the origin, and of nothing else."""

        def predict_on_batch(self, batch):
            said = np.zeros((*batch.shape[:-1], 2), np.float32)
            said[0, :4, :2, :2, 1] = 1
            return said

    stack = np.random.default_rng(0).random((4, 8, 8)).astype(np.float32)
    network = {ENTRY.name: Network(ENTRY, RECIPE, Corner())}
    once, averaged = (
        segment(ENTRY, network, stack, UM, min_volume=0, threshold=0.2, flips=flips)
        for flips in (False, True)
    )
    assert once.labels.max() == 1
    assert averaged.labels.max() == 4  # a corner each, at a quarter of the certainty
    (layer,) = averaged.layers.values()
    assert set(np.unique(layer)) == {0, 64}


@pytest.mark.usefixtures("plenty")
def test_a_network_alone_gives_the_components_of_its_mask():
    mask, _ = balls()
    networks = {"unet3d": Network(ENTRY, RECIPE, Identity())}
    result = segment(registry.get("unet3d"), networks, mask, UM, min_volume=0)
    np.testing.assert_array_equal(result.labels, ndimage.label(mask)[0])
    assert list(result.layers) == ["unet3d (probability)"]


@pytest.mark.usefixtures("plenty")
def test_probabilities_and_not_masks_are_resampled():
    coarse = np.zeros((8, 8, 8), np.float32)
    coarse[4, 4, 4] = 1.0
    network = Network(ENTRY, replace(RECIPE, voxel_um=2.0), Constant(coarse))
    found = segment(registry.get("unet3d"), {"unet3d": network}, image((16, 16, 16)), UM)
    # a voxel of 2 um, linear in between: 8 voxels of 27/64 each, all below one half
    assert found.layers["unet3d (probability)"].max() == round(255 * 27 / 64)
    assert found.labels.max() == 0
    np.testing.assert_array_equal(found.labels > 0, found.layers["unet3d (probability)"] >= 255 * THRESHOLD)


def test_the_classical_pipeline_needs_no_network():
    mask, _ = balls()
    noisy = 100 + 1000 * mask + np.random.default_rng(0).normal(0, 10, mask.shape)
    result = segment(registry.get("classical"), {}, noisy, UM)
    np.testing.assert_array_equal(result.labels, classical.segment(noisy, UM))
    assert result.labels.max() >= 2
    assert result.layers == {}


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("least, left", [(0, 2), (7.9, 2), (8, 2), (8.1, 1), (1000, 0)])
def test_objects_below_the_least_volume_are_left_out(least, left):
    mask = np.zeros((8, 8, 16), np.float32)
    mask[1:3, 1:3, 1:2] = 1  # 4 voxels of 2 um3
    mask[1:6, 1:6, 6:12] = 1
    network = {"unet3d": Network(ENTRY, RECIPE, Constant(np.repeat(mask, 2, axis=0)))}
    found = segment(registry.get("unet3d"), network, image(mask.shape), (2.0, 1.0, 1.0), min_volume=least)
    assert found.labels.max() == left
    told = f"less than {least:,g} um3" in " ".join(found.notes)
    assert told == (left < 2)


def test_a_diameter_means_nothing_to_a_method_without_networks():  # the baseline of 'zoo eval --diameter'
    noisy = image((8, 24, 24))
    found = segment(registry.get("classical"), {}, noisy, UM, diameter=9.0)
    np.testing.assert_array_equal(found.labels, classical.segment(noisy, UM))


@pytest.mark.usefixtures("plenty")
def test_centre_markers_are_small_and_stay():
    mask = np.zeros((8, 8, 8), np.float32)
    mask[4, 4, 4] = 1
    network = {"qcanet_ndn": Network(ENTRY, RECIPE, Constant(mask))}
    assert segment(registry.get("qcanet_ndn"), network, image(mask.shape), UM).labels.max() == 1


@pytest.mark.usefixtures("plenty")
@pytest.mark.parametrize("threshold, voxels", [(0.3, 4), (0.5, 2), (0.8, 1)])
def test_the_threshold_cuts_the_mask_and_not_the_markers(threshold, voxels):
    steps = np.zeros((8, 8, 8), np.float32)
    steps[4, 4, 2:6] = (0.9, 0.6, 0.4, 0.4)
    marker = np.zeros((8, 8, 8), np.float32)
    marker[4, 4, 2] = 0.55
    networks = {
        "qcanet_nsn": Network(ENTRY, RECIPE, Constant(steps)),
        "qcanet_ndn": Network(ENTRY, RECIPE, Constant(marker)),
    }
    result = segment(
        registry.get("qcanet"),
        networks,
        image(steps.shape),
        UM,
        unmarked="drop",
        min_volume=0,
        threshold=threshold,
    )
    assert (result.labels > 0).sum() == voxels
