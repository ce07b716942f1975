"""The folder of a run by blocks: what each step leaves for the next, and what is done of it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.ngff import import_zarr
from zoo.data.write import atomic
from zoo.errors import InputError

PLAN, TOKEN = "plan.json", "run"
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
        return read_plan(self.path / PLAN)

    @property
    def token(self) -> str:
        """What no other run has, be it in the same folder."""
        return str(self.plan[TOKEN])

    def array(self, name: str) -> Any:
        """Open an array of the run."""
        return import_zarr().open_array(str(self.path / name), mode="r+")

    def put(self, array: str, box: Place, values: np.ndarray, step: str, number: int) -> None:
        """Write a box of an array, of whole chunks, and mark it."""
        self.array(array)[box] = values
        self._mark(step, number, zlib.crc32(np.ascontiguousarray(values).data))

    def get(self, array: str, box: Place, step: str, number: int) -> np.ndarray | None:
        """Read a box; ``None`` where it was not written, or is not as it was written."""
        mark = self._marked(step, number)
        if mark is None:
            return None
        try:
            values = np.ascontiguousarray(self.array(array)[box])
        except Exception:  # a torn chunk: codecs raise nearly any type
            return None
        return values if zlib.crc32(values.data) == mark else None

    def has(self, array: str, box: Place, step: str, number: int) -> bool:
        """Tell whether a box was written, and is as it was written."""
        return self.get(array, box, step, number) is not None

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

    def made(self, step: str, number: int, make: Callable[[], object]) -> dict[str, np.ndarray]:
        """Read a table; where nobody made it, or it is torn, it is made first."""
        table = self.table(step, number)
        if table is None:
            make()
            table = self.table(step, number)
        assert table is not None, f"{step} {number} is gone"
        return table

    def forget(self, step: str) -> None:
        """Remove the marks of a step."""
        shutil.rmtree(self.path / "done" / step, ignore_errors=True)

    def _table(self, step: str, number: int) -> Path:
        return self.path / step / f"{number:06d}.npz"

    def unmark(self, step: str, number: int) -> None:
        """Remove the mark of a piece."""
        self._mark_of(step, number).unlink(missing_ok=True)

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


def read_plan(path: Path) -> dict[str, Any]:
    """Read what a run was begun with.

    Raises
    ------
    InputError
        Where the file is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InputError(f"{path} is damaged ({fault}): give --overwrite to begin anew") from None
    return found


def open_store(
    path: Path, plan: Mapping[str, Any], fill: Callable[[Path], None], free: Collection[str] = ()
) -> Store:
    """Open the folder of a run, or make it; of several processes that do so at once one makes it.

    Parameters
    ----------
    path
        The folder.
    plan
        What the run is to be, as JSON holds it.
    fill
        Makes the arrays in a folder that is given to it.
    free
        What of the plan may be other than asked for in a run that is there.

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
            told = {**plan, TOKEN: secrets.token_hex(8)}
            (part / PLAN).write_text(json.dumps(told, indent=1), encoding="utf-8")
            os.rename(part, path)
        except OSError:
            if not (path / PLAN).is_file():  # else another process was the first
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    if not (path / PLAN).is_file():
        raise InputError(f"{path} is no unfinished run (no {PLAN}): move it away, or choose another --out")
    store = Store(path)
    asked = {**json.loads(json.dumps(plan)), TOKEN: store.token}
    other = [key for key in sorted(asked.keys() | store.plan) if store.plan.get(key) != asked.get(key)]
    if not set(other) <= set(free):
        other = [key for key in other if key not in free]
        shown = "; ".join(f"{key} {store.plan.get(key)} there, {asked.get(key)} now" for key in other[:3])
        raise InputError(
            f"{path} is the unfinished run of another command ({shown}): repeat that one, or give "
            "--overwrite to begin anew"
        )
    return store
