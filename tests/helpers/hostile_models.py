"""Hostile run folders, weights and exported models."""

# ruff: noqa: E501 (a case a line)

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from hostile import Hostile
from hostile_arrays import _Runs
from refusal import UM, make_pairs, volume

from zoo.data.write import write_image
from zoo.defaults import PRETRAINED

GOOD = PRETRAINED / "qcanet_nsn"
PREDICT = "predict qcanet_nsn @/good.tif --weights @/run --out out"
PACK = "pack @/run --out packed"
EXPORT = "export qcanet_nsn --weights @/run --out models"
RESUME = "train qcanet_nsn --out @/run --resume"
SCORE = "scoreboard --data @/pairs --out out --method qcanet --weights qcanet_nsn=@/run"
Spoil = Callable[[Path], object]


def _put(folder: Path, spoil: Spoil) -> None:
    """Copy the weights that come with the package, and spoil the copy."""
    write_image(folder / "good.tif", volume()[0], UM)
    make_pairs(folder / "pairs")
    run = folder / "run"
    run.mkdir()
    for name in ("run.json", "best.weights.h5"):
        shutil.copyfile(GOOD / name, run / name)
    spoil(run)


def _settings(change: Callable[[dict[str, Any]], object]) -> Spoil:
    def spoil(run: Path) -> None:
        held = json.loads((run / "run.json").read_text())
        change(held)
        (run / "run.json").write_text(json.dumps(held))

    return spoil


def _file(name: str, data: bytes) -> Spoil:
    return lambda run: (run / name).write_bytes(data)


def _set(key: str, value: Any) -> Spoil:
    return _settings(lambda held: held.update({key: value}))


def _recipe(key: str, value: Any) -> Spoil:
    return _settings(lambda held: held["recipe"].update({key: value}))


def _folders() -> dict[str, Spoil]:
    """Return what is wrong in ``run.json``; it is refused before any weights are looked at."""
    return {
        "no run.json": lambda run: (run / "run.json").unlink(),
        "run.json without bytes": _file("run.json", b""),
        "run.json of no JSON": _file("run.json", b"{entry: }"),
        "run.json of no UTF-8": _file("run.json", b"\xff\xfe\0"),
        "run.json cut short": lambda run: _file("run.json", (run / "run.json").read_bytes()[:400])(run),
        "run.json of a list": _file("run.json", b"[]"),
        "run.json of a number": _file("run.json", b"5"),
        "run.json of a pickle": _file("run.json", pickle.dumps(_Runs())),
        "run.json that links to itself": lambda run: ((run / "run.json").unlink(), os.symlink("run.json", run / "run.json")),
        "no entry": _settings(lambda held: held.pop("entry")),
        "entry that is unknown": _set("entry", "resnet"),
        "entry that is a path": _set("entry", "../../etc/passwd"),
        "entry that is code": _set("entry", "os:system"),
        "entry that is a list": _set("entry", ["qcanet_nsn"]),
        "entry that is a number": _set("entry", 5),
        "entry that has no recipe": _set("entry", "classical"),
        "another network": _set("entry", "qcanet_ndn"),
        "no recipe": _settings(lambda held: held.pop("recipe")),
        "recipe that is a list": _set("recipe", [1, 2]),
        "recipe of an unknown key": _recipe("layers", [{"class_name": "Lambda"}]),
        "recipe of words": _recipe("base", "eight"),
        "recipe of 10^12 poolings": _recipe("poolings", 10**12),
        "recipe of poolings below 0": _recipe("poolings", -1),
        "recipe of code": _recipe("augment", "__import__('os').system('true')"),
        "recipe of nan": _recipe("lr", float("nan")),
        "recipe of a patch of 0": _recipe("patch", [0, 0, 0]),
    }  # fmt: skip


def _lambda() -> bytes:
    """Return a .keras archive with a Lambda layer that runs a command when it is made."""
    code = {
        "class_name": "Lambda",
        "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAA=="}}},
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": [code]}}))
        file.writestr("metadata.json", '{"keras_version": "3.0.0"}')
        file.writestr("../../model.weights.h5", b"\x89HDF\r\n\x1a\n")
    return archive.getvalue()  # fmt: skip


def _best(data: bytes, sums: bool = True) -> Spoil:
    """Put other bytes for the weights; the checksum is put right, as who means harm would."""

    def spoil(run: Path) -> None:
        (run / "best.weights.h5").unlink()
        (run / "best.weights.h5").write_bytes(data)
        if sums:
            _sum(run)

    return spoil


def _sum(run: Path) -> None:
    digest = hashlib.sha256((run / "best.weights.h5").read_bytes()).hexdigest()
    _set("sha256", digest)(run)


def _datasets(change: Callable[[h5py.File, str], object]) -> Spoil:
    """Change the first array of the weights."""

    def spoil(run: Path) -> None:
        with h5py.File(run / "best.weights.h5", "r+") as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            change(file, names[0])
        _sum(run)

    return spoil


def _replaced(make: Callable[[h5py.File, str], object]) -> Spoil:
    def change(file: h5py.File, name: str) -> None:
        del file[name]
        make(file, name)

    return _datasets(change)


def _external(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (4,), "u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,))
    file.create_virtual_dataset(name, layout)


def _bomb(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip", fillvalue=1)


def _weights() -> dict[str, tuple[str, Spoil]]:
    whole = (GOOD / "best.weights.h5").read_bytes()
    pickled = pickle.dumps(_Runs())
    huge = whole[:40] + b"\xff" * 16 + whole[56:]
    text = h5py.string_dtype()
    return {
        "not there": (PREDICT, lambda run: (run / "best.weights.h5").unlink()),
        "a folder": (PREDICT, lambda run: ((run / "best.weights.h5").unlink(), (run / "best.weights.h5").mkdir())),
        "that link to themselves": (PREDICT, lambda run: ((run / "best.weights.h5").unlink(), os.symlink("best.weights.h5", run / "best.weights.h5"))),
        "that are a pipe": (PREDICT, lambda run: ((run / "best.weights.h5").unlink(), os.mkfifo(run / "best.weights.h5"))),
        "of another SHA-256": (PREDICT, _best(whole[:-1] + b"!", sums=False)),
        "of another SHA-256, scored": (SCORE, _best(whole[:-1] + b"!", sums=False)),
        "of another SHA-256, packed": (PACK, _best(whole[:-1] + b"!", sums=False)),
        "cut short, of another SHA-256": (PREDICT, _best(whole[:-100], sums=False)),
        "SHA-256 that is a number": (PREDICT, _set("sha256", 5)),
        "SHA-256 that is empty": (PREDICT, _set("sha256", "")),
        "resumed though packed": (RESUME, lambda run: None),
        **{f"cut to {share:.0%}": (PREDICT, _best(whole[: int(len(whole) * share)])) for share in (0, 0.001, 0.3, 0.9)},
        "cut to 60%, packed": (PACK, _best(whole[: len(whole) * 6 // 10])),
        "zeros": (PREDICT, _best(b"\0" * 4096)),
        "zeros, packed": (PACK, _best(b"\0" * 4096)),
        "a pickle": (PREDICT, _best(pickled)),
        "a .keras archive with a Lambda": (PREDICT, _best(_lambda())),
        "a .keras archive with a Lambda, packed": (PACK, _best(_lambda())),
        "a superblock of 2^64 bytes": (PREDICT, _best(huge)),
        "an array of 4 TB in some bytes": (PREDICT, _replaced(_bomb)),
        "an array in a file outside": (PREDICT, _replaced(_external)),
        "a virtual array": (PREDICT, _replaced(_virtual)),
        "a link to a file outside": (PREDICT, _replaced(lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/a")))),
        "a link to itself": (PREDICT, _replaced(lambda file, name: file.__setitem__(name, h5py.SoftLink("/" + name)))),
        "an array of text": (PREDICT, _replaced(lambda file, name: file.create_dataset(name, (2,), text))),
    }  # fmt: skip


def cases() -> list[Hostile]:
    """Return all cases."""
    commands = (PREDICT, PACK, RESUME, EXPORT)
    return [
        *(
            Hostile(f"run: {name}", commands[number % len(commands)], partial(_put, spoil=spoil))
            for number, (name, spoil) in enumerate(_folders().items())
        ),
        *(
            Hostile(f"weights: {name}", command, partial(_put, spoil=spoil))
            for name, (command, spoil) in _weights().items()
        ),
    ]
