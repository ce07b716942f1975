"""Where labels by blocks go, and what may be in the way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo.blocks.run import image_of
from zoo.blocks.store import PLAN
from zoo.cli.block_options import Blocks
from zoo.cli.options import check_writable
from zoo.data.ngff import is_omezarr
from zoo.errors import InputError


@dataclass(frozen=True, slots=True)
class Places:
    """Where labels, their measurements and the folder of the unfinished run go.

    Labels that belong to an image, ``IMAGE.ome.zarr/labels/NAME``, have the others beside the image: what is
    no array does not belong in it.
    """

    out: Path
    criteria: Path
    home: Path

    @classmethod
    def of(cls, out: Path) -> Places:
        """Return the places for labels."""
        image = image_of(out)
        beside = out if image is None else image.with_name(f"{_stem(image)}_{out.name}")
        return cls(
            out,
            beside.with_name(f"{_stem(beside)}_criteria.csv"),
            beside.with_name(f"{beside.name}.partial").absolute(),
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
    begun = any(home.glob(f"*/{PLAN}"))
    if home.exists() and not begun and any(home.iterdir()):
        raise InputError(f"{home} is no unfinished run: move it away, or choose another --out")
    if out.exists() and not is_omezarr(out):
        raise InputError(f"{out} is no OME-Zarr, so it is not replaced: choose another place")
    if places.criteria.is_dir():
        raise InputError(f"{places.criteria} is a folder, and the name of a file to be written: move it away")
    for path in (out, places.criteria):
        if path.exists() and not (begun or overwrite):
            raise InputError(f"{path} exists: choose another place, or give --overwrite to replace it")


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
