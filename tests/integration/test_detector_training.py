"""Phantoms to a member's run folder, and on from wherever its training was cut off."""

import csv
import math
import shutil
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import tensorflow as tf

from zoo import registry
from zoo.data.datasets import Volume
from zoo.data.phantom import embryo
from zoo.errors import InputError
from zoo.models import mrcnn
from zoo.recipe import change
from zoo.train import detector, store
from zoo.train.detector import MODEL, OPTIMISER, Trainer, fit, rebuild
from zoo.train.runs import create, describe, open_run

pytestmark = pytest.mark.slow

ENTRY = registry.get("mrcnn_ensemble")
TINY = change(
    replace(ENTRY.recipes["default"], members=()), {**ENTRY.tiny, "steps": 3, "lr": 0.01, "score": 0.05}
)


@pytest.fixture(scope="module")
def volumes():
    """Two small embryos of 4 and 5 nuclei, and one to validate on."""
    made = [embryo(seed, nuclei=seed + 4, shape=(8, 64, 64), debris=0) for seed in range(3)]
    return [
        Volume(
            name=f"phantom{seed}",
            group=f"phantom{seed}",
            image=phantom.image,
            labels=phantom.labels,
            mask=phantom.mask,
            markers=phantom.markers,
            spacing=phantom.spacing,
        )
        for seed, phantom in enumerate(made)
    ]


def new_run(path, volumes, seed=3, recipe=TINY):
    described = describe(
        ENTRY,
        recipe,
        seed=seed,
        precision="float32",
        data="phantoms",
        spacing=None,
        train=volumes[:2],
        validation=volumes[2:],
    )
    return create(path, described, overwrite=False)


def without_seconds(history):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in history]


def names(run):
    return sorted(path.name for path in run.path.iterdir())


def stop_before(name):
    """Make a way to save that is stopped, as by a kill, when a file of that name is to be written."""
    save = store.save

    def saves(path, groups):
        if path.name == name:
            raise KeyboardInterrupt
        save(path, groups)

    return saves


def rates(recipe):
    """The rate of each step: half a cosine from lr to a hundredth of it."""
    last = recipe.epochs * recipe.steps - 1
    return [recipe.lr * (0.505 + 0.495 * math.cos(math.pi * step / last)) for step in range(last + 1)]


# a detector's training; all share a trainer, as tracing it takes most of the time


@pytest.fixture(scope="module")
def trainer():
    return Trainer(TINY, "float32")


@pytest.fixture(scope="module")
def finished(volumes, trainer, tmp_path_factory):
    """A run of two epochs that nothing disturbed; not to be changed."""
    run = new_run(tmp_path_factory.mktemp("runs") / "finished", volumes)
    return run, fit(run, volumes[:2], volumes[2:], trainer=trainer)


FILES = ["best.weights.h5", "history.csv", "last-0002.weights.h5", "learning_curve.png", "run.json"]


def weights_of(run, trainer):
    """The weights and the optimiser's state after a run's last epoch."""
    _, path = run.checkpoint()
    like = {MODEL: trainer.model.get_weights(), OPTIMISER: trainer.optimiser.get_weights()}
    return [array for name, arrays in like.items() for array in store.load(path, name, arrays)]


def check_same_weights(run, other, trainer):
    for one, expected in zip(weights_of(run, trainer), weights_of(other, trainer), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-6, atol=1e-7)


def test_a_run_leaves_all_its_files_and_no_others(finished):
    assert names(finished[0]) == FILES


def test_its_history_is_written_and_returned(finished):
    run, history = finished
    assert run.history() == history
    assert [row["epoch"] for row in history] == [1, 2]
    assert [row["lr"] for row in history] == pytest.approx([rates(TINY)[2], rates(TINY)[5]])
    assert history[1]["loss"] < history[0]["loss"]
    for row in history:
        assert set(row) == {"epoch", "loss", "lr", "val_seg", "val_f1", "seconds"}
        assert 0 <= row["val_seg"] <= 1
        assert 0 <= row["val_f1"] <= 1


def test_the_detector_is_rebuilt_from_the_folder(finished, volumes):
    run, history = finished
    model = rebuild(open_run(run.path))
    assert model.recipe == TINY
    scores = detector.validate(model, [detector.prepare_slices(volumes[2], TINY)])
    assert scores["val_seg"] == pytest.approx(max(row["val_seg"] for row in history), abs=1e-6)


def test_a_run_cut_off_and_resumed_equals_one_that_was_not(finished, volumes, trainer, tmp_path, monkeypatch):
    run = new_run(tmp_path / "run", volumes)
    monkeypatch.setattr(store, "save", stop_before("last-0002.weights.h5"))
    with pytest.raises(KeyboardInterrupt):
        fit(run, volumes[:2], volumes[2:], trainer=trainer)
    monkeypatch.undo()
    assert run.checkpoint() == (1, run.path / "last-0001.weights.h5")
    with (run.path / "history.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    for torn in (".0123abcd.weights.h5", ".4567cdef.csv"):
        (run.path / torn).write_bytes(b"half of it")

    history = fit(open_run(run.path), volumes[:2], volumes[2:], trainer=trainer)
    assert names(run) == FILES
    assert [pytest.approx(row, rel=1e-6) for row in without_seconds(finished[1])] == without_seconds(history)
    assert run.history() == history
    check_same_weights(run, finished[0], trainer)


def test_members_that_share_a_trainer_do_not_see_each_other(finished, volumes, trainer, tmp_path):
    other = new_run(tmp_path / "other", volumes, seed=4)
    fit(other, volumes[:2], volumes[2:], trainer=trainer)
    again = new_run(tmp_path / "again", volumes)
    history = fit(again, volumes[:2], volumes[2:], trainer=trainer)
    assert without_seconds(history) == without_seconds(finished[1])
    check_same_weights(again, finished[0], trainer)
    assert without_seconds(other.history()) != without_seconds(history)
    assert trainer.step.experimental_get_tracing_count() == 1


def test_a_finished_run_has_nothing_to_resume(finished, volumes, trainer, tmp_path):
    run = open_run(shutil.copytree(finished[0].path, tmp_path / "copied"))
    before = {name: (run.path / name).read_bytes() for name in FILES if name.endswith((".h5", ".csv"))}
    assert fit(run, volumes[:2], volumes[2:], trainer=trainer) == finished[1]
    assert {name: (run.path / name).read_bytes() for name in before} == before


def test_weights_that_were_cut_short(finished, volumes, trainer, tmp_path):
    run = open_run(shutil.copytree(finished[0].path, tmp_path / "copied"))
    for name in ("best.weights.h5", "last-0002.weights.h5"):
        whole = (run.path / name).read_bytes()
        (run.path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"best\.weights\.h5 cannot be loaded"):
        rebuild(run)
    with pytest.raises(InputError, match=r"last-0002\.weights\.h5 cannot be read"):
        fit(run, volumes[:2], volumes[2:], trainer=trainer)


# Model Garden's checkpoints


@pytest.fixture(scope="module")
def model():
    return mrcnn.build(TINY)


def test_a_checkpoint_of_the_backbone_alone_is_begun_with(model, tmp_path):
    other = mrcnn.build(TINY)
    prefix = tf.train.Checkpoint(backbone=other.backbone).write(str(tmp_path / "backbone"))
    heads = [array.copy() for array in model.mask_head.get_weights()]
    detector._begin_with(model, tmp_path / "backbone")
    assert prefix == str(tmp_path / "backbone")
    for one, expected in zip(model.backbone.get_weights(), other.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(one, expected)
    for one, expected in zip(model.mask_head.get_weights(), heads, strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.mark.parametrize("other", [{"backbone": 10}, {"backbone": 34}, {"width": 0.25}, None], ids=str)
def test_a_checkpoint_of_another_backbone_is_refused(model, other, tmp_path):
    if other:
        backbone = mrcnn.build(change(TINY, other)).backbone
        tf.train.Checkpoint(backbone=backbone).write(str(tmp_path / "backbone"))
    with pytest.raises(InputError, match=r"--init .*backbone holds no weights of this backbone"):
        detector._begin_with(model, tmp_path / "backbone")


# what fit does with a trainer's losses and scores


@dataclass
class Counter:
    """Stands for a model or an optimiser: its weights are one number."""

    value: float = 0.0

    def get_weights(self):
        return [np.array([self.value])]

    def set_weights(self, weights):
        self.value = float(weights[0][0])


class Blind:
    """Stands for a detector that is to look at nothing."""

    def detect_slices(self, image, chosen):
        assert not chosen
        return []


@dataclass
class Scripted:
    """Stands for a trainer: gives the losses that it is told to, and keeps what it was given."""

    losses: list[float]
    model: Counter = field(default_factory=Counter)
    optimiser: Counter = field(default_factory=Counter)
    detector: Blind = field(default_factory=Blind)
    batches: list = field(default_factory=list)
    rates: list = field(default_factory=list)

    def reset(self, seed):
        self.model.value, self.optimiser.value = float(seed), 0.0

    def learn(self, batch, rate):
        self.model.value += 1
        self.optimiser.value += 10
        self.batches.append(batch.images)
        self.rates.append(rate)
        return self.losses[len(self.rates) - 1]


LONGER = change(TINY, {"epochs": 3, "steps": 2})
LOSSES = [5.0, 3.0, 1.0, 2.0, 4.0, 2.0]  # epochs of 4, 1.5 and 3


def test_without_validation_the_least_loss_decides(volumes, tmp_path):
    run = new_run(tmp_path / "run", volumes, recipe=LONGER)
    trainer = Scripted(LOSSES)
    history = fit(run, volumes[:2], [], trainer=trainer)
    assert [row["loss"] for row in history] == [4.0, 1.5, 3.0]
    assert set(history[0]) == {"epoch", "loss", "lr", "seconds"}
    assert store.load(run.best, MODEL, [np.zeros(1)]) == [3 + 4]  # the seed, and four steps
    assert store.load(run.checkpoint()[1], MODEL, [np.zeros(1)]) == [3 + 6]
    assert store.load(run.checkpoint()[1], OPTIMISER, [np.zeros(1)]) == [60]
    assert trainer.rates == pytest.approx(rates(LONGER))


def test_validation_volumes_without_objects_leave_the_choice_to_the_loss(volumes, tmp_path):
    empty = replace(volumes[2], labels=np.zeros_like(volumes[2].labels))
    run = new_run(tmp_path / "run", volumes, recipe=LONGER)
    history = fit(run, volumes[:2], [empty], trainer=Scripted(LOSSES))
    assert "val_seg" not in history[0]
    assert store.load(run.best, MODEL, [np.zeros(1)]) == [3 + 4]


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_wherever_it_is_cut_off_the_same_batches_and_rates_follow(volumes, tmp_path, monkeypatch, epoch):
    whole = Scripted(LOSSES)
    run = new_run(tmp_path / "whole", volumes, recipe=LONGER)
    history = fit(run, volumes[:2], [], trainer=whole)
    cut = new_run(tmp_path / "cut", volumes, recipe=LONGER)
    monkeypatch.setattr(store, "save", stop_before(f"last-{epoch:04d}.weights.h5"))
    with pytest.raises(KeyboardInterrupt):
        fit(cut, volumes[:2], [], trainer=Scripted(LOSSES))
    monkeypatch.undo()
    done = 2 * (epoch - 1)
    rest = Scripted(LOSSES[done:])
    assert without_seconds(fit(cut, volumes[:2], [], trainer=rest)) == without_seconds(history)
    assert rest.rates == whole.rates[done:]
    assert len(rest.batches) == len(whole.batches) - done
    for one, other in zip(rest.batches, whole.batches[done:], strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("best.weights.h5", "last-0003.weights.h5"):
        one, other = (store.load(folder.path / name, MODEL, [np.zeros(1)]) for folder in (cut, run))
        assert one == other
    assert names(cut) == names(run)


def test_seeds_draw_other_batches(volumes, tmp_path):
    drawn = []
    for seed in (3, 4):
        trainer = Scripted(LOSSES)
        fit(new_run(tmp_path / f"{seed}", volumes, seed, LONGER), volumes[:2], [], trainer=trainer)
        drawn.append(trainer.batches)
    assert not np.array_equal(*drawn)
