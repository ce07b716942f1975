import json
import re
import subprocess
import sys
import zlib
from pathlib import Path

import imagecodecs
import keras
import numpy as np
import pytest
import tensorflow as tf

from zoo import registry
from zoo.data import movies, normalise
from zoo.data import tiles as arrays
from zoo.data.resample import resample
from zoo.errors import InputError
from zoo.recipe import change
from zoo.segment import Network
from zoo.serving import graph, signatures
from zoo.serving.packed import CHUNK, pack, unpack_mask

HERE = Path(__file__).parents[2] / "helpers"
SHAPES = [(1, 1, 1), (1, 5, 2), (16, 16, 16), (3, 17, 31), (33, 1, 7)]


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def on(function, volume, *arguments):
    """Apply a function of batches to a volume, twice over, so that volumes of a batch cannot get mixed up."""
    batch = np.stack([volume, 2 * volume])[..., None]
    found = function(tf.constant(batch), *arguments).numpy()
    np.testing.assert_allclose(found[1], 2 * found[0], rtol=1e-5)
    return found[0, ..., 0]


# what is done before and after a network: the same as in zoo.data


@pytest.mark.parametrize("multiple", [1, 4, 16])
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_is_that_of_the_arrays(shape, multiple):
    volume = noise(shape)
    expected, inside = arrays.pad_to_multiple(volume, multiple)
    padded, before = graph.pad_to_multiple(tf.constant(volume[None, ..., None]), multiple)
    np.testing.assert_array_equal(padded.numpy()[0, ..., 0], expected)
    assert before.numpy().tolist() == [one.start for one in inside]
    again = graph.cut(padded, before, tf.constant(shape))
    np.testing.assert_array_equal(again.numpy()[0, ..., 0], volume)


@pytest.mark.parametrize("size", [(8, 8, 8), (1, 1, 1), (5, 40, 3)])
@pytest.mark.parametrize("shape", SHAPES)
def test_resampling_is_that_of_the_arrays(shape, size):
    volume = noise(shape)
    np.testing.assert_allclose(
        on(graph.resample, volume, tf.constant(size)), resample(volume, size), atol=2e-6
    )


@pytest.mark.parametrize("how", ["cell", "resize", "pad"])
@pytest.mark.parametrize("shape", [(8, 8, 8), (5, 8, 2), (1, 7, 4)])
def test_fitting_a_cell_is_that_of_the_arrays(shape, how):
    volume = noise(shape) + 3  # so that margins of 0 would be seen
    size = (8, 8, 8)
    fitted = movies.fit_image(volume, size, how)
    np.testing.assert_allclose(on(graph.fit, volume, size, how), fitted, atol=1e-6)
    back = on(graph.unfit, fitted, tf.constant(shape), how)
    np.testing.assert_allclose(back, movies.unfit(fitted, shape, how), atol=1e-6)


def test_a_volume_that_cannot_be_padded_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="no larger than the network's 8 x 8 x 8"):
        graph.fit(tf.zeros((1, 8, 9, 8, 1)), (8, 8, 8), "pad")


BRIGHT = np.random.default_rng(0).integers(60_000, 60_010, (6, 7, 9)).astype(np.uint16)
SPARSE = np.where(np.arange(4000).reshape(10, 20, 20) == 17, 65_535, 3).astype(np.uint16)
VOLUMES = {
    "noise": np.random.default_rng(1).integers(0, 256, (7, 30, 31)).astype(np.uint8),
    "bright": BRIGHT,
    "one bright voxel": SPARSE,
    "constant": np.full((3, 4, 5), 77, np.uint16),
    "one voxel": np.full((1, 1, 1), 9, np.uint8),
    "two voxels": np.array([[[3, 11]]], np.uint8),
    "black": np.zeros((2, 3, 4), np.uint16),
}


@pytest.mark.parametrize("volume", VOLUMES.values(), ids=VOLUMES)
@pytest.mark.parametrize("how", ["percentile", "minmax"])
def test_scaling_is_that_of_the_arrays(volume, how):
    found = graph.scale(tf.constant(volume.astype(np.int32)), how).numpy()
    expected = normalise.scale(volume, how)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    if how == "percentile":  # cells are scaled in the same way
        np.testing.assert_allclose(found, movies.scale(volume, how), rtol=1e-6, atol=1e-6)


def test_scaling_by_the_largest_value():
    volume = VOLUMES["noise"]
    found = graph.scale(tf.constant(volume.astype(np.int32)), "max").numpy()
    np.testing.assert_array_equal(found, movies.scale(volume, "max"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="divides by the largest value"):
        graph.scale(tf.zeros((2, 2, 2), tf.int32), "max")


# packed volumes


@tf.function(
    input_signature=[
        tf.TensorSpec((None,), tf.string),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((), tf.string),
    ]
)
def unpack(data, shape, dtype):
    return graph.unpack(data, shape, dtype)


def ask(data, shape, dtype="uint8"):
    return unpack(tf.constant(data, tf.string), tf.constant(shape, tf.int64), tf.constant(dtype)).numpy()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [1, 2, CHUNK // 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_what_was_packed_is_unpacked(size, dtype):
    raw = np.random.default_rng(size).integers(0, np.iinfo(dtype).max, (1, size, 1), endpoint=True)
    volume = raw.astype(dtype)
    np.testing.assert_array_equal(ask(*pack(volume)), volume)
    turned = volume.reshape(1, 1, size)
    np.testing.assert_array_equal(ask(*pack(turned)), turned)


WHOLE, NONE = zlib.compress(bytes(CHUNK)), zlib.compress(b"")
LIES = {
    "no shape": ([WHOLE], [], "uint8", "shape must be three positive numbers"),
    "two numbers": ([WHOLE], [256, 256], "uint8", "shape must be three positive numbers"),
    "four numbers": ([WHOLE], [1, 1, 256, 256], "uint8", "shape must be three positive numbers"),
    "no voxel": ([], [0, 256, 256], "uint8", "shape must be three positive numbers"),
    "negative": ([WHOLE], [-1, -256, 256], "uint8", "shape must be three positive numbers"),
    "beyond int64": ([WHOLE], [2**62, 2**62, 4], "uint8", "shape must be three positive numbers"),
    "a product beyond int64": ([WHOLE], [2**31, 2**31, 4], "uint8", "a volume may have 16777216 voxels"),
    "too large": ([WHOLE], [257, 256, 256], "uint8", "a volume may have 16777216 voxels"),
    "too large in uint16": ([WHOLE], [257, 256, 256], "uint16", "a volume may have 16777216 voxels"),
    "too high for a PNG": ([WHOLE], [1001, 1000, 1], "uint8", "for a PNG"),
    "too wide for a PNG": ([WHOLE], [1, 1, 1_000_001], "uint8", "for a PNG"),
    "another type": ([WHOLE], [1, 256, 256], "float32", "dtype must be uint8 or uint16"),
    "too few pieces": ([WHOLE], [2, 256, 256], "uint8", "so many pieces, has"),
    "too few for uint16": ([WHOLE], [1, 256, 256], "uint16", "so many pieces, has"),
    "too many pieces": ([WHOLE, NONE], [1, 256, 256], "uint8", "so many pieces, has"),
    "no pieces": ([], [1, 256, 256], "uint8", "so many pieces, has"),
    "a long piece": ([WHOLE + bytes(CHUNK + 1025)], [1, 256, 256], "uint8", "a piece may have 66560 bytes"),
    "a short piece": ([zlib.compress(bytes(CHUNK - 1))], [1, 256, 256], "uint8", "must inflate to so many"),
    "a bomb": ([zlib.compress(bytes(CHUNK + 1))], [1, 256, 256], "uint8", "must inflate to so many"),
    "a short last piece": ([WHOLE, NONE], [1, 256, 257], "uint8", "must inflate to so many"),
}


@pytest.mark.parametrize("data, shape, dtype, says", LIES.values(), ids=LIES)
def test_lies_are_refused(data, shape, dtype, says):
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(says)):
        ask(data, shape, dtype)


@pytest.mark.parametrize("piece", [b"", b"not zlib", WHOLE[:-5], b"\0" + WHOLE])
def test_what_is_not_compressed_is_refused(piece):
    with pytest.raises(tf.errors.OpError):
        ask([piece], [1, 256, 256])


BOMBS = """
import json, resource, sys, zlib
sys.path.insert(0, sys.argv[2])
import numpy as np
from c_session import Session

session = Session(sys.argv[1])
bomb = zlib.compress(bytes(50_000_000), 9)
assert len(bomb) < 66_560
honest = zlib.compress(bytes(65_536))

def ask(pieces, shape=None, dtype=b"uint8"):
    shape = np.array(shape or [len(pieces), 256, 256])
    inputs = {"data": np.array(pieces, object), "shape": shape, "dtype": np.array(dtype, object)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        session.run("packed", inputs)
        says = ""
    except RuntimeError as fault:
        says = str(fault)
    return says, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

assert ask([honest])[0] == ""
bombs = [ask([bomb] * 200), ask([honest] * 100 + [bomb] * 100)]
lies = [ask([honest], [1, 1, 256, 256]), ask([honest], [2, 256, 256]), ask([honest], None, b"int8")]
print(json.dumps([bombs, lies]))
"""


def test_a_session_refuses_lies_and_bombs_before_they_fill_its_memory(exported):
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, str(exported), str(HERE)], capture_output=True, text=True, check=True
    )
    bombs, lies = json.loads(done.stdout)
    for says, grown in bombs:
        assert "a piece must inflate to so many bytes" in says
        assert grown < 200, "10 GB were sent as 10 MB; one piece of 50 MB may be inflated, and copied"
    words = ("three positive numbers", "so many pieces", "uint8 or uint16")
    assert [word for word, (says, _) in zip(words, lies, strict=True) if word in says] == list(words)


# the signatures


@pytest.fixture(scope="module")
def model(exported):
    return tf.saved_model.load(str(exported))


def answer(model, signature, **inputs):
    found = model.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: np.asarray(value) for name, value in found.items()}


def send(volume):
    data, shape, dtype = pack(volume)
    return {"data": data, "shape": np.array(shape, np.int64), "dtype": dtype.encode()}


def test_the_mask_is_where_the_probability_is_a_half_or_more(model):
    image = noise((2, 5, 13, 10, 1))
    probability = answer(model, "serving_default", image=image)["probability"]
    mask = answer(model, "mask", image=image)["mask"]
    assert mask.dtype == np.uint8
    assert 0 < mask.mean() < 1
    np.testing.assert_array_equal(mask, probability >= 0.5)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_packed_volume_has_the_mask_of_the_scaled_one(model, dtype):
    volume = np.random.default_rng(0).integers(0, 200, (5, 13, 10)).astype(dtype)
    scaled = normalise.percentile(volume)
    expected = answer(model, "mask", image=scaled[None, ..., None])["mask"][0, ..., 0]
    png = answer(model, "packed", **send(volume))["mask_bytes"].item()
    assert imagecodecs.png_decode(png).shape == (65, 10)
    np.testing.assert_array_equal(unpack_mask(png, volume.shape), expected)


def test_an_image_of_no_voxel_is_refused(model):
    for shape in ((1, 0, 4, 4, 1), (0, 4, 4, 4, 1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="image must have a voxel on each axis"):
            answer(model, "serving_default", image=np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)])
def test_settings_come_as_often_as_they_are_asked_for(model, exported, shape):
    expected = (exported / "assets.extra" / "model.json").read_bytes()
    found = answer(model, "settings", query=np.full(shape, b"", object))["settings"]
    assert found.shape == shape
    assert set(found.reshape(-1)) == {expected}


def test_settings_rebuild_the_recipe(exported, nsn_run):
    told = json.loads((exported / "assets.extra" / "model.json").read_text())
    assert change(registry.get(told["entry"]).recipes["default"], told["recipe"]) == nsn_run.recipe
    assert told["model"] == "qcanet_nsn"
    assert told["run"] == "nsn"
    assert str(nsn_run.path.parent) not in json.dumps(told)


def network(**changed):
    entry = registry.get("qcanet_nsn")
    recipe = change(entry.recipes["default"], {**entry.tiny, **changed})
    return Network(entry, recipe, entry.build.load()(recipe))


def test_where_attenuation_is_corrected_there_is_no_packed():
    served = signatures.serve(network(attenuation=True))
    assert set(served.functions) == set(served.examples) == set(served.tiles) == {"serving_default", "mask"}
    assert "attenuation" in served.notes[0]


def test_tiles_are_of_the_size_that_networks_learnt_from():
    served = signatures.serve(network())
    assert served.tiles["serving_default"]["image"].shape == (1, 16, 16, 16, 1)
    assert served.tiles["packed"]["shape"].tolist() == [16, 16, 16]


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match="Keras runs on jax, only TensorFlow exports"):
        signatures.serve(network())
