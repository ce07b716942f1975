"""Where labels by blocks go, and what may be in the way."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo import provenance
from zoo.blocks.run import REPLACED, image_of
from zoo.blocks.store import PLAN
from zoo.cli.block_options import Blocks
from zoo.cli.options import check_writable
from zoo.data.lock import lock
from zoo.data.ngff import read_attributes
from zoo.errors import InputError

LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Places:
    """Where labels, their measurements and the folder of the unfinished run go.

    Labels that belong to an image, ``IMAGE.ome.zarr/labels/NAME``, have the others beside the image: what is
    no array does not belong in it.
    """

    out: Path
    criteria: Path
    home: Path
    record: Path

    @classmethod
    def of(cls, out: Path) -> Places:
        """Return the places for labels."""
        image = image_of(out)
        beside = out if image is None else image.with_name(f"{_stem(image)}_{out.name}")
        return cls(
            out,
            beside.with_name(f"{_stem(beside)}_criteria.csv"),
            beside.with_name(f"{beside.name}.partial").absolute(),
            provenance.beside(beside),
        )


def _stem(path: Path) -> str:
    return path.name.removesuffix(".zarr").removesuffix(".ome")


def check_places(places: Places, images: Sequence[Path], overwrite: bool) -> None:
    """Refuse to replace what is there, but for an unfinished run.

    Raises
    ------
    InputError
        Where something is in the way.
    """
    out, home = places.out, places.home
    inside = next((above for above in out.parents if above.suffix.lower() == ".zarr"), None)
    if inside is not None and image_of(out) is None:
        raise InputError(f"{out} is in an OME-Zarr: labels go to labels/NAME in an image, or beside {inside}")
    for image in images:
        if image.exists() and image.resolve().is_relative_to(out.resolve()):
            raise InputError(f"{image} would be replaced by its labels: choose another --out")
    for path in (out, home):
        check_writable(path.parent)
    if home.is_symlink() or (home.exists() and not home.is_dir()):
        raise InputError(f"{home} is no folder, and the name of one to be made: move it away")
    begun = any(home.glob(f"[!.]*/{PLAN}"))
    if home.exists() and not begun and any(home.glob("[!.]*")):
        raise InputError(f"{home} is no unfinished run: move it away, or choose another --out")
    if out.exists() and not _is_labels(out):
        raise InputError(
            f"{out} is not a label image in OME-Zarr, so it is not replaced: choose another place"
        )
    if _device(out.parent) != _device(home.parent):
        raise InputError(f"{out.parent} and {home.parent} are on two disks: choose an --out beside the image")
    for path in (places.criteria, places.record):
        if path.is_dir():
            raise InputError(f"{path} is a folder, and the name of a file to be written: move it away")
    for path in (out, places.criteria, places.record):
        if path.exists() and not (begun or overwrite):
            raise InputError(f"{path} exists: choose another place, or give --overwrite to replace it")


def _is_labels(path: Path) -> bool:
    """Tell whether a folder is a label image, and no image that others belong to."""
    found = read_attributes(path)
    return found is not None and "image-label" in found[1] and not (path / "labels").exists()


def _device(folder: Path) -> int:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists()).stat().st_dev


def begin_anew(places: Places) -> None:
    """Empty the folder of an unfinished run, which is locked; labels that it was to replace are put back."""
    before = places.home / REPLACED
    if before.exists() and not places.out.exists():
        os.replace(before, places.out)
    for path in places.home.iterdir():
        if path.name != LOCK:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def locked(home: Path, share: bool) -> Iterator[None]:
    """Keep others out of the folder of a run; shards of one run let each other in.

    Raises
    ------
    InputError
        Where another command works there.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a") as held:
        lock(held.fileno(), f"another command works in {home}: wait until it is done", share)
        yield


@contextmanager
def removed_if_empty(home: Path, blocks: Blocks) -> Iterator[None]:
    """Leave no folder where this command began the run and bad input ended it before anything was done."""
    ours = not home.exists() and blocks.shard is None and not blocks.merge
    try:
        yield
    except InputError:
        if ours and not any(home.glob("*/done/*")):
            shutil.rmtree(home, ignore_errors=True)
        raise
