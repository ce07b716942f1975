"""Which software made a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

SHAPING = ("cellzoo", "tensorflow", "keras", "numpy", "scipy", "scikit-image")


def versions() -> dict[str, str]:
    """Return the versions of what shapes a result, by name."""
    found = {"python": platform.python_version()}
    for name in SHAPING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
