"""What made a result: the command and its folder, software, inputs, weights and outputs with their hashes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import subprocess
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from pathlib import Path
from typing import Any

from zoo.data.write import atomic
from zoo.defaults import RECORD
from zoo.errors import InputError

SHAPING = ("cellzoo", "tensorflow", "keras", "numpy", "scipy", "scikit-image")
PROGRAM, FORMAT = "cellzoo", 1
WHOLE = 2**31  # bytes of an input up to which all of it is hashed
PIECES, PIECE = 64, 2**20  # of a larger one: so many pieces, evenly spaced, of so many bytes
LARGEST = 2**26  # bytes of a provenance.json: hundreds of thousands of files
MEASURED = {"seconds", "memory_bytes"}  # columns of tables that differ from run to run
_FILE = {"path": str, "bytes": int, "sha256": str}
_CONTENT: dict[str, Any] = {
    "command": str,
    "arguments": [str],
    "folder": str,
    "places": {str: str},
    "seed": (int, type(None)),
    "deterministic": bool,
    "device": str,
    "platform": str,
    "versions": {str: str},
    "commit": (str, type(None)),
    "weights": {str: {"path": str, "sha256": str}},
    "inputs": [_FILE],
    "begun": str,
    "ended": (str, type(None)),
    "resumed": [str],
    "failed": [str],
    "outputs": [_FILE],
}


def versions() -> dict[str, str]:
    """Return the versions of what shapes a result, by name."""
    found = {"python": platform.python_version()}
    for name in SHAPING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str | None:
    """Return the git commit of the checkout that runs, with ``-dirty`` where files of it were changed.

    ``None`` where cellzoo was installed from a wheel, or git cannot tell.
    """
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # site-packages may lie in another project's checkout
        return None
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip()


def digest(path: Path, without: Iterable[Path] = (), whole: float = WHOLE) -> dict[str, Any]:
    """Return the size and the SHA-256 of a file or folder.

    Parameters
    ----------
    path
        A file: its hash is that of its content, as other programs tell it. A folder, such as an OME-Zarr:
        names, sizes and contents of all files in it, in the order of their names, but for hidden files and
        records of provenance.
    without
        Files and folders inside that are left out: results that are written into the data's folder.
    whole
        Number of bytes up to which all is read. Of more, names and sizes and 64 pieces count, evenly spaced
        over all, each of 1 MiB or to the end of its file: a change between them goes unseen.

    Returns
    -------
    dict
        ``bytes``, ``sha256``; ``files``, of a folder; ``sampled``, where not all was read.

    Raises
    ------
    OSError
        Where something cannot be read.
    """
    folder = path.is_dir()
    files = sorted(_below(path, without)) if folder else [("", path)]
    sizes = [file.stat().st_size for _, file in files]
    told: dict[str, Any] = {"bytes": sum(sizes)} | ({"files": len(files)} if folder else {})
    sampled = told["bytes"] > whole
    hashed = hashlib.sha256()
    for (name, file), size in zip(files, sizes, strict=True):
        if folder or sampled:
            hashed.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        if not sampled:
            with file.open("rb") as content:
                while block := content.read(PIECE):
                    hashed.update(block)
    if sampled:
        for piece in _pieces([file for _, file in files], sizes):
            hashed.update(piece)
        told["sampled"] = True
    return {**told, "sha256": hashed.hexdigest()}


def _below(root: Path, without: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Give the files in a folder, through links too, with their names in it."""
    left_out = {os.path.realpath(path) for path in without}
    seen = set()

    def stop(fault: OSError) -> None:
        raise fault

    for folder, folders, names in os.walk(root, followlinks=True, onerror=stop):
        real = os.path.realpath(folder)
        if real in seen or (real in left_out and Path(folder) != root):
            folders.clear()
            continue
        seen.add(real)  # links may go round
        folders.sort()
        for name in names:
            if os.path.join(real, name) in left_out:
                continue
            file = Path(folder, name)
            # hidden files are of the desktop's, but for those of OME-Zarr 0.4, .zarray and others
            hidden = name.startswith(".") and not name.startswith(".z")
            if not hidden and not name.endswith(RECORD) and file.is_file():
                yield file.relative_to(root).as_posix(), file


def _pieces(files: Sequence[Path], sizes: Sequence[int]) -> Iterator[bytes]:
    """Read pieces of files as of one, evenly spaced from its beginning to its end."""
    ends = list(accumulate(sizes))
    for number in range(PIECES):
        start = number * (ends[-1] - PIECE) // (PIECES - 1)
        index = bisect_right(ends, start)
        with files[index].open("rb") as content:
            content.seek(start - ends[index] + sizes[index])
            yield content.read(PIECE)


def results_digest(path: Path) -> str | None:
    """Return the SHA-256 of what a table or a JSON of scores says, without what was measured of the run.

    Left out are the columns and keys ``seconds`` and ``memory_bytes``, and the ``meta`` of scores: versions
    and paths. ``None`` for any other file, whatever its name, and where nothing is to be left out.
    """
    told = {".csv": _table_said, ".json": _json_said}.get(path.suffix.lower())
    try:
        said = None if told is None else told(path)
    except (ValueError, IndexError, csv.Error):  # a table that its user called .json, for one
        return None
    return None if said is None else hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _table_said(path: Path) -> object:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        names = next(rows, [])
        kept = [i for i, name in enumerate(names) if name not in MEASURED]
        if len(kept) == len(names):  # most tables, and those of large volumes are large
            return None
        return [[row[i] for i in kept] for row in (names, *rows)]


def _json_said(path: Path) -> object:
    content = json.loads(path.read_text(encoding="utf-8"))
    said = _without_measured(content)
    return None if said == content else said


def _without_measured(content: object) -> object:
    if isinstance(content, dict):
        left = content.keys() - MEASURED - {"meta"}
        return {name: _without_measured(content[name]) for name in left}
    return [_without_measured(one) for one in content] if isinstance(content, list) else content


def now() -> str:
    """Return the time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def beside(out: Path) -> Path:
    """Return where the provenance of a single file, or of an OME-Zarr, goes: ``NAME.provenance.json``."""
    return out.with_name(f"{out.name}.{RECORD}")


@dataclass(slots=True, kw_only=True)
class Record:
    """What made a result.

    Attributes
    ----------
    command, arguments
        Of the command line, as they were given; the arguments without the command's name.
    folder
        Where it ran: what paths in the arguments are relative to.
    places
        Option that names an output to where that is, relative to the record's folder.
    seed, deterministic
        Of the random numbers, where the command draws any; and whether ``--deterministic`` was given.
    device, platform
        ``CPU``, the names of the GPUs, or the server; operating system and processor's family.
    versions, commit
        From :func:`versions` and :func:`commit`.
    weights
        Network to ``path`` and ``sha256`` of its weights.
    inputs, outputs
        ``path`` (of outputs relative to the record's folder) and what :func:`digest` tells; of tables with
        measured times also ``results``, from :func:`results_digest`.
    begun, ended
        Times, UTC; no end yet while a training is under way.
    resumed
        When a training was gone on with.
    failed
        What could not be done, or read, where the rest was done all the same.
    """

    command: str
    arguments: list[str]
    folder: str
    places: dict[str, str]
    seed: int | None
    deterministic: bool
    weights: dict[str, dict[str, str]]
    inputs: list[dict[str, Any]]
    device: str = "CPU"
    platform: str = field(default_factory=platform.platform)
    versions: dict[str, str] = field(default_factory=versions)
    commit: str | None = field(default_factory=commit)
    begun: str = field(default_factory=now)
    ended: str | None = None
    resumed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the record, at once or not at all."""
        content = {"program": PROGRAM, "format": FORMAT, **asdict(self)}
        with atomic(path) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def finish(self, path: Path, outputs: Iterable[Path]) -> None:
        """Note the outputs, which are there by now, and write the record beside them."""
        self.outputs = []
        for output in outputs:
            told = {"path": within(output, path.parent), **digest(output, whole=float("inf"))}
            results = results_digest(output)
            self.outputs.append(told if results is None else {**told, "results": results})
        self.ended = now()
        self.write(path)


def within(path: Path, folder: Path) -> str:
    """Return where a file is in a folder; where it lies elsewhere, its name."""
    # a link that is a file is replaced by what is written, not followed
    real = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    home = folder.resolve()
    return real.relative_to(home).as_posix() if real.is_relative_to(home) else real.name


def read(path: Path) -> Record:
    """Read a record.

    Raises
    ------
    InputError
        Where the file cannot be read, is damaged, or of another program or a later version's format.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise InputError(f"{path} is a folder, a pipe or a device: give the {RECORD} of a result")
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is too large for a record of cellzoo: give the {RECORD} of a result")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise InputError(f"{path} cannot be read ({fault.strerror}): give the {RECORD} of a result") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is no JSON: give the {RECORD} of a result") from None
    if not isinstance(content, dict) or content.get("program") != PROGRAM:
        raise InputError(f"{path} was not written by cellzoo: give the {RECORD} of a result")
    if content.get("format") != FORMAT:
        raise InputError(f"{path} is of a format that this version does not know: take a newer cellzoo")
    content = {"failed": [], **content}  # which the first records did not tell
    known: dict[str, Any] = {name: content.get(name) for name in _CONTENT}
    wrong = [name for name, kind in _CONTENT.items() if not _is(known[name], kind)]
    wrong += [] if wrong or all(map(_is_inside, known["places"].values())) else ["places"]
    if wrong:
        raise InputError(f"{path} is damaged or was changed, in {wrong[0]!r}: get the file anew")
    return Record(**known)


def _is(value: object, kind: Any) -> bool:
    """Tell whether a value of JSON is of a kind: a type, several, a list, a mapping, or named fields."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is(one, kind[0]) for one in value)
    if isinstance(kind, Mapping):
        if not isinstance(value, dict):
            return False
        if str in kind:
            return all(_is(one, kind[str]) for one in value.values())
        return all(_is(value.get(name), one) for name, one in kind.items())
    return isinstance(value, kind) and not (isinstance(value, str) and "\0" in value)  # no path has one


def _is_inside(place: str) -> bool:
    path = Path(place)
    return not path.is_absolute() and ".." not in path.parts
