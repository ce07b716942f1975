"""The folder of a run by blocks: what each step leaves for the next, and what is done of it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.ngff import import_zarr
from zoo.data.write import atomic
from zoo.errors import InputError

PLAN = "plan.json"
Place = tuple[int | slice, ...]


@dataclass(frozen=True)
class Store:
    """Arrays and small tables in one folder, each piece with a mark that is written after it.

    A mark holds the checksum of its piece. Several processes may write at once, each its own whole chunks.

    Parameters
    ----------
    path
        The folder.
    """

    path: Path

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What the run was begun with."""
        found: dict[str, Any] = json.loads((self.path / PLAN).read_text(encoding="utf-8"))
        return found

    def array(self, name: str) -> Any:
        """Open an array of the run."""
        return import_zarr().open_array(str(self.path / name), mode="r+")

    def put(self, array: str, box: Place, values: np.ndarray, step: str, number: int) -> None:
        """Write a box of an array, of whole chunks, and mark it."""
        self.array(array)[box] = values
        self._mark(step, number, zlib.crc32(np.ascontiguousarray(values).data))

    def has(self, array: str, box: Place, step: str, number: int) -> bool:
        """Tell whether a box was written, and is as it was written."""
        mark = self._marked(step, number)
        if mark is None:
            return False
        try:
            return zlib.crc32(np.ascontiguousarray(self.array(array)[box]).data) == mark
        except Exception:  # a torn chunk: codecs raise nearly any type
            return False

    def put_table(self, step: str, number: int, table: Mapping[str, np.ndarray]) -> None:
        """Write a table, whole or not at all, and mark it."""
        path = self._table(step, number)
        with atomic(path) as part:
            np.savez(part, allow_pickle=False, **table)
            check = zlib.crc32(part.read_bytes())
        self._mark(step, number, check)

    def table(self, step: str, number: int) -> dict[str, np.ndarray] | None:
        """Read a table; ``None`` where it was not written, or is not as it was written."""
        mark, path = self._marked(step, number), self._table(step, number)
        if mark is None or not path.is_file() or zlib.crc32(path.read_bytes()) != mark:
            return None
        with np.load(path, allow_pickle=False) as held:
            return dict(held)

    def forget(self, step: str) -> None:
        """Remove the marks of a step."""
        shutil.rmtree(self.path / "done" / step, ignore_errors=True)

    def _table(self, step: str, number: int) -> Path:
        return self.path / step / f"{number:06d}.npz"

    def _mark_of(self, step: str, number: int) -> Path:
        return self.path / "done" / step / f"{number:06d}"

    def _mark(self, step: str, number: int, check: int) -> None:
        with atomic(self._mark_of(step, number)) as part:
            part.write_text(f"{check}\n")

    def marked(self, step: str, number: int) -> bool:
        """Tell whether a piece has a mark; whether it is as it was written, is not looked at."""
        return self._marked(step, number) is not None

    def _marked(self, step: str, number: int) -> int | None:
        try:
            return int(self._mark_of(step, number).read_text())
        except (FileNotFoundError, ValueError):
            return None


def open_store(path: Path, plan: Mapping[str, Any], fill: Callable[[Path], None]) -> Store:
    """Open the folder of a run, or make it; of several processes that do so at once one makes it.

    Parameters
    ----------
    path
        The folder.
    plan
        What the run is to be, as JSON holds it.
    fill
        Makes the arrays in a folder that is given to it.

    Raises
    ------
    InputError
        Where the folder is of a run with another plan, or is something else.
    """
    if not path.exists():
        part = path.with_name(f".{secrets.token_hex(4)}")
        try:
            part.mkdir(parents=True)
            fill(part)
            (part / PLAN).write_text(json.dumps(plan, indent=1), encoding="utf-8")
            os.rename(part, path)
        except OSError:
            if not (path / PLAN).is_file():  # else another process was the first
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if not (path / PLAN).is_file():
        raise InputError(f"{path} is no unfinished run (no {PLAN}): move it away, or choose another --out")
    store = Store(path)
    if store.plan != json.loads(json.dumps(plan)):
        asked = json.loads(json.dumps(plan))
        other = [key for key in asked if store.plan.get(key) != asked[key]]
        shown = "; ".join(f"{key} {store.plan.get(key)} there, {asked[key]} now" for key in other[:3])
        raise InputError(
            f"{path} is the unfinished run of another command ({shown}): repeat that one, or give "
            "--overwrite to begin anew"
        )
    return store
