"""The signatures of the Keras 3 networks: volumes of any size in, probabilities or masks out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import imagecodecs
import keras
import numpy as np
import tensorflow as tf

from zoo.data import movies
from zoo.data.phantom import embryo
from zoo.data.tiles import pad_to
from zoo.defaults import THRESHOLD
from zoo.errors import InputError
from zoo.recipe_cell import CellRecipe
from zoo.segment import Network, predict_probability
from zoo.serving import graph
from zoo.serving.packed import pack
from zoo.serving.served import DEFAULT, Example, Served, Tensors

MASK, PACKED = "mask", "packed"
SHAPE = (13, 37, 35)  # of the example: no multiple of what networks ask for
AXES = {
    "image": "NZYXC",
    "probability": "NZYXC",
    "mask": "NZYXC",
    "data": "K",
    "shape": "zyx",
    "dtype": "",
    "mask_bytes": "",  # so named, as TensorFlow Serving writes what ends so in base64 over REST
}


def serve(network: Network) -> Served:
    """Make the signatures of a network, and examples of what they should answer.

    ``serving_default``: float32 volumes of any size, scaled, to the foreground's probability. ``mask``: the
    same to uint8, 1 where it is 0.5 or more. ``packed``: one raw volume, compressed, to its mask as a PNG;
    left out where the recipe corrects attenuation, which is not done in the graph.

    Parameters
    ----------
    network
        Of Keras 3, on its TensorFlow backend.

    Raises
    ------
    InputError
        Under another backend of Keras.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"Keras runs on {keras.backend.backend()}, only TensorFlow exports: set KERAS_BACKEND=tensorflow"
        )
    functions = _functions(network)
    notes: tuple[str, ...] = ()
    if isinstance(network.recipe, CellRecipe):
        notes = (
            "`packed` scales a volume by itself; the network learnt from movies that were scaled as a whole",
        )
        if network.recipe.fit == "cell":
            notes += ("frames are cut by the client, to the box that `zoo.data.cell.find_cell` finds",)
    elif network.recipe.attenuation:
        del functions[PACKED]
        notes = ("no `packed`: the recipe corrects attenuation, which the client has to do",)
    raw = _example_volume(network.recipe)
    examples, tiles = _examples(network, raw), _inputs(network, _tile(raw, network.recipe.patch))
    return Served(
        name=network.entry.name,
        recipe=network.recipe,
        functions=functions,
        axes=AXES,
        examples={name: examples[name] for name in functions},
        tiles={name: tiles[name] for name in functions},
        notes=notes,
    )


def _functions(network: Network) -> dict[str, Any]:
    model, recipe = network.model, network.recipe
    image = tf.TensorSpec((None, None, None, None, 1), tf.float32, name="image")

    def forward(image: tf.Tensor) -> tf.Tensor:
        image = graph.refuse_empty(image)
        shape = tf.shape(image)[1:4]
        if isinstance(recipe, CellRecipe):
            fitted = graph.fit(image, recipe.size, recipe.fit)
            return graph.unfit(model(fitted, training=False)[..., -1:], shape, recipe.fit)
        padded, before = graph.pad_to_multiple(image, recipe.multiple)
        return graph.cut(model(padded, training=False)[..., -1:], before, shape)

    def cut(probability: tf.Tensor) -> tf.Tensor:
        return tf.cast(probability >= THRESHOLD, tf.uint8)

    @tf.function(input_signature=[image], autograph=False)
    def probability(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probability": forward(image)}

    @tf.function(input_signature=[image], autograph=False)
    def mask(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": cut(forward(image))}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None,), tf.string, name="data"),
            # not (3,): a server does not check sizes, and the graph could not where it takes them for granted
            tf.TensorSpec((None,), tf.int64, name="shape"),
            tf.TensorSpec((), tf.string, name="dtype"),
        ],
        autograph=False,
    )
    def packed(data: tf.Tensor, shape: tf.Tensor, dtype: tf.Tensor) -> dict[str, tf.Tensor]:
        image = graph.scale(graph.unpack(data, shape, dtype), recipe.scaling)
        return {"mask_bytes": graph.to_png(cut(forward(image[None, ..., None]))[0, ..., 0])}

    return {DEFAULT: probability, MASK: mask, PACKED: packed}


def _examples(network: Network, raw: np.ndarray) -> dict[str, Example]:
    """Ask the network on the way that segmentation takes, which owes nothing to the graph of the export."""
    asked = _inputs(network, raw)
    image = asked[DEFAULT]["image"][0, ..., 0]
    # a cell's frames come scaled; other networks' images are scaled on the way
    source = image if isinstance(network.recipe, CellRecipe) else raw
    probability = predict_probability(network, source, _spacing(network))
    mask = (probability >= THRESHOLD).astype(np.uint8)
    answers: dict[str, Tensors] = {
        DEFAULT: {"probability": probability[None, ..., None]},
        MASK: {"mask": mask[None, ..., None]},
        PACKED: {"mask_bytes": _text(bytes(imagecodecs.png_encode(mask.reshape(-1, mask.shape[2]))))},
    }
    return {name: Example(asked[name], answers[name]) for name in answers}


def _inputs(network: Network, raw: np.ndarray) -> dict[str, Tensors]:
    """Return what each signature is asked for a volume (Z, Y, X) uint16 at the network's voxels."""
    if isinstance(network.recipe, CellRecipe):
        scaled = movies.scale(raw, network.recipe.scaling)
    else:
        assert network.entry.prepare is not None, f"{network.entry.name} has no way to prepare its images"
        scaled = network.entry.prepare.load()(raw, _spacing(network), network.recipe)
    image = {"image": scaled[None, ..., None]}
    pieces, shape, dtype = pack(raw)
    # objects, as numpy's own type of bytes drops zeros at their end
    packed = {
        "data": np.array(pieces, object),
        "shape": np.array(shape, np.int64),
        "dtype": _text(dtype.encode()),
    }
    return {DEFAULT: image, MASK: image, PACKED: packed}


def _example_volume(recipe: Any) -> np.ndarray:
    """Return a small synthetic embryo, (Z, Y, X) uint16."""
    image = embryo(0, nuclei=3, shape=SHAPE, spacing=(2.0, 2.0, 2.0), debris=0).image
    if isinstance(recipe, CellRecipe) and recipe.fit == "pad":
        return _middle(image, recipe.size)
    return image


def _tile(raw: np.ndarray, patch: Sequence[int]) -> np.ndarray:
    return _middle(pad_to(raw, patch)[0], patch)


def _middle(image: np.ndarray, most: Sequence[int]) -> np.ndarray:
    starts = [max(0, n - m) // 2 for n, m in zip(image.shape, most, strict=True)]
    return image[tuple(slice(start, start + m) for start, m in zip(starts, most, strict=True))]


def _spacing(network: Network) -> tuple[float, float, float]:
    """Return the voxels (z, y, x) in um at which nothing is resampled; a cell's are of no matter."""
    um = getattr(network.recipe, "voxel_um", 1.0)
    return um, um, um


def _text(value: bytes) -> np.ndarray:
    return np.array(value, object)
