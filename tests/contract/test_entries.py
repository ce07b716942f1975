"""What every entry of the registry keeps to."""

from pathlib import Path

import keras
import numpy as np
import pytest

from zoo import registry
from zoo.data.datasets import Volume
from zoo.data.phantom import embryo
from zoo.data.prepared import synthetic
from zoo.recipe import change
from zoo.train.batches import prepare_example
from zoo.train.loop import build
from zoo.train.losses import LOSSES

NAMES = [entry.name for entry in registry.entries()]
TRAINABLE = [entry.name for entry in registry.entries() if entry.trainable]
RECIPES = [(name, recipe) for name in TRAINABLE for recipe in registry.get(name).recipes]
# the detectors, on tf_keras, have tests of their own
KERAS = [name for name in TRAINABLE if registry.get(name).keras == "keras"]
KERAS_RECIPES = [(name, recipe) for name, recipe in RECIPES if name in KERAS]
NORMS = [
    (name, norm)
    for name in KERAS
    for norm in (("instance", "batch") if hasattr(registry.get(name).recipes["default"], "norm") else (None,))
]
DOCS = Path(__file__).parents[2] / "docs" / "models"


@pytest.fixture(scope="module")
def volumes():
    """A volume of each subject: an embryo, and a yeast cell with its patch."""
    patches = [sample.load() for sample in synthetic(1).samples]
    return {"nuclei": embryo_volume(), "patches": max(patches, key=lambda one: one.mask.sum())}


def embryo_volume():
    """One synthetic embryo."""
    made = embryo(0, nuclei=6, shape=(20, 48, 48), debris=0)
    return Volume(
        name="phantom",
        group="phantom",
        image=made.image,
        labels=made.labels,
        mask=made.mask,
        markers=made.markers,
        spacing=made.spacing,
    )


def tiny(name):
    """An entry and its recipe of a second's work."""
    entry = registry.get(name)
    return entry, change(entry.recipes["default"], entry.tiny)


def cut(name, volumes):
    """A batch of an image and its target, of the size of the tiny recipe's patch."""
    entry, recipe = tiny(name)
    example = prepare_example(volumes[entry.subject.objects], entry, recipe)
    middle = tuple(
        slice((n - p) // 2, (n + p) // 2) for n, p in zip(example.image.shape, recipe.patch, strict=True)
    )
    image, target = example.image[middle], example.target[middle]
    assert 0 < target.mean() < 1
    return image[None, ..., None].astype(np.float32), target[None, ..., None].astype(np.float32)


def noise(recipe, count):
    """A batch of images of the tiny recipe's size."""
    return np.random.default_rng(0).normal(size=(count, *recipe.patch, 1)).astype(np.float32)


def probability(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


@pytest.fixture
def bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


# every entry


@pytest.mark.parametrize("name", NAMES)
def test_references_resolve(name):
    entry = registry.get(name)
    refs = [ref for ref in (entry.build, entry.size, entry.prepare, entry.fuse) if ref]
    assert refs
    for ref in refs:
        assert callable(ref.load())


@pytest.mark.parametrize("name", NAMES)
def test_partners_are_entries_that_can_be_trained(name):
    for partner in registry.get(name).needs.values():
        assert registry.get(partner).trainable


@pytest.mark.parametrize("name", NAMES)
def test_a_page_of_the_docs_is_there(name):
    page = DOCS / f"{name}.md"
    assert page.is_file(), f"docs/models/{name}.md is missing"
    assert name in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_source_and_licence_are_stated(name):
    entry = registry.get(name)
    assert entry.summary
    assert entry.source.paper
    assert entry.source.licence
    assert entry.source.differs


# every entry that can be trained


@pytest.mark.parametrize("name", TRAINABLE)
def test_what_training_needs_is_there(name):
    entry = registry.get(name)
    assert entry.size
    assert entry.prepare
    assert callable(entry.fit.load())
    assert callable(entry.rebuild.load())
    assert "default" in entry.recipes


@pytest.mark.parametrize("name, recipe", RECIPES)
def test_sizes_that_the_port_promises_suit_every_recipe(name, recipe):
    entry = registry.get(name)
    assert entry.inputs.multiple_of % entry.recipes[recipe].multiple == 0


# every entry of Keras 3


@pytest.mark.parametrize("name", ["qcanet_nsn", "qcanet_ndn", "unet3d", "mrcnn_ensemble"])
def test_the_papers_recipe_is_there(name):
    assert "paper" in registry.get(name).recipes


@pytest.mark.parametrize("name", ["qcanet_nsn", "qcanet_ndn", "unet3d", "cnn3d_yeast"])
def test_the_replications_recipe_is_there(name):
    assert "replication" in registry.get(name).recipes


@pytest.mark.parametrize("name", KERAS)
def test_volumes_become_volumes(name):
    entry = registry.get(name)
    assert (entry.inputs.axes, [port.axes for port in entry.outputs]) == ("NZYXC", ["NZYXC"])


@pytest.mark.parametrize("name, recipe", KERAS_RECIPES)
def test_parameters_are_counted_without_building(name, recipe):
    entry = registry.get(name)
    assert build(entry, entry.recipes[recipe]).count_params() == entry.size.load()(entry.recipes[recipe])


@pytest.mark.parametrize("name, norm", NORMS)
def test_outputs_are_probabilities_of_the_ports_shape_and_type(name, norm):
    entry, recipe = tiny(name)
    recipe = change(recipe, {"norm": norm}) if norm else recipe
    model = build(entry, recipe)
    (port,) = entry.outputs
    sizes = recipe.patch
    if model.inputs[0].shape[1] is None:
        sizes = (recipe.multiple, 3 * recipe.multiple, 2 * recipe.multiple)  # free, and not alike
    images = np.random.default_rng(0).normal(size=(2, *sizes, 1)).astype(np.float32)
    out = model(images, training=False)
    assert out.shape[:4] == (2, *sizes)
    assert out.shape[4] in (1, 2)
    assert out.dtype == port.dtype
    assert model.inputs[0].name == entry.inputs.name
    assert model.layers[-1].name == port.name
    found = probability(model, images)
    assert 0 <= found.min() < found.max() <= 1
    if out.shape[4] == 2:
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
    assert not np.allclose(found[0], found[1])  # it does look at its input


@pytest.mark.parametrize("name", KERAS)
def test_volumes_of_a_batch_do_not_see_each_other(name):
    entry, recipe = tiny(name)
    model = build(entry, recipe)
    images = noise(recipe, 3)
    together = probability(model, images)
    np.testing.assert_allclose(together[1:2], probability(model, images[1:2]), atol=1e-5)


@pytest.mark.usefixtures("bfloat16")
@pytest.mark.parametrize("name", KERAS)
def test_mixed_precision_answers_in_float32(name):
    entry, recipe = tiny(name)
    model = build(entry, recipe)
    assert model.get_layer("logits").compute_dtype == "bfloat16"
    assert model.get_layer("logits").variable_dtype == "float32"
    found = probability(model, noise(recipe, 1))
    assert found.dtype == np.float32
    if found.shape[-1] == 2:
        # a softmax in bfloat16 would miss 1 by up to 1/256
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-6)
    else:  # a sigmoid in bfloat16 would answer with nothing but numbers of 8 bits
        rounded = keras.ops.convert_to_numpy(keras.ops.cast(keras.ops.cast(found, "bfloat16"), "float32"))
        assert np.mean(found == rounded) < 0.05


@pytest.mark.parametrize("name", KERAS)
def test_a_few_steps_lower_the_loss(name, volumes):
    images, targets = cut(name, volumes)
    entry, recipe = tiny(name)
    model = build(entry, recipe)
    # eagerly: making the graph takes longer than the steps
    model.compile(keras.optimizers.Adam(3e-2), LOSSES[recipe.loss], run_eagerly=True)
    losses = [float(model.train_on_batch(images, targets)) for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("name", KERAS)
def test_saved_weights_give_the_same_answer(name, volumes, tmp_path):
    images, _ = cut(name, volumes)
    once, again = build(*tiny(name)), build(*tiny(name))
    assert not np.allclose(probability(once, images), probability(again, images))
    once.save_weights(tmp_path / "a.weights.h5")
    again.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(probability(once, images), probability(again, images))
