"""A small copy of a run folder, to share or to ship: what using the weights takes, and their checksum."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path

import h5py
import numpy as np

from zoo.errors import InputError
from zoo.train.runs import BEST, SETTINGS, THRESHOLD, Run, checksum
from zoo.train.schedule import watched

CARD = "README.md"


def pack(run: Run, out: Path, card: Path | None = None) -> Path:
    """Write the best weights of a run in half precision, with its settings and threshold.

    The folder is a run folder like any other, but its training cannot be gone on with. Its ``run.json`` also
    holds the SHA-256 of the weights and the best epoch's scores, and of the data's path only the last names.

    Parameters
    ----------
    run
        Of a network of Keras 3.
    out
        Folder to make.
    card
        Markdown file that tells of the model; becomes the folder's ``README.md``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        Where the run has no weights, they are damaged or do not fit half precision; where the folder exists
        or cannot be written; for a detector.
    """
    if run.entry.keras != "keras":
        raise InputError(f"{run.path} holds a detector, which cannot be packed: share the run folder itself")
    run.check_best()
    if out.exists():
        raise InputError(f"{out} exists: choose another --out")
    hidden = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        hidden.mkdir(parents=True)
        _halve(run.best, hidden / BEST)
        settings = {**run.settings, "sha256": checksum(hidden / BEST)}
        settings.setdefault("best", max(reversed(run.history()), key=watched, default={}))
        if "data" in settings:
            settings["data"] = "/".join(Path(settings["data"]).parts[-2:])
        (hidden / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
        for name, source in ((THRESHOLD, run.path / THRESHOLD), (CARD, card)):
            if source is not None and source.is_file():
                shutil.copyfile(source, hidden / name)
        os.rename(hidden, out)
    except OSError as fault:
        raise InputError(
            f"{out} cannot be written ({fault.strerror or fault}): choose another --out"
        ) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return out


def _halve(source: Path, target: Path) -> None:
    """Copy a file of weights, floating-point numbers as float16."""
    try:
        opened = h5py.File(source)
    except OSError as fault:
        raise InputError(f"weights {source} cannot be read, as they are damaged: {fault}") from None
    with opened as old, h5py.File(target, "w") as new:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                made: h5py.Group | h5py.Dataset = new.require_group(name)
            else:
                values = item[()]
                if np.issubdtype(item.dtype, np.floating):
                    if not (np.abs(values) <= np.finfo(np.float16).max).all():
                        raise InputError(f"{source}: {name} holds numbers too large for half precision")
                    values = values.astype(np.float16)
                made = new.create_dataset(name, data=values)
            made.attrs.update(item.attrs)

        old.visititems(copy)
        new.attrs.update(old.attrs)
