"""A small copy of a run folder, to share or to ship: what using the weights takes, and their checksum."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.errors import InputError
from zoo.train.members import folder_of, seal, trained
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
        Of a network, or of an ensemble: then its members that have weights are packed, and its own
        ``run.json`` holds their :func:`zoo.train.members.seal`.
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
        or cannot be written.
    """
    members = trained(run) if getattr(run.recipe, "members", ()) else None
    if members == {}:
        raise InputError(f"no member of {run.path} has weights yet: train one for an epoch at least")
    if out.exists():
        raise InputError(f"{out} exists: choose another --out")
    hidden = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
    try:
        hidden.mkdir(parents=True)
        if members is None:
            _pack_one(run, hidden)
        else:
            made = {n: _pack_one(member, folder_of(hidden, n)) for n, member in members.items()}
            _write(hidden, {**run.settings, "sha256": seal(made)})
        if card is not None:
            shutil.copyfile(card, hidden / CARD)
        os.rename(hidden, out)
    except OSError as fault:
        raise InputError(
            f"{out} cannot be written ({fault.strerror or fault}): choose another --out"
        ) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return out


def _pack_one(run: Run, folder: Path) -> Run:
    run.check_best()
    folder.mkdir(exist_ok=True)
    _halve(run.best, folder / BEST)
    settings = {**run.settings, "sha256": checksum(folder / BEST)}
    settings.setdefault("best", max(reversed(run.history()), key=watched, default={}))
    if (run.path / THRESHOLD).is_file():
        shutil.copyfile(run.path / THRESHOLD, folder / THRESHOLD)
    return _write(folder, settings)


def _write(folder: Path, settings: dict[str, Any]) -> Run:
    """Write settings, without the place where the data lay."""
    if "data" in settings:
        settings["data"] = "/".join(Path(settings["data"]).parts[-2:])
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return Run(folder, settings)


def _halve(source: Path, target: Path) -> None:
    """Copy a file of weights, floating-point numbers as float16."""
    try:
        opened = h5py.File(source)
    except OSError as fault:
        raise InputError(f"weights {source} cannot be read, as they are damaged: {fault}") from None
    content = BytesIO()  # on a full disk HDF5 itself ends in a crash
    with opened as old, h5py.File(content, "w") as new:

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
    target.write_bytes(content.getbuffer())
