"""The folder of an exported model: numbered versions, whole or not there, with checksums and an example."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from zoo.data.write import atomic
from zoo.errors import InputError

EXTRA = "assets.extra"  # where TensorFlow Serving looks for warm-ups, and minds no other files
SUMS, EXAMPLE, SETTINGS, WARMUP = "SHA256SUMS", "example.npz", "model.json", "tf_serving_warmup_requests"
README = "README.md"

Arrays = Mapping[str, np.ndarray]
_LENGTHS = ".lengths"


def models(folder: Path) -> list[Path]:
    """Return the folders in which there are versions, by name.

    Raises
    ------
    InputError
        Where there is none.
    """
    found = [path for path in sorted(folder.glob("[!.]*")) if path.is_dir() and versions(path)]
    if not found:
        raise InputError(f"{folder} holds no exported model, NAME/1 or so: give the --out of a 'zoo export'")
    return found


def versions(model: Path) -> list[Path]:
    """Return the versions of an exported model, rising; other files and folders do not count."""
    if not model.is_dir():
        return []
    found = [path for path in model.iterdir() if path.is_dir() and path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name))


def write_version(out: Path, name: str, readme: str, fill: Callable[[Path], None]) -> Path:
    """Write a new version of a model, at once or not at all: a running server never sees a part of it.

    Parameters
    ----------
    out
        Folder of all models; made where it is missing.
    name
        Of the model.
    readme
        Text that tells of the newest version.
    fill
        Function that writes the version into an empty folder; its checksums are added.

    Returns
    -------
    Path
        The version's folder: its number is one more than the highest there.

    Raises
    ------
    InputError
        Where the folder cannot be written.
    """
    model, hidden = out / name, out / f".{name}-{secrets.token_hex(4)}"
    try:
        model.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
    except OSError as fault:
        raise InputError(f"{out} cannot be written ({fault.strerror}): choose another --out") from None
    try:
        fill(hidden)
        write_sums(hidden)
        version = _publish(hidden, model)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        if not any(model.iterdir()):
            model.rmdir()
        raise
    with atomic(model / README) as part:
        part.write_text(readme, encoding="utf-8")
    return version


def _publish(hidden: Path, model: Path) -> Path:
    number = 1 + max((int(path.name) for path in versions(model)), default=0)
    while True:
        try:
            # refused where a folder with files is there: of two exports at once, the second tries again
            os.rename(hidden, model / str(number))
            return model / str(number)
        except OSError:
            if not (model / str(number)).exists():
                raise
            number += 1


def write_sums(version: Path) -> None:
    """Write the SHA-256 of each file of a version; ``sha256sum -c`` in its folder reads them."""
    files = sorted(path for path in version.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [f"{_sum(path)}  {path.relative_to(version).as_posix()}\n" for path in files]
    with atomic(version / EXTRA / SUMS) as part:
        part.write_text("".join(lines), encoding="utf-8")


def verify(version: Path) -> None:
    """Check all files of a version against their checksums.

    Raises
    ------
    InputError
        Naming the first file that is missing or changed.
    """
    advice = "export it anew"
    try:
        lines = (version / EXTRA / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
        if "saved_model.pb" not in sums:
            raise ValueError("saved_model.pb is not among them")
    except (OSError, ValueError) as fault:
        raise InputError(f"{version} has no list of checksums to read ({fault}): {advice}") from None
    for name, digest in sums.items():
        path = version / name
        if not path.is_file():
            raise InputError(f"{version} is damaged: {name} is missing; {advice}")
        if _sum(path) != digest:
            raise InputError(f"{version} is damaged: {name} is not as it was exported; {advice}")


def write_example(version: Path, arrays: Arrays) -> None:
    """Write arrays of numbers and of bytes; nothing in the file needs pickle.

    Bytes, in arrays of objects, are written one after the other, and their lengths as ``NAME.lengths``.
    """
    plain: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        if array.dtype == object:
            words = [bytes(word) for word in array.reshape(-1)]
            plain[name] = np.frombuffer(b"".join(words), np.uint8)
            plain[name + _LENGTHS] = np.array([len(word) for word in words], np.int64).reshape(array.shape)
        else:
            plain[name] = array
    with atomic(version / EXTRA / EXAMPLE) as part:
        np.savez_compressed(part, **plain)  # type: ignore[arg-type]


def read_example(version: Path) -> dict[str, np.ndarray]:
    """Read what :func:`write_example` wrote.

    Raises
    ------
    InputError
        Where it cannot be read.
    """
    path = version / EXTRA / EXAMPLE
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            plain = dict(arrays)
    except (
        OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error,
        NotImplementedError, RuntimeError, MemoryError,  # other compressions, passwords; sizes that lie
    ) as fault:  # fmt: skip
        raise InputError(f"{path} cannot be read ({fault}): export the model anew") from None
    return {
        name: _words(array, plain[name + _LENGTHS]) if name + _LENGTHS in plain else array
        for name, array in plain.items()
        if not name.endswith(_LENGTHS)
    }


def _words(octets: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    words = np.empty(lengths.size, object)
    ends = np.cumsum(lengths, dtype=int)
    words[:] = [octets[end - n : end].tobytes() for end, n in zip(ends.flat, lengths.flat, strict=True)]
    return words.reshape(lengths.shape)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
