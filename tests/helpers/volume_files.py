"""Volumes in files, to be read by boxes."""

import numpy as np
import pytest

from zoo.data.omezarr import build_pyramid, create
from zoo.data.volumes import open_volume
from zoo.errors import InputError

UM = (1.0, 0.3, 0.25)
WHOLE = (slice(0, 6), slice(0, 40), slice(0, 50))
BOX = (slice(1, 5), slice(7, 33), slice(20, 21))
VERSIONS = pytest.mark.parametrize("version", ["0.4", "0.5"])


def noise(shape=(6, 40, 50), dtype=np.uint16, high=60000):
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def write(path, array, spacing=UM, **settings):
    create(path, array.shape, array.dtype, spacing, **settings)[:] = array
    build_pyramid(path)
    return path


def refusal(path, **asked):
    with pytest.raises(InputError) as fault:
        open_volume(path, **asked)
    assert "\n" not in str(fault.value)
    return str(fault.value)
