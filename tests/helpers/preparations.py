"""Movies to prepare, and what a preparation does to the folders around it."""

import numpy as np
import pytest

from zoo.data.preparation import Settings, prepare
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError

UM = (0.5, 0.2, 0.1)
SHAPE = (6, 5, 8, 10)  # t, z, y, x


def settings(**changed):
    chosen = {"size": (4, 8, 8), "frames": "middle:2", "fit": "resize", "scaling": "max", "split": "movie"}
    return Settings(**(chosen | {"seed": 0, "spacing": None} | changed))


def write_movie(folder, name, seed=0, shape=SHAPE, um=UM, mask=None):
    """Write a movie of noise with a bright block, its mask, which is absent in the first frame."""
    truth = np.zeros(shape, bool)
    truth[1:, 1:4, 2:6, 3:7] = True
    image = np.random.default_rng(seed).integers(0, 100, shape) + 400 * truth
    write_image(folder / f"{name}.tif", image.astype(np.uint16), um)
    write_labels(folder / f"{name}_mask.tif", truth if mask is None else mask, um)
    return image, truth


def run(folder, out, *, overwrite=False, **changed):
    """Prepare, and return what was told."""
    told = []
    prepare(folder, out, settings(**changed), overwrite=overwrite, tell=told.append)
    return told


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder, out, *words, overwrite=False, **changed):
    """See that it is refused in one line, and leaves all as it was."""
    before = files(folder.parent)
    there = sorted(folder.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        run(folder, out, overwrite=overwrite, **changed)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert files(folder.parent) == before
    assert sorted(folder.parent.rglob("*")) == there
    return message
