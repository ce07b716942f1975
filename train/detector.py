"""Fit a Mask R-CNN: from volumes with labels to a member's run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from official.vision.configs import maskrcnn as config
from official.vision.ops import anchor
from official.vision.tasks.maskrcnn import MaskRCNNTask
from rich.console import Console

from zoo.data.datasets import Volume
from zoo.errors import InputError
from zoo.evaluate.metrics import score
from zoo.fusion.detections import to_labels
from zoo.models import mrcnn
from zoo.models.detect import Detector
from zoo.recipe_detector import LEVELS, DetectorRecipe
from zoo.train import store
from zoo.train.curves import plot_history
from zoo.train.progress import Bar
from zoo.train.runs import Row, Run, alone
from zoo.train.schedule import cosine, is_best
from zoo.train.slices import Batch, SliceBatches, Slices, prepare_slices

CLIP = 10.0  # global norm of the gradients
CHECKS = 64  # slices that an epoch is judged by
MODEL, OPTIMISER = "model", "optimiser"


class Trainer:
    """A detector and its optimiser, traced once; members of one architecture are trained by it in turn.

    Parameters
    ----------
    recipe
        Says how the detector is built.
    precision
        Name of the dtype policy, ``float32``, ``mixed_bfloat16`` or, on GPUs, ``mixed_float16``.
    devices
        Number of GPUs that share each batch.
    """

    def __init__(self, recipe: DetectorRecipe, precision: str, devices: int = 1) -> None:
        tf_keras.mixed_precision.set_global_policy(precision)
        self.recipe = recipe
        self.strategy = _strategy(devices)
        self.task = MaskRCNNTask(config.MaskRCNNTask(model=mrcnn.configuration(recipe)))
        with self.strategy.scope():
            self.model = mrcnn.build(recipe)
            # the one that the recipe's settings were found with
            optimiser = tf_keras.optimizers.legacy.Adam(recipe.lr)
            if precision == "mixed_float16":
                optimiser = tf_keras.mixed_precision.LossScaleOptimizer(optimiser)
            # slots that came into being while tracing would make the second trace differ
            optimiser._create_all_weights(self.model.trainable_variables)
        self.optimiser = optimiser
        self.step = tf.function(self._step, autograph=False)  # which would take most of the tracing
        self.detector = Detector(self.model, recipe)
        edge = recipe.patch
        anchors = anchor.build_anchor_generator(LEVELS[0], LEVELS[-1], recipe.scales, [1.0], recipe.anchor)
        self.anchors = anchors(image_size=(edge, edge))
        self.labeler = anchor.RpnAnchorLabeler()

    def reset(self, seed: int) -> None:
        """Give the detector fresh weights and forget the optimiser's state."""
        tf_keras.utils.set_random_seed(seed)
        self.model.set_weights(mrcnn.build(self.recipe).get_weights())
        self.optimiser.set_weights([np.zeros_like(w) for w in self.optimiser.get_weights()])

    def learn(self, batch: Batch, rate: float) -> float:
        """Take a step on a batch and return the loss."""
        self.optimiser.learning_rate = rate
        arrays = (batch.images, batch.boxes, batch.masks, batch.counts)
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1:
            return float(self.step(*map(tf.constant, arrays)))
        shares = [np.split(array, replicas) for array in arrays]
        values = [
            self.strategy.experimental_distribute_values_from_function(
                lambda context, share=share: tf.constant(share[context.replica_id_in_sync_group])
            )
            for share in shares
        ]
        return float(self.step(*values))

    def _step(self, *batch: Any) -> tf.Tensor:
        losses = self.strategy.run(self._replica_step, args=batch)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    def _replica_step(
        self, images: tf.Tensor, boxes: tf.Tensor, masks: tf.Tensor, counts: tf.Tensor
    ) -> tf.Tensor:
        size = images.shape[0]
        real = tf.sequence_mask(counts, boxes.shape[1])
        scores, offsets = self._proposal_targets(boxes, counts, size)
        tiled = {level: tf.stack([boxes_] * size) for level, boxes_ in self.anchors.items()}
        with tf.GradientTape() as tape:
            outputs = self.model(
                images,
                image_shape=tf.constant([[self.recipe.patch] * 2] * size, tf.float32),
                anchor_boxes=tiled,
                gt_boxes=boxes,
                gt_classes=tf.where(real, 1, -1),
                gt_masks=masks,
                training=True,
            )
            outputs = tf.nest.map_structure(lambda value: tf.cast(value, tf.float32), outputs)
            targets = {"rpn_score_targets": scores, "rpn_box_targets": offsets}
            loss = self.task.build_losses(outputs, targets)["total_loss"] / self.strategy.num_replicas_in_sync
            scaled = loss
            if isinstance(self.optimiser, tf_keras.mixed_precision.LossScaleOptimizer):
                scaled = self.optimiser.get_scaled_loss(loss)
        variables = self.model.trainable_variables
        gradients = tape.gradient(scaled, variables)
        if isinstance(self.optimiser, tf_keras.mixed_precision.LossScaleOptimizer):
            gradients = self.optimiser.get_unscaled_gradients(gradients)
        gradients, _ = tf.clip_by_global_norm(gradients, CLIP)
        self.optimiser.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    def _proposal_targets(
        self, boxes: tf.Tensor, counts: tf.Tensor, size: int
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        scores, offsets = [], []
        for i in range(size):
            there = boxes[i, : counts[i]]
            found = self.labeler.label_anchors(self.anchors, there, tf.ones((counts[i], 1), tf.float32))
            scores.append(found[0])
            offsets.append(found[1])
        levels = list(self.anchors)
        return (
            {level: tf.stack([one[level] for one in scores]) for level in levels},
            {level: tf.stack([one[level] for one in offsets]) for level in levels},
        )


def fit(
    run: Run,
    train: Sequence[Volume],
    validation: Sequence[Volume],
    *,
    devices: int = 1,
    console: Console | None = None,
    trainer: Trainer | None = None,
    init: Path | None = None,
) -> list[Row]:
    """Train a detector until the recipe's last epoch, from the run's checkpoint where there is one.

    Parameters
    ----------
    run
        Says what is trained and how; gets history, curves and weights.
    train, validation
        Volumes at the microscope's voxels. Of the validation volumes 64 slices, evenly spaced among those
        that hold nuclei, give each epoch's SEG and F1; without validation the least loss chooses.
    devices
        Number of GPUs to share each batch among.
    console
        Where progress is shown; ``None`` for nowhere.
    trainer
        Of the same architecture, from another member's training, so that nothing is traced anew.
    init
        Model Garden checkpoint that the backbone, and what else fits, begins with.

    Returns
    -------
    list of dict
        The history, an epoch a row.

    Raises
    ------
    InputError
        For a checkpoint that cannot be read.
    """
    recipe, seed = run.recipe, int(run.settings["seed"])
    assert isinstance(recipe, DetectorRecipe), f"{run.path} is not a detector's run"
    trainer = trainer or Trainer(recipe, run.settings["precision"], devices)
    trainer.reset(seed)
    batches = SliceBatches([prepare_slices(v, recipe) for v in train], recipe, seed)
    checks = [prepare_slices(v, recipe) for v in validation]
    with alone(run.path):
        return _fit(run, recipe, trainer, batches, checks, console or Console(quiet=True), init)


def _fit(
    run: Run,
    recipe: DetectorRecipe,
    trainer: Trainer,
    batches: SliceBatches,
    checks: Sequence[Slices],
    console: Console,
    init: Path | None,
) -> list[Row]:
    run.clear()
    done = run.checkpoint()
    if done:
        _restore(trainer, done[1])
    elif init:
        _begin_with(trainer.model, init)
    history = run.history()
    with Bar(console, recipe.epochs, recipe.steps, len(history)) as bar:
        for epoch in range(len(history), recipe.epochs):
            # Model Garden draws anchors and regions from TensorFlow's global state: begun anew each epoch, a
            # resumed run draws what the uninterrupted one drew
            tf.random.set_seed(0)
            began, losses = time.monotonic(), []
            for step in range(epoch * recipe.steps, (epoch + 1) * recipe.steps):
                losses.append(trainer.learn(batches.batch(step), _rate(recipe, step)))
                bar.step({"loss": losses[-1]})
            row = {"epoch": epoch + 1.0, "loss": float(np.mean(losses)), "lr": _rate(recipe, step)}
            row |= validate(trainer.detector, checks)
            history = [*history, {**row, "seconds": round(time.monotonic() - began, 1)}]
            _keep(run, trainer, history)
            bar.epoch(history[-1])
    plot_history(run.path / "history.csv", run.path / "learning_curve.png")
    return history


def rebuild(run: Run) -> Detector:
    """Build the detector of a member's run with its best weights.

    Raises
    ------
    InputError
        Where the weights are missing, damaged, or of another network.
    """
    assert isinstance(run.recipe, DetectorRecipe), f"{run.path} is not a detector's run"
    run.check_best()
    tf_keras.mixed_precision.set_global_policy("float32")
    model = mrcnn.build(run.recipe)
    model.set_weights(store.load(run.best, MODEL, model.get_weights()))
    return Detector(model, run.recipe)


def validate(detector: Detector, volumes: Sequence[Slices]) -> dict[str, float]:
    """Score a detector on slices of volumes on its grid.

    Returns
    -------
    dict
        ``val_seg`` and ``val_f1`` (at an overlap of 0.5), means over the slices; empty without volumes.
    """
    places = [(volume, int(z)) for volume in volumes for z in volume.filled]
    chosen = (
        [places[i] for i in np.unique(np.linspace(0, len(places) - 1, CHECKS).astype(int))] if places else []
    )
    rows = []
    for volume in volumes:
        zs = [z for other, z in chosen if other is volume]
        for z, found in zip(zs, detector.detect_slices(volume.image, zs), strict=True):
            labels = to_labels(found, volume.labels.shape[1:])
            rows.append(score(volume.labels[z : z + 1], labels[None], ["seg", "f1@0.5"], spacing=(1, 1, 1)))
    if not rows:
        return {}
    return {
        name: float(np.mean([row[key] for row in rows]))
        for name, key in (("val_seg", "seg"), ("val_f1", "f1@0.5"))
    }


def _strategy(devices: int) -> tf.distribute.Strategy:
    if devices == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([f"GPU:{i}" for i in range(devices)])


def _rate(recipe: DetectorRecipe, step: int) -> float:
    return cosine(recipe.lr, step / max(1, recipe.epochs * recipe.steps - 1))


def _keep(run: Run, trainer: Trainer, history: list[Row]) -> None:
    """Write an epoch's history, curves and weights; it is finished when its checkpoint has its name."""
    weights = trainer.model.get_weights()
    if is_best(history):
        store.save(run.best, {MODEL: weights})
    run.write_history(history)
    plot_history(run.path / "history.csv", run.path / "learning_curve.png")
    last = run.checkpoint_file(len(history))
    store.save(last, {MODEL: weights, OPTIMISER: trainer.optimiser.get_weights()})
    run.clear(last)


def _restore(trainer: Trainer, path: Path) -> None:
    trainer.model.set_weights(store.load(path, MODEL, trainer.model.get_weights()))
    trainer.optimiser.set_weights(store.load(path, OPTIMISER, trainer.optimiser.get_weights()))


def _begin_with(model: tf_keras.Model, path: Path) -> None:
    """Load what a Model Garden checkpoint holds of a backbone, or of a whole detector."""
    for part in (
        {"model": model},
        {"backbone": model.backbone, "decoder": model.decoder},
        {"backbone": model.backbone},
    ):
        try:
            tf.train.Checkpoint(**part).read(str(path)).expect_partial().assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError):
            continue
        return
    raise InputError(
        f"--init {path} holds no weights of this backbone: give the prefix of a Model Garden checkpoint "
        "(PREFIX.index is a file) of the recipe's backbone and width"
    )
