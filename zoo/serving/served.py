"""A network ready to be saved for TensorFlow Serving: its signatures, examples and description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.errors import InputError

Tensors = Mapping[str, np.ndarray]  # by name; text and bytes are arrays of objects

DEFAULT = "serving_default"
SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Example:
    """What a signature is asked and should answer."""

    inputs: Tensors
    outputs: Tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A network and what a server needs of it.

    Parameters
    ----------
    name
        Of the exported model.
    recipe
        That the network was built by.
    functions
        Signature to function; each returns its outputs by name.
    axes
        Name of each input and output to its axes; ``SIGNATURE/NAME`` where one differs between signatures.
    examples
        Signature to an input and what the Keras model makes of it.
    tiles
        Signature to inputs of the size that clients send most.
    notes
        What a user should know of, for the README.
    """

    name: str
    recipe: Any
    functions: Mapping[str, Any]
    axes: Mapping[str, str]
    examples: Mapping[str, Example]
    tiles: Mapping[str, Tensors]
    notes: tuple[str, ...] = ()

    def signatures(self) -> dict[str, Any]:
        """Describe the inputs and outputs of each signature, for JSON."""
        return {
            name: {
                "inputs": {
                    spec.name: self._tensor(name, spec.name, spec) for spec in function.input_signature
                },
                "outputs": {
                    key: self._tensor(name, key, tensor)
                    for key, tensor in function.get_concrete_function().structured_outputs.items()
                },
            }
            for name, function in self.functions.items()
        }

    def _tensor(self, signature: str, name: str, tensor: Any) -> dict[str, str]:
        axes = self.axes.get(f"{signature}/{name}", self.axes[name])
        return {"dtype": tensor.dtype.name, "axes": axes}


def save(served: Served, settings: str, path: Path) -> None:
    """Write a SavedModel that answers ``settings`` too.

    Parameters
    ----------
    served
        The network.
    settings
        What it answers there.
    path
        Folder to write; it exists.

    Raises
    ------
    InputError
        Where TensorFlow cannot write it.
    """

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="query")])
    def tell(query: tf.Tensor) -> dict[str, tf.Tensor]:
        # as many as were asked, as batches want it; a scalar for a scalar
        return {SETTINGS: tf.fill(tf.shape(query), settings)}

    functions = {
        name: function.get_concrete_function()
        for name, function in {**served.functions, SETTINGS: tell}.items()
    }
    module = tf.Module()
    # the variables alone: what else a framework's model is made of would only be in the way
    module.kept = [variable for function in functions.values() for variable in function.graph.variables]
    try:
        tf.saved_model.save(module, str(path), signatures=functions)
    except tf.errors.OpError as fault:  # a full disk among them, which TensorFlow tells in its own way
        reason = fault.message.rpartition("; ")[2]
        raise InputError(
            f"the SavedModel of {served.name} cannot be written ({reason}): free some space or choose "
            "another disk"
        ) from None


def write_warmups(served: Served, path: Path) -> None:
    """Write requests by which TensorFlow Serving warms a model up before it answers clients.

    One a signature, of the size that clients send most: memory is taken and kernels are chosen then.

    Parameters
    ----------
    served
        The network.
    path
        TFRecord file of PredictionLogs to write.

    Raises
    ------
    ImportError
        Without tensorflow-serving-api.
    """
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    with tf.io.TFRecordWriter(str(path)) as records:
        for signature, inputs in served.tiles.items():
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = served.name, signature
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            records.write(log.SerializeToString())
