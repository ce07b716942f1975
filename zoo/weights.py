"""Which weights an entry runs with: what the user names, else the default run folders, else our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import __version__, registry
from zoo.defaults import PRETRAINED, RUNS
from zoo.entry import Entry
from zoo.errors import InputError, unknown
from zoo.segment import Network

if TYPE_CHECKING:
    from zoo.train.runs import Run


def find_runs(entry: Entry, given: Sequence[str]) -> dict[str, Path]:
    """Return the run folder of each network that an entry needs.

    Parameters
    ----------
    entry
        A pipeline or a network.
    given
        ``nsn=RUN`` for a part of a pipeline, ``RUN`` for a single network.

    Returns
    -------
    dict
        Entry name to folder. Where nothing was given, ``runs/NAME``; where that is not there, the weights
        that come with the package. Empty where no network is needed.

    Raises
    ------
    InputError
        For a part that the entry does not have, or weights that are not there.
    """
    parts = entry.networks
    found = {name: default_run(name) for name in parts.values()}
    for word in given:
        part, equals, folder = word.partition("=")
        named = equals and part in parts
        if len(parts) == 1 and not named:  # all of the word is the folder, which may have an equals sign
            (part,), folder = parts, word
        elif not named:
            if not parts:
                raise InputError(f"{entry.name} needs no weights: leave out --weights {word}")
            if not equals:
                raise InputError(
                    f"--weights {word} does not say which network of {entry.name} it is for: give "
                    + " and ".join(f"--weights {name}=RUN" for name in parts)
                )
            raise unknown(f"part of {entry.name}", part, parts)
        found[parts[part]] = Path(folder)
    for name, run in found.items():
        if not run.is_dir():
            short = next(key for key, value in parts.items() if value == name)
            raise InputError(
                f"no weights for {name}: there is no run folder {run}; train them with 'zoo train {name}' or "
                f"give --weights {short}=RUN"
            )
    return found


def default_run(name: str) -> Path:
    """Return the folder of a network where nobody names one: ``runs/NAME``, else that of the package."""
    run = RUNS / name
    there = (run / "run.json").is_file()  # an empty folder says nothing
    return PRETRAINED / name if registry.get(name).pretrained and not there else run


def open_networks(entry: Entry, given: Sequence[str]) -> dict[str, Network]:
    """Load the networks that an entry needs.

    Raises
    ------
    InputError
        As :func:`find_runs`; or for weights of another network, or files that cannot be read.
    """
    runs = open_runs(entry, given)
    if not runs:
        return {}  # without the seconds that a framework takes to load
    from zoo.train import device

    device.configure()
    return {
        name: Network(run.entry, run.recipe, _model(run), objects=run.settings.get("objects"))
        for name, run in runs.items()
    }


def open_runs(entry: Entry, given: Sequence[str]) -> dict[str, Run]:
    """Read what is known of the networks that an entry needs, without loading them.

    Raises
    ------
    InputError
        As :func:`find_runs`; or for weights of another network, or files that cannot be read.
    """
    from zoo.train.runs import open_run

    runs = {}
    for name, folder in find_runs(entry, given).items():
        run = open_run(folder)
        if run.entry.name != name:
            raise InputError(
                f"{folder} holds weights of {run.entry.name}, not of {name}: give a run of {name}"
            )
        runs[name] = run
    return runs


def parts_of(run: Run) -> dict[int, Run]:
    """Return the members of an ensemble that have weights by their numbers, else the run itself as 0.

    Raises
    ------
    InputError
        For an ensemble none of whose members has weights, or weights that are missing or damaged.
    """
    if run.entry.task != "instances_2d" or not run.recipe.members:
        parts = {0: run}
    else:
        from zoo.train.members import trained

        parts = trained(run)
    if not parts:
        raise InputError(
            f"no member of {run.path} has weights yet: 'zoo train {run.entry.name} --out {run.path} --resume'"
        )
    for part in parts.values():
        part.check_best()
    return parts


def _model(run: Run) -> Any:
    parts = parts_of(run)
    rebuild = run.entry.rebuild.load()  # here the framework comes, which takes seconds
    if run.entry.task != "instances_2d":
        return rebuild(run)
    from zoo.vote import member_name

    return [(member_name(n) if n else run.path.name, rebuild(part)) for n, part in parts.items()]


def choose_threshold(entry: Entry, given: Sequence[str], threshold: float | str) -> float:
    """Return the threshold of an entry's mask: a number as it is, for ``auto`` what its training found.

    Raises
    ------
    InputError
        Where no network of the entry has found one.
    """
    if not isinstance(threshold, str):
        return threshold
    from zoo.train import runs

    for name, folder in find_runs(entry, given).items():
        if registry.get(name).task == "semantic":
            return runs.open_run(folder).threshold
    raise InputError(f"--threshold {threshold} means nothing to {entry.name}: give a number, such as 0.5")


def describe_weights(entry: Entry, given: Sequence[str]) -> dict[str, str]:
    """Return where each network's weights come from, for reports."""
    return {f"weights of {name}": origin(folder) for name, folder in find_runs(entry, given).items()}


def origin(folder: Path) -> str:
    """Return what users are told of a run folder."""
    return f"came with cellzoo {__version__}" if folder.parent == PRETRAINED else str(folder)
