"""Fit a registry entry: from volumes to a run folder."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import keras
from rich.console import Console

from zoo.data.datasets import Volume
from zoo.data.write import atomic
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.recipe import Recipe
from zoo.recipe_cell import CellRecipe
from zoo.train.batches import Batches, Example, WholeVolumes, prepare_example
from zoo.train.calibrate import calibrate
from zoo.train.curves import plot_history
from zoo.train.losses import LOSSES, ForegroundIoU
from zoo.train.progress import Bar
from zoo.train.runs import THRESHOLD, Row, Run, alone
from zoo.train.schedule import is_best, learning_rate, should_stop


def build(entry: Entry, recipe: Recipe | CellRecipe) -> keras.Model:
    """Build an entry's network by its recipe, with fresh weights."""
    if entry.build is None:
        needed = ", ".join(entry.needs.values()) or "nothing"
        raise InputError(f"{entry.name} has no network of its own to train; it is made of {needed}")
    return entry.build.load()(recipe)


def rebuild(run: Run) -> keras.Model:
    """Build the network of a run with its best weights.

    Raises
    ------
    InputError
        Where the weights are missing, cut short, changed, or do not fit the network.
    """
    run.check_best()
    model = build(run.entry, run.recipe)
    _load(model, run.best)
    model.jit_compile = False  # XLA would compile anew for each shape of image
    return model


def fit(
    run: Run,
    train: Sequence[Volume],
    validation: Sequence[Volume],
    *,
    devices: int = 1,
    console: Console | None = None,
) -> list[Row]:
    """Train until the recipe's last epoch, from the run's checkpoint where there is one.

    Parameters
    ----------
    run
        Says what is trained and how; gets history, curves and weights.
    train, validation
        Volumes at the microscope's voxels; without validation the training IoU chooses the best epoch.
    devices
        Number of GPUs to share each batch among.
    console
        Where progress is shown; ``None`` for nowhere.

    Returns
    -------
    list of dict
        The history, an epoch a row.

    Raises
    ------
    InputError
        For a checkpoint that cannot be read.
    """
    entry, recipe, seed = run.entry, run.recipe, int(run.settings["seed"])
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(run.settings["precision"])
    examples = [prepare_example(v, entry, recipe) for v in train]
    checks = [prepare_example(v, entry, recipe) for v in validation]
    try:
        with _shared_by(devices):
            model = _compile(build(entry, recipe), recipe)
        with alone(run.path):
            return _fit(run, model, examples, checks, console or Console(quiet=True))
    finally:
        keras.config.set_dtype_policy("float32")


def _fit(
    run: Run, model: keras.Model, examples: list[Example], checks: list[Example], console: Console
) -> list[Row]:
    recipe = run.recipe
    run.clear()
    done = run.checkpoint()
    first = 0
    if done is not None:
        first, path = done
        _load(model, path)
    history = run.history()
    if first < recipe.epochs and not should_stop(recipe, history):
        keeper = _Keeper(run, build(run.entry, recipe), history)
        batches = Batches(examples, recipe, int(run.settings["seed"]), epoch=first)
        with Bar(console, recipe.epochs, len(batches), first) as bar:
            callbacks: list[Any] = [keeper, _Shown(bar)]
            if keras.backend.backend() == "tensorflow":
                board = keras.callbacks.TensorBoard(str(run.path / "tensorboard"), write_graph=False)
                callbacks.append(board)
            model.fit(
                batches,
                validation_data=WholeVolumes(checks, recipe.multiple) if checks else None,
                initial_epoch=first,
                epochs=recipe.epochs,
                callbacks=callbacks,
                shuffle=False,  # Batches does, by seed and epoch; Keras would by a global state
                verbose=0,
            )
        history = keeper.history
    if run.entry.task == "semantic" and checks:
        calibrate(run.path / THRESHOLD, rebuild(run), WholeVolumes(checks, recipe.multiple))
    plot_history(run.path / "history.csv", run.path / "learning_curve.png")
    return history


class _Keeper(keras.callbacks.Callback):
    """Sets the learning rate, keeps history and checkpoints, and stops early.

    An epoch is finished when its checkpoint has its name; whatever a kill cuts off before is done again.
    """

    def __init__(self, run: Run, twin: keras.Model, history: list[Row]) -> None:
        super().__init__()
        self.run, self.history = run, history
        self.twin = (
            twin  # same network without optimiser, so that the best weights are saved without its state
        )

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.model.optimizer.learning_rate.assign(learning_rate(self.run.recipe, self.history))
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        row |= {"epoch": epoch + 1, "lr": float(self.model.optimizer.learning_rate)}
        row["seconds"] = round(time.monotonic() - self.began, 1)
        self.history = [*self.history, {k: v for k, v in row.items() if k != "learning_rate"}]
        if is_best(self.history):
            self.twin.set_weights(self.model.get_weights())
            _save(self.twin, self.run.best)
        self.run.write_history(self.history)
        plot_history(self.run.path / "history.csv", self.run.path / "learning_curve.png")
        _save(self.model, self.run.checkpoint_file(epoch + 1))
        self.run.clear(self.run.checkpoint_file(epoch + 1))
        if should_stop(self.run.recipe, self.history):
            self.model.stop_training = True


class _Shown(keras.callbacks.Callback):
    """Moves a bar on."""

    def __init__(self, bar: Bar) -> None:
        super().__init__()
        self.bar = bar

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        self.bar.step(logs or {})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.bar.epoch(logs or {})


def _compile(model: keras.Model, recipe: Recipe | CellRecipe) -> keras.Model:
    if recipe.optimiser == "sgd":
        optimiser = keras.optimizers.SGD(recipe.lr)
    else:
        optimiser = keras.optimizers.Adam(recipe.lr)
    on_cpu = not _sees_gpu()
    model.compile(
        optimizer=optimiser,
        loss=LOSSES[recipe.loss],
        metrics=[ForegroundIoU()],
        # XLA on a CPU was about ten times slower
        jit_compile=False if on_cpu else "auto",
    )
    model.optimizer.build(model.trainable_variables)  # so that a checkpoint's optimiser state finds its slots
    return model


def _sees_gpu() -> bool:
    from zoo.train.device import gpus

    return bool(gpus())


def _shared_by(devices: int) -> Any:
    if devices == 1:
        return nullcontext()
    import tensorflow as tf

    return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(devices)]).scope()


def _save(model: keras.Model, path: Any) -> None:
    with atomic(path) as part:
        model.save_weights(part, overwrite=True)


def _load(model: keras.Model, path: Any) -> None:
    try:
        with warnings.catch_warnings():
            # Keras leaves a layer that finds nothing in the file as it is, and warns
            warnings.simplefilter("error", UserWarning)
            model.load_weights(path)
    except (OSError, KeyError, ValueError, RuntimeError, UserWarning) as fault:
        reason = (str(fault) or type(fault).__name__).splitlines()[0]
        raise InputError(
            f"weights {path} cannot be loaded into {model.name}, as they are damaged or of another recipe: "
            f"{reason}"
        ) from None
