"""The record that a command leaves beside its results, and what makes them come out the same again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import Option
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.entry import Entry
    from zoo.provenance import Record

GIVEN = "zoo.given"  # in a context's meta: the words of the command line


def deterministic_option() -> Option:
    """Return ``--deterministic``."""
    return click.option(
        "--deterministic",
        is_flag=True,
        help="Bit for bit the same result from the same data, weights, seed and machine; may be slower.",
    )


def be_deterministic(entry: Entry, seed: int = 0, *, elsewhere: str | None = None) -> None:
    """Have the networks of an entry compute the same bits each time.

    Parameters
    ----------
    entry
        One without networks is deterministic as it is.
    seed
        Of random numbers.
    elsewhere
        The option by which networks run in other processes, out of reach.

    Raises
    ------
    InputError
        Where that cannot be done.
    """
    if elsewhere is not None:
        raise InputError(f"--deterministic reaches the networks of this process only: leave {elsewhere} out")
    if entry.networks:
        from zoo.train.device import be_deterministic

        be_deterministic(seed)


def begin(
    place: Path,
    outs: Mapping[str, Path | None],
    inputs: Sequence[Path | None],
    *,
    entry: Entry | None = None,
    weights: Sequence[str] = (),
    seed: int | None = None,
    deterministic: bool = False,
) -> Record:
    """Begin the record of the command that runs: what it was told, reads and takes.

    Parameters
    ----------
    place
        Where the record goes.
    outs
        Option to the output that it names, ``None`` where it was not given.
    inputs
        Files and folders that are read, ``None`` where one was not given.
    entry, weights
        What segments, with the run folders as on the command line; no entry where nothing does.
    seed, deterministic
        As of :class:`zoo.provenance.Record`.
    """
    from zoo.provenance import Record, within

    context = click.get_current_context()
    command, *arguments = context.find_root().meta[GIVEN]
    made = {option: out for option, out in outs.items() if out}
    return Record(
        command=command,
        arguments=arguments,
        folder=str(Path.cwd()),
        places={option: within(out, place.parent) for option, out in made.items()},
        seed=seed,
        deterministic=deterministic,
        weights={} if entry is None else weights_of(entry, weights),
        inputs=[told for path in inputs if path and (told := _describe(path, made.values()))],
    )


def command_line() -> str:
    """Return the command that runs, as it could be typed again."""
    return join(["zoo", *click.get_current_context().find_root().meta[GIVEN]])


def is_data(path: Path) -> bool:
    """Tell whether a path is a file or a folder; of pipes and devices one would read for ever."""
    return path.is_file() or path.is_dir()


def _describe(path: Path, without: Iterable[Path]) -> dict[str, Any] | None:
    """Return an input with its hash; ``None`` where it cannot be read, which what wants it tells better."""
    from zoo.provenance import digest

    try:
        return {"path": str(path), **digest(path, without)} if is_data(path) else None
    except OSError:
        return None


def weights_of(entry: Entry, given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return where the weights of each network come from, and their SHA-256; those of an ensemble by member.

    Networks without weights are left out: what opens them tells that better.
    """
    from zoo.train import members, runs
    from zoo.weights import find_runs, origin

    found = {}
    for name, folder in find_runs(entry, given).items():
        run = runs.open_run(folder)
        parts = {name: run}
        if getattr(run.recipe, "members", ()):
            parts = {f"{name} member {n}": member for n, member in members.trained(run).items()}
        for part, its in parts.items():
            if its.best.is_file():
                found[part] = {"path": origin(folder), "sha256": runs.checksum(its.best)}
    return found


def device_of(entry: Entry) -> str:
    """Name what an entry's networks ran on; where these had another process, the framework is loaded here."""
    if not entry.networks:
        return "CPU"
    from zoo.train.device import configure, gpus

    configure()
    return ", ".join(sorted({gpu.name for gpu in gpus()})) or "CPU"
