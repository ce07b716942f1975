"""What the tests of data share."""

import numpy as np
import pytest
from preparations import write_movie
from stacks import SHAPE


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(0, 60_000, SHAPE).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    """Four movies to prepare."""
    made = tmp_path / "movies"
    for seed in range(4):
        write_movie(made, f"c{seed}", seed)
    return made
