"""Rows of ``bench_all.py`` with a network, the NSN as it comes (8 channels at the top): on one thread."""

from __future__ import annotations

import atexit
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases import Case, Way, Work
from numpy.typing import NDArray

NAME = "qcanet_nsn"
WINDOW = (48, 48, 48)
PRECISIONS = ("float32", "mixed_bfloat16")
MODELS = Path("models")


def cube(edge: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((edge,) * 3, dtype=np.float32)


def network() -> Any:
    from zoo.train import device

    device.configure()
    from zoo import registry
    from zoo.train.loop import build

    entry = registry.get(NAME)
    return build(entry, entry.recipes["default"])


# inference


def forward(model: Any, part: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(model.predict_on_batch(part[None, ..., None]))[0, ..., -1]


def by_pass(edge: int) -> Work:
    image, model = cube(edge), network()
    forward(model, image[:16, :16, :16])  # traced before memory is measured
    return partial(forward, model, image)


def by_tiles(edge: int) -> Work:
    from zoo.data.tiles import blend

    image, model = cube(edge), network()
    forward(model, image[:16, :16, :16])
    return lambda: blend(image, partial(forward, model), WINDOW, overlap=0.5)


# training


def by_step(precision: str, edge: int) -> Work:
    from zoo.train import device

    device.configure()
    import keras

    from zoo.train.losses import LOSSES

    keras.config.set_dtype_policy(precision)
    model = network()
    # XLA is off on a CPU in training too
    model.compile(optimizer=keras.optimizers.Adam(2e-3), loss=LOSSES["dice_ce"], jit_compile=False)
    image = cube(edge)[None, ..., None]
    truth = (image > 0.7).astype(np.float32)
    small = image[:, :16, :16, :16], truth[:, :16, :16, :16]
    model.train_on_batch(*small)
    return lambda: model.train_on_batch(image, truth)


# what was exported, and a server of it


def exported() -> Path:
    """Export the weights that come along, where that was not done, and return the version's folder."""
    from bench_serving import EXPORT

    from zoo.defaults import PRETRAINED

    version = MODELS / NAME / "1"
    if not version.exists():
        command = [sys.executable, "-c", EXPORT, str(PRETRAINED / NAME), str(MODELS)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return version


def raw(edge: int) -> NDArray[np.uint16]:
    """Return an embryo as a camera has it, cut to a cube at the network's voxels."""
    from zoo.data.phantom import embryo

    return embryo(0, nuclei=16, shape=(edge,) * 3, spacing=(102.4 / edge,) * 3).image


def scaled(edge: int) -> NDArray[np.float32]:
    return (raw(edge).astype(np.float32) - 100) / 1000


def by_signature(signature: str, edge: int) -> Work:
    from zoo.train import device

    device.configure()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(exported()))
    ask = loaded.signatures[signature]
    if signature == "packed":
        return partial(
            ask_packed, lambda inputs: ask(**{k: tf.constant(v) for k, v in inputs.items()}), raw(edge)
        )
    image = tf.constant(scaled(edge)[None, ..., None])
    keep = [loaded]  # its variables die with it
    return lambda: (keep, ask(image=image)["probability"].numpy())[1]


def by_keras(edge: int) -> Work:
    return partial(forward, network(), scaled(edge))


def ask_packed(ask: Any, image: NDArray[np.uint16]) -> int:
    """Pack, ask and unpack; return the bytes sent and received."""
    from zoo.serving.packed import pack, unpack_mask

    pieces, shape, dtype = pack(image)
    found = ask({"data": pieces, "shape": np.array(shape, np.int64), "dtype": dtype.encode()})["mask_bytes"]
    png = np.asarray(found).ravel()[0]
    unpack_mask(png, shape)
    return sum(map(len, pieces)) + len(png)


def server() -> Any:
    """Start the tests' server in a process of its own, which ends with this one."""
    import bench_serving

    from zoo.serving.client import Server

    exported()
    command = [sys.executable, bench_serving.__file__, "--serve", str(MODELS), "--wait", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(process.terminate)
    assert process.stdout is not None
    return Server(process.stdout.readline().strip()).__enter__()


def by_client_packed(edge: int) -> Work:
    client = server()
    return partial(ask_packed, partial(client.predict, NAME, "packed"), raw(edge))


def by_client_float(edge: int) -> Work:
    client, image = server(), scaled(edge)[None, ..., None]

    def work() -> int:
        found = client.predict(NAME, "serving_default", {"image": image})["probability"]
        return image.nbytes + found.nbytes

    return work


TILES = Case(
    name="tiles",
    topic="inference, NSN",
    ours=Way(what="whole volume in one pass", prepare=by_pass),
    theirs=Way(what=f"tiles of {WINDOW[0]}, half overlapping, blended", prepare=by_tiles),
    sizes=(64, 80, 96),
    amount=lambda edge: edge**3,
    unit="voxels",
)
TORCH = Case(
    name="torch",
    topic="inference, NSN",
    ours=Way(what="Keras on TensorFlow", prepare=by_pass),
    theirs=Way(
        what="the same network, Keras on torch",
        prepare=by_pass,
        peer="torch",
        env={"KERAS_BACKEND": "torch"},
    ),
    sizes=(32, 48, 64),
    amount=lambda edge: edge**3,
    unit="voxels",
)
STEP = Case(
    name="step",
    topic="training step, NSN",
    ours=Way(what="float32", prepare=partial(by_step, PRECISIONS[0])),
    theirs=Way(what="mixed_bfloat16", prepare=partial(by_step, PRECISIONS[1])),
    sizes=(24, 32, 48),
    amount=lambda edge: edge**3,
    unit="voxels",
)
EXPORTS = tuple(
    Case(
        name=name,
        topic="export",
        ours=Way(what=what, prepare=partial(by_signature, signature)),
        theirs=Way(what="Keras' `predict_on_batch`", prepare=by_keras),
        sizes=(32, 48, 64),
        amount=lambda edge: edge**3,
        unit="voxels",
    )
    for name, signature, what in (
        ("export_float", "serving_default", "SavedModel, float32"),
        ("export_packed", "packed", "SavedModel, packed: packing, scaling and PNG included"),
    )
)
CLIENT = Case(
    name="client",
    topic="client and server",
    ours=Way(what="packed", prepare=by_client_packed),
    theirs=Way(what="float32 there and back", prepare=by_client_float),
    sizes=(32, 48, 64),
    amount=lambda edge: edge**3,
    unit="voxels of uint16",
    note=lambda sent: f"{sent:,} bytes",
)
CASES = (TILES, TORCH, STEP, *EXPORTS, CLIENT)
