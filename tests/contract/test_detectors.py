"""What the detectors of slices keep to, beyond what every entry does."""

from dataclasses import replace

import numpy as np
import pytest
import tf_keras

from zoo import registry
from zoo.data.datasets import Volume
from zoo.data.phantom import embryo
from zoo.errors import InputError
from zoo.models import mrcnn
from zoo.models.detect import Detector
from zoo.models.size import ensemble_parameters
from zoo.recipe import change
from zoo.recipe_detector import member
from zoo.train import store
from zoo.train.detector import MODEL, OPTIMISER, Trainer, rebuild
from zoo.train.runs import create
from zoo.train.slices import SliceBatches, prepare_slices

ENTRY = registry.get("mrcnn_ensemble")
# a score that a detector of few steps reaches
TINY = change(replace(ENTRY.recipes["default"], members=()), {**ENTRY.tiny, "score": 0.05})
RATE = 1e-2


@pytest.fixture(scope="module")
def volume():
    """One synthetic embryo."""
    made = embryo(0, nuclei=6, shape=(10, 64, 64), debris=0)
    return Volume(
        name="phantom",
        group="phantom",
        image=made.image,
        labels=made.labels,
        mask=made.mask,
        markers=made.markers,
        spacing=made.spacing,
    )


@pytest.fixture(scope="module")
def batch(volume):
    """Two patches of it, with their targets."""
    return SliceBatches([prepare_slices(volume, TINY)], TINY, seed=0).batch(0)


@pytest.fixture(scope="module")
def trainer():
    """One for all tests, as tracing its step takes most of their time; each test resets it."""
    return Trainer(TINY, "float32")


@pytest.fixture(scope="module")
def after(trainer, batch):
    """The losses of some steps, and the weights and slots after them."""
    trainer.reset(0)
    losses = [trainer.learn(batch, RATE) for _ in range(8)]
    return losses, trainer.model.get_weights(), trainer.optimiser.get_weights()


@pytest.fixture
def trained(trainer, after):
    """The trainer after these steps."""
    _, weights, slots = after
    trainer.model.set_weights(weights)
    trainer.optimiser.set_weights(slots)
    return trainer


@pytest.fixture
def float32_again():
    yield
    tf_keras.mixed_precision.set_global_policy("float32")


def new_run(path, recipe=TINY):
    """A run folder without weights."""
    return create(path, {"entry": ENTRY.name, "recipe": recipe.to_dict(), "seed": 0}, overwrite=False)


def check_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# the network


def test_outputs_have_the_ports_names_shapes_and_types(trainer):
    edge = 2 * TINY.multiple
    images = np.random.default_rng(0).normal(size=(2, edge, 2 * edge, TINY.channels)).astype(np.float32)
    found = Detector(trainer.model, TINY).forward(images)
    sizes = {"boxes": (2, TINY.most, 4), "scores": (2, TINY.most), "masks": (2, TINY.most, 28, 28)}
    assert {port.name for port in ENTRY.outputs} == set(sizes) == set(found) - {"counts"}
    for port in ENTRY.outputs:
        assert found[port.name].shape == sizes[port.name]
        assert len(port.axes) == len(sizes[port.name])
        assert found[port.name].dtype == port.dtype
    assert found["counts"].shape == (2,)
    assert ENTRY.inputs.axes == "NYXC"
    assert ENTRY.inputs.dtype == images.dtype


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"scales": 1, "context": 2},
        pytest.param({"backbone": 50, "width": 0.25, "heads": "full"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_parameters_are_counted_without_building(changed):
    recipe = change(member(ENTRY.recipes["default"], 0), changed)
    assert mrcnn.build(recipe).count_params() == ensemble_parameters(recipe)


@pytest.mark.parametrize("name", ENTRY.recipes)
def test_an_ensemble_has_the_parameters_of_its_members(name):
    recipe = ENTRY.recipes[name]
    each = [ensemble_parameters(member(recipe, index)) for index in range(len(recipe.members))]
    assert len(each) == {"compact": 3}.get(name, 8)
    assert ensemble_parameters(recipe) == sum(each)


# training


def test_a_few_steps_lower_the_loss(after):
    losses, weights, _ = after
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]
    assert all(np.isfinite(array).all() for array in weights)


@pytest.mark.slow
@pytest.mark.usefixtures("float32_again")
def test_a_few_steps_in_mixed_precision_lower_the_loss(batch):
    trainer = Trainer(TINY, "mixed_bfloat16")
    convolutions = [one for one in trainer.model.backbone.layers if isinstance(one, tf_keras.layers.Conv2D)]
    assert {layer.compute_dtype for layer in convolutions} == {"bfloat16"}
    trainer.reset(0)
    losses = [trainer.learn(batch, RATE) for _ in range(8)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]
    for array in trainer.model.get_weights():
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_a_reset_trainer_is_as_new(trained, batch):
    assert any(slot.any() for slot in trained.optimiser.get_weights())
    trained.reset(5)
    assert not any(slot.any() for slot in trained.optimiser.get_weights())
    tf_keras.utils.set_random_seed(5)
    check_same(trained.model.get_weights(), mrcnn.build(TINY).get_weights())
    once = [trained.learn(batch, RATE) for _ in range(3)]
    trained.reset(5)
    assert [trained.learn(batch, RATE) for _ in range(3)] == once
    trained.reset(6)
    assert trained.learn(batch, RATE) != once[0]
    assert trained.step.experimental_get_tracing_count() == 1


# weights


def test_saved_weights_give_the_same_detections(trained, volume, tmp_path):
    run = new_run(tmp_path / "run")
    store.save(run.best, {MODEL: trained.model.get_weights()})
    expected = trained.detector.detect(volume.image, volume.spacing)
    found = rebuild(run).detect(volume.image, volume.spacing)
    assert len(found) == len(volume.image)
    assert sum(map(len, expected)) >= 3
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.starts, other.starts)
        np.testing.assert_array_equal(one.scores, other.scores)
        check_same(one.masks, other.masks)


def test_a_checkpoint_keeps_the_optimisers_state(trained, tmp_path):
    path = tmp_path / "last.weights.h5"
    weights, slots = trained.model.get_weights(), trained.optimiser.get_weights()
    store.save(path, {MODEL: weights, OPTIMISER: slots})
    check_same(store.load(path, MODEL, weights), weights)
    check_same(store.load(path, OPTIMISER, slots), slots)
    assert slots[0] == 8  # steps taken


@pytest.mark.parametrize("other", [{"backbone": 10}, {"width": 0.25}, {"scales": 1}, {"context": 2}], ids=str)
def test_weights_of_another_network_are_refused(trainer, other, tmp_path):
    path = tmp_path / "best.weights.h5"
    store.save(path, {MODEL: mrcnn.build(change(TINY, other)).get_weights()})
    with pytest.raises(InputError) as fault:
        store.load(path, MODEL, trainer.model.get_weights())
    told = str(fault.value)
    assert told.startswith(f"weights {path} are of another network (")
    assert "\n" not in told
    found, own = (f"{ensemble_parameters(recipe):,} values" for recipe in (change(TINY, other), TINY))
    assert found != own
    assert told.index(found) < told.index(own)  # what the file holds, then what is wanted


@pytest.mark.parametrize("left", [0, 7, 2000, -1])
def test_weights_that_were_cut_short_are_refused(trainer, left, tmp_path):
    path = tmp_path / "best.weights.h5"
    weights = trainer.model.get_weights()
    store.save(path, {MODEL: weights})
    check_same(store.load(path, MODEL, weights), weights)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(InputError, match=r"best\.weights\.h5 cannot be read") as fault:
        store.load(path, MODEL, weights)
    assert "\n" not in str(fault.value)


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    path = tmp_path / "best.weights.h5"
    store.save(path, {OPTIMISER: [np.zeros(3)]})
    with pytest.raises(InputError, match=r"best\.weights\.h5 cannot be read"):
        store.load(path, MODEL, [np.zeros(3)])
    path.unlink()
    with pytest.raises(InputError, match=r"best\.weights\.h5 cannot be read"):
        store.load(path, MODEL, [np.zeros(3)])


def test_many_arrays_keep_their_order(tmp_path):
    arrays = [np.full(1, i) for i in range(1100)]
    store.save(tmp_path / "a.h5", {MODEL: arrays, OPTIMISER: arrays[::-1]})
    check_same(store.load(tmp_path / "a.h5", MODEL, arrays), arrays)
    check_same(store.load(tmp_path / "a.h5", OPTIMISER, arrays), arrays[::-1])


def test_a_run_without_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"run holds no weights yet .*train it for an epoch"):
        rebuild(new_run(tmp_path / "run"))
