"""The weights that come with the package give the same probabilities whatever Keras computes with."""

import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from zoo import registry
from zoo.data.phantom import embryo
from zoo.weights import open_networks

COMPUTE = """
import sys
import numpy as np
from zoo import registry
from zoo.weights import open_networks
name, image, out = sys.argv[1:]
model = open_networks(registry.get(name), [])[name].model
np.save(out, np.asarray(model.predict_on_batch(np.load(image))))
"""
NAMES = [entry.name for entry in registry.entries() if entry.pretrained and entry.keras == "keras"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_says_the_same(backend, name, tmp_path, monkeypatch):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    monkeypatch.chdir(tmp_path)  # where there is no runs/NAME
    image = embryo(0, nuclei=5, shape=(32, 64, 64), debris=0).image.astype(np.float32)
    image = ((image - image.min()) / np.ptp(image))[None, ..., None]
    np.save(tmp_path / "image.npy", image)
    subprocess.run(
        [sys.executable, "-c", COMPUTE, name, tmp_path / "image.npy", tmp_path / "out.npy"],
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
    )
    here = open_networks(registry.get(name), [])[name].model.predict_on_batch(image)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), here, atol=1e-5)
