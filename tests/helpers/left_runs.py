"""Runs of networks that know some volumes; their weights are never read."""

import json
from pathlib import Path

import h5py

from zoo import registry
from zoo.unseen import Candidate

METRICS = ("iou", "seg", "mucov")
A, B, C = ["a_t1", "a_t2"], ["b_t1", "b_t2"], ["c_t1"]


def candidate(name, known, parameters=10):
    return Candidate(Path(name), frozenset(known), parameters)


def leave_run(path, name, train=(), validation=(), *, best=True, **changed):
    """A run folder that says what it was trained on; its weights are never read here."""
    recipe = {**registry.get(name).recipes["default"].to_dict(), **changed}
    path = Path(path)
    path.mkdir(parents=True)
    settings = {"entry": name, "recipe": recipe, "train": list(train), "validation": list(validation)}
    (path / "run.json").write_text(json.dumps(settings))
    if best:
        h5py.File(path / "best.weights.h5", "w").close()
