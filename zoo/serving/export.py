"""From a run folder to versions of models that TensorFlow Serving loads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoo.entry import Entry
from zoo.errors import InputError
from zoo.provenance import versions
from zoo.segment import Network
from zoo.serving import check, folder
from zoo.serving.readme import describe
from zoo.serving.served import SETTINGS, Example, Served, save, write_warmups
from zoo.train import members
from zoo.train.runs import THRESHOLD, Run, checksum
from zoo.train.schedule import watched

_TEXT = {"dtype": "string", "axes": ""}
_OF_SETTINGS = {"inputs": {"query": _TEXT}, "outputs": {SETTINGS: _TEXT}}


def export(entry: Entry, run: Run, out: Path, tell: Callable[[str], None] = print) -> list[Path]:
    """Write a new version of a network, or of each trained member of an ensemble, and check it.

    Parameters
    ----------
    entry
        What was trained.
    run
        Its run folder.
    out
        Folder of all exported models.
    tell
        Takes a line that a user should read.

    Returns
    -------
    list of Path
        The versions' folders.

    Raises
    ------
    InputError
        For weights that are missing, damaged or of another network, a folder that cannot be written, or a
        model that does not answer as its network does.
    """
    if run.entry.name != entry.name:
        raise InputError(
            f"{run.path} holds weights of {run.entry.name}, not of {entry.name}: give a run of {entry.name}"
        )
    return [_write(entry, part, served, out, tell) for part, served in _served(entry, run)]


def _served(entry: Entry, run: Run) -> Iterator[tuple[Run, Served]]:
    """Make one network after the other ready, each with the run folder that it is from."""
    rebuild = entry.rebuild.load()
    if entry.keras == "keras":
        from zoo.serving.signatures import serve

        yield run, serve(Network(entry, run.recipe, rebuild(run)))
        return
    from zoo.serving.detector_signatures import serve as serve_detector

    parts = members.trained(run) if run.recipe.members else {1: run}
    if not parts:
        raise InputError(f"no member of {run.path} has weights yet: 'zoo train {entry.name}' makes them")
    for number, part in parts.items():
        name = f"mrcnn_r{part.recipe.backbone}_s{number - 1}"
        yield part, serve_detector(name, Network(entry, part.recipe, rebuild(part)))


def _write(entry: Entry, run: Run, served: Served, out: Path, tell: Callable[[str], None]) -> Path:
    settings = _settings(entry, run, served)
    text = json.dumps(settings, indent=1)

    def fill(path: Path) -> None:
        save(served, text, path)
        extra = path / folder.EXTRA
        extra.mkdir()
        (extra / folder.SETTINGS).write_text(text, encoding="utf-8")
        query, answer = np.array(b"", object), np.array(text.encode(), object)
        examples = {**served.examples, SETTINGS: Example({"query": query}, {SETTINGS: answer})}
        folder.write_example(path, _flat(examples))
        try:
            write_warmups(served, extra / folder.WARMUP)
        except ImportError:
            tell(f"{served.name}: no requests to warm up with, these need pip install 'cellzoo[serve]'")
        _check(served.name, path)

    return folder.write_version(out, served.name, describe(entry, settings, served.notes), fill)


def _check(name: str, path: Path) -> None:
    """Refuse a model that was written and does not answer as the network in memory does."""
    wrong = {key: one for key, one in check.compare(path).items() if not one.ok}
    if wrong:
        told = ", ".join(f"{key} by {one.size:.2g}" for key, one in wrong.items())
        raise InputError(
            f"{name} was not exported: its SavedModel differs from the network in {told}; report this"
        )


def _settings(entry: Entry, run: Run, served: Served) -> dict[str, Any]:
    return {
        "model": served.name,
        "entry": entry.name,
        "recipe": served.recipe.to_dict(),
        "signatures": {**served.signatures(), SETTINGS: _OF_SETTINGS},
        "spacing_um": entry.inputs.spacing_um,
        "framework": entry.keras,
        "versions": versions(),
        "run": run.path.resolve().name,
        "weights_sha256": checksum(run.best),
        "threshold": _threshold(run),
        "objects": run.settings.get("objects"),
        "scores": _scores(run),
        "licence": entry.source.licence,
    }


def _threshold(run: Run) -> float | None:
    return run.threshold if (run.path / THRESHOLD).is_file() else None


def _scores(run: Run) -> dict[str, float]:
    """Return what the validation of the best epoch said; empty where no history came with the weights."""
    try:
        best = run.settings.get("best") or max(reversed(run.history()), key=watched, default={})
    except InputError:  # the weights are good all the same
        return {}
    return {name: value for name, value in best.items() if name == "epoch" or name.startswith("val_")}


def _flat(examples: Mapping[str, Example]) -> dict[str, np.ndarray]:
    return {
        f"{signature}/{side}/{name}": array
        for signature, example in examples.items()
        for side, tensors in (("inputs", example.inputs), ("outputs", example.outputs))
        for name, array in tensors.items()
    }
