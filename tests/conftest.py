"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.train.device import configure

configure()  # before any test imports TensorFlow

REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the project; tests that want it skip, saying so, where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"no real data: {REAL.parent.name}/{REAL.name} is not beside the project")
    return REAL
