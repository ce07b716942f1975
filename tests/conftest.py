"""What all tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from zoo.train.device import configure

configure()  # before any test imports TensorFlow

REAL = Path(__file__).parents[2] / "shared" / "data"

# the same few examples on every run; `make fuzz` asks for many new ones. How long one takes is the machine's
_CALM = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=15, derandomize=True, **_CALM)
settings.register_profile("nightly", max_examples=10_000, derandomize=False, print_blob=True, **_CALM)
settings.load_profile("ci")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start each test, its fixtures too, with the same random numbers: untrained networks never differ."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the project; tests that want it skip, saying so, where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"no real data: {REAL.parent.name}/{REAL.name} is not beside the project")
    return REAL
