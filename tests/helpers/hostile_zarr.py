"""Hostile OME-Zarr: metadata that are missing, damaged or lie, chunks that are cut, paths that lead out."""

# ruff: noqa: E501 (a case a line)

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hostile import Hostile
from refusal import SHAPE, UM, volume

COMMANDS = (
    "convert @/bad.zarr out.tif",
    "predict qcanet @/bad.zarr --out out.zarr",
    "convert @/bad.zarr out.zarr",
)
Spoil = Callable[[Path], object]


def good(path: Path, version: Any = "0.4") -> None:
    """Write a good label image of one level: 0.4 or 0.5, chunks of 4 x 16 x 16."""
    from zoo.data.omezarr import create

    level = create(path, SHAPE, np.uint8, UM, version=version, chunks=(4, 16, 16))
    level[:] = volume()[1] + 1


def _edit(file: str, change: Callable[[Any], object]) -> Spoil:
    """Change what a JSON file holds."""

    def spoil(path: Path) -> None:
        held = json.loads((path / file).read_text())
        change(held)
        (path / file).write_text(json.dumps(held))

    return spoil


def _write(file: str, text: str | bytes) -> Spoil:
    def spoil(path: Path) -> None:
        (path / file).write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def _set(key: str, value: Any) -> Spoil:
    """Change a key of the level's own metadata."""
    return _edit("0/.zarray", lambda held: held.update({key: value}))


def _multiscale(change: Callable[[Any], object]) -> Spoil:
    return _edit(".zattrs", lambda held: change(held["multiscales"][0]))


def _level(at: str) -> Spoil:
    """Say that the level lies elsewhere."""
    return _multiscale(lambda one: one["datasets"][0].update(path=at))


def _linked(inside: str, target: str) -> Spoil:
    def spoil(path: Path) -> None:
        file = path / inside
        if file.is_dir():
            for one in sorted(file.rglob("*"), reverse=True):
                one.rmdir() if one.is_dir() else one.unlink()
            file.rmdir()
        else:
            file.unlink()
        os.symlink(target, file)

    return spoil


def _outside(at: str, absolute: bool = False) -> Spoil:
    """Put a good array beside the image, and let the image name it as its level."""

    def spoil(path: Path) -> None:
        good(path.parent / "other.zarr")
        _level(str(path.parent / "other.zarr" / "0") if absolute else at)(path)

    return spoil


def _linked_outside(path: Path) -> None:
    good(path.parent / "other.zarr")
    _linked("0", "../other.zarr/0")(path)


def _cut(share: float, chunk: str = "0/0/0/0") -> Spoil:
    def spoil(path: Path) -> None:
        file = path / chunk
        data = file.read_bytes()
        file.write_bytes(data[: int(len(data) * share)])

    return spoil


def _old() -> dict[str, Spoil]:
    """Return what is wrong in images of NGFF 0.4."""
    bomb = b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"\0" * 20
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    return {
        "no .zattrs": lambda path: (path / ".zattrs").unlink(),
        "empty .zattrs": _write(".zattrs", ""),
        "garbled .zattrs": _write(".zattrs", b"\xff\xfe{{{{"),
        ".zattrs cut short": _cut(0.5, ".zattrs"),
        ".zattrs nested 100,000 deep": _write(".zattrs", "[" * 100_000 + "]" * 100_000),
        ".zattrs of a huge number": _write(".zattrs", '{"multiscales": 1' + "0" * 5000 + "}"),
        ".zattrs that is a list": _write(".zattrs", "[1, 2]"),
        ".zattrs that is a folder": lambda path: ((path / ".zattrs").unlink(), (path / ".zattrs").mkdir()),
        "multiscales that is a word": _edit(".zattrs", lambda held: held.update(multiscales="all")),
        "multiscales that is empty": _edit(".zattrs", lambda held: held.update(multiscales=[])),
        "version 9.9": _multiscale(lambda one: one.update(version="9.9")),
        "no datasets": _multiscale(lambda one: one.update(datasets=[])),
        "datasets of numbers": _multiscale(lambda one: one.update(datasets=[1, 2])),
        "no axes": _multiscale(lambda one: one.pop("axes")),
        "axes of another number": _multiscale(lambda one: one.update(axes=axes[1:])),
        "axes that are one": _multiscale(lambda one: one.update(axes=[axes[0]] * 3)),
        "axes of no meaning": _multiscale(lambda one: one.update(axes=[{"name": n} for n in "abc"])),
        "axes that are numbers": _multiscale(lambda one: one.update(axes=[1, 2, 3])),
        "scale of words": _multiscale(lambda one: one["datasets"][0].update(coordinateTransformations=[{"type": "scale", "scale": ["a", "b", "c"]}])),
        "scale of one number": _multiscale(lambda one: one["datasets"][0].update(coordinateTransformations=[{"type": "scale", "scale": [1.0]}])),
        "level that is not there": _level("7"),
        "level that is a number": _level(7),  # type: ignore[arg-type]
        "level of an endless name": _level("0" * 5000),
        "level with a zero byte": _level("0\0"),
        "level in /etc": _level("/etc"),
        "level up and out, ../../etc": _level("../../../../../../../../etc"),
        "level beside the image": _outside("../other.zarr/0"),
        "level beside the image, by its whole path": _outside("", absolute=True),
        "level that is a link out of the image": _linked_outside,
        "level that links to itself": _linked("0", "0"),
        "level that links to the image": _linked("0", "."),
        "level that is the image": _level("."),
        "chunk that links to itself": _linked("0/0/0/0", "0"),
        "no .zarray": lambda path: (path / "0/.zarray").unlink(),
        "garbled .zarray": _write("0/.zarray", b"\0\1\2"),
        ".zarray that links to itself": _linked("0/.zarray", ".zarray"),
        "shape of one number less": _set("shape", [8, 24]),
        "shape below 0": _set("shape", [-8, 24, 28]),
        "shape of words": _set("shape", ["a", "b", "c"]),
        "shape of 0": _set("shape", [8, 0, 28]),
        "one plane": _set("shape", [1, 24, 28]),
        "chunks of 0": _set("chunks", [0, 16, 16]),
        "chunks below 0": _set("chunks", [-4, 16, 16]),
        "chunks of one number less": _set("chunks", [4, 16]),
        "chunks of 1 PB": _set("chunks", [1 << 17, 1 << 17, 1 << 17]),
        "chunks of another size than the bytes": _set("chunks", [5, 20, 20]),
        "chunks of 4 GB in a file of some bytes": _set("chunks", [1 << 12, 1 << 10, 1 << 10]),
        "type of objects": _set("dtype", "|O"),
        "type of nothing": _set("dtype", "<q9"),
        "complex numbers": _set("dtype", "<c8"),
        "type of twice the bytes": _set("dtype", "<u2"),
        "unknown compressor": _set("compressor", {"id": "rot13"}),
        "compressor by pickle": _set("compressor", {"id": "pickle"}),
        "filter by pickle": _set("filters", [{"id": "pickle"}]),
        "order of no meaning": _set("order", "Q"),
        "format 9": _set("zarr_format", 9),
        "chunk without bytes": _cut(0),
        "chunk cut to half": _cut(0.5),
        "chunk cut to 90 %": _cut(0.9),
        "chunk of noise": _write("0/0/0/0", np.random.default_rng(0).bytes(200)),
        "chunk of a frame of 1 TB": _write("0/0/0/0", bomb),
        "chunk that is a folder": lambda path: ((path / "0/0/0/0").unlink(), (path / "0/0/0/0").mkdir()),
    }  # fmt: skip


def _new() -> dict[str, Spoil]:
    """Return what is wrong in images of NGFF 0.5."""
    whole = "zarr.json"
    return {
        "no zarr.json": lambda path: (path / whole).unlink(),
        "garbled zarr.json": _write(whole, b"\xff\xfe"),
        "zarr.json cut short": _cut(0.7, whole),
        "zarr.json without attributes": _edit(whole, lambda held: held.pop("attributes")),
        "zarr.json of an array": _edit(whole, lambda held: held.update(node_type="array", attributes={})),
        "version 7": _edit(whole, lambda held: held["attributes"]["ome"].update(version="7")),
        "level's zarr.json garbled": _write("0/zarr.json", "{}"),
        "level that is a group": _edit("0/zarr.json", lambda held: held.update(node_type="group")),
        "codecs of none": _edit("0/zarr.json", lambda held: held.update(codecs=[])),
        "codecs that are unknown": _edit("0/zarr.json", lambda held: held.update(codecs=[{"name": "rot13"}])),
        "grid of chunks of 0": _edit("0/zarr.json", lambda held: held["chunk_grid"]["configuration"].update(chunk_shape=[0, 16, 16])),
        "grid that is unknown": _edit("0/zarr.json", lambda held: held["chunk_grid"].update(name="hexagons")),
        "type that is unknown": _edit("0/zarr.json", lambda held: held.update(data_type="int7")),
        "storage transformers": _edit("0/zarr.json", lambda held: held.update(storage_transformers=[{"name": "x"}])),
        "chunk cut to half": _cut(0.5, "0/c/0/0/0"),
        "chunk of noise": _write("0/c/0/0/0", b"\x77" * 200),
        "level beside the image": _edit(whole, lambda held: held["attributes"]["ome"]["multiscales"][0]["datasets"][0].update(path="../0")),
    }  # fmt: skip


# a shape may be any, as chunks that are not there hold the fill value
def _huge(path: Path) -> None:
    _set("shape", [2, 1 << 20, 1 << 20])(path)


def _put(folder: Path, spoil: Spoil, version: str) -> None:
    path = folder / "bad.zarr"
    good(path, version)
    spoil(path)


def cases() -> list[Hostile]:
    """Return all cases, one command each in turn."""
    found = []
    uncertain = ("chunk that is a folder",)  # zarr takes it for a chunk that is not there
    for version, family in (("0.4", _old()), ("0.5", _new())):
        for number, (name, spoil) in enumerate(family.items()):
            # blocks load their networks, and so TensorFlow, once the volume is open: chunks are read by convert
            seconds = "hunk" in name or "twice" in name or "compressor" in name or "codecs" in name
            command = COMMANDS[0 if seconds else number % len(COMMANDS)]
            found.append(
                Hostile(
                    f"zarr {version}: {name}",
                    command,
                    partial(_put, spoil=spoil, version=version),
                    name not in uncertain,
                )
            )
    found.append(
        Hostile(
            "zarr 0.4: planes of 1 TB in some chunks",
            "convert @/bad.zarr out.tif",
            partial(_put, spoil=_huge, version="0.4"),
        )
    )
    return found
