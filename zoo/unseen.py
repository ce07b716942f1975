"""Which runs may segment which volumes: those that were neither trained on them nor validated by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo import registry
from zoo.data.datasets import Sample
from zoo.entry import NUCLEI
from zoo.errors import InputError, unknown
from zoo.weights import default_run


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run of a network that may segment volumes.

    Parameters
    ----------
    path
        The run folder.
    known
        Names of the volumes that it was trained on or validated by.
    parameters
        How many the network has.
    """

    path: Path
    known: frozenset[str]
    parameters: int


Runs = Mapping[str, Candidate]
"""The run of each network by the network's name."""


def comparable() -> tuple[str, ...]:
    """Name the entries that make whole nuclei, in the order of the registry.

    A mask counts where it is a method of its own and not a part of one.
    """
    entries = registry.entries()
    parts = {name for entry in entries for name in entry.needs.values()}
    return tuple(
        entry.name
        for entry in entries
        if entry.subject is NUCLEI
        and (entry.task == "instances_3d" or (entry.task == "semantic" and entry.name not in parts))
    )


def find_candidates(
    asked: Sequence[str], given: Sequence[str]
) -> tuple[dict[str, dict[str, list[Candidate]]], list[str]]:
    """Find the methods to compare and the runs that each of their networks has.

    Parameters
    ----------
    asked
        Methods; empty for all of `comparable` that have weights.
    given
        ``NETWORK=RUN``, also several of one network. Of a network that is not named, ``runs/NETWORK``, else
        the weights that come with the package.

    Returns
    -------
    dict
        Method to network to its runs, at least one each; nothing for a method without networks.
    list of str
        A sentence for each method that is left out, as it lacks weights.

    Raises
    ------
    InputError
        For an unknown method or network, a method that was asked for and lacks weights, or a run that cannot
        be used or does not say what it was trained on.
    """
    allowed = comparable()
    for name in asked:
        if name not in allowed:
            raise unknown("method", name, allowed)
    methods = {name: tuple(registry.get(name).networks.values()) for name in asked or allowed}
    folders = _find_folders([network for needed in methods.values() for network in needed], given)
    left_out = []
    for name, needed in list(methods.items()):
        if lacking := [network for network in needed if not folders[network]]:
            why = f"{name} has no weights for {', '.join(lacking)}"
            what = f"'zoo train {lacking[0]}' makes them, --weights {lacking[0]}=RUN gives them"
            if asked:
                raise InputError(f"{why}: {what}")
            left_out.append(f"{why} and is left out: {what}")
            del methods[name]
    opened: dict[str, list[Candidate]] = {}
    for network in (network for needed in methods.values() for network in needed):
        if network not in opened:
            opened[network] = [_open(network, folder) for folder in folders[network]]
    return {name: {part: opened[part] for part in needed} for name, needed in methods.items()}, left_out


def choose_runs(
    candidates: Mapping[str, Sequence[Candidate]], volumes: Sequence[str]
) -> tuple[dict[str, Runs], dict[str, tuple[str, ...]]]:
    """Choose for each volume and network the first run that did not know the volume.

    Parameters
    ----------
    candidates
        Network to its runs.
    volumes
        Names.

    Returns
    -------
    chosen
        Volume to its runs, of those volumes that every network has one for.
    lacking
        Volume to the networks that have none for it, of all others.
    """
    chosen: dict[str, Runs] = {}
    lacking = {}
    for volume in volumes:
        found = {
            network: next((run for run in runs if volume not in run.known), None)
            for network, runs in candidates.items()
        }
        runs = {network: run for network, run in found.items() if run is not None}
        if missing := tuple(network for network in found if network not in runs):
            lacking[volume] = missing
        else:
            chosen[volume] = runs
    return chosen, lacking


def group_by_runs(networks: Collection[str], chosen: Mapping[str, Runs]) -> list[tuple[Runs, list[str]]]:
    """Gather the volumes that a method segments by the same runs, so that these are loaded once.

    Parameters
    ----------
    networks
        Of the method.
    chosen
        From `choose_runs`; the runs of other networks make no difference.

    Returns
    -------
    list of (runs, volumes)
        In the order in which the volumes come.
    """
    groups: dict[tuple[Path, ...], tuple[Runs, list[str]]] = {}
    for volume, found in chosen.items():
        runs = {network: found[network] for network in networks}
        key = tuple(run.path for run in runs.values())
        groups.setdefault(key, (runs, []))[1].append(volume)
    return list(groups.values())


def explain(samples: Sequence[Sample], lacking: Mapping[str, Sequence[str]]) -> list[str]:
    """Say how many volumes of which groups are left out and why, a sentence for each reason.

    Parameters
    ----------
    samples
        All volumes.
    lacking
        Volume to the networks that have no run for it.
    """
    reasons: dict[tuple[str, ...], list[str]] = {}
    for sample in samples:
        if sample.name in lacking:
            reasons.setdefault(tuple(lacking[sample.name]), []).append(sample.group)
    return [
        f"{len(groups)} of {len(samples)} volumes ({', '.join(dict.fromkeys(groups))}) are left out: every "
        f"run of {' and of '.join(networks)} was trained on or validated by them"
        for networks, groups in reasons.items()
    ]


def _find_folders(networks: Sequence[str], given: Sequence[str]) -> dict[str, list[Path]]:
    """Return the run folders of each network: those given, else the default one where it is there."""
    folders: dict[str, list[Path]] = {network: [] for network in networks}
    for word in given:
        network, equals, folder = word.partition("=")
        if not (equals and folder):
            raise InputError(f"--weights {word} does not say which network it is for: give NETWORK=RUN")
        if network not in folders:
            raise unknown("network of these methods", network, folders)
        folders[network].append(Path(folder))
    for network, found in folders.items():
        if not found and (run := default_run(network)).is_dir() and _has_weights(run):
            found.append(run)
    return folders


def _has_weights(folder: Path) -> bool:
    """Tell whether a training got as far as weights; one that nobody named may still be under way."""
    return any(folder.rglob("best.weights.h5"))


def _open(network: str, folder: Path) -> Candidate:
    """Read what a run knew, and check what can be checked before it is loaded."""
    from zoo.train.members import trained
    from zoo.train.runs import open_run

    run = open_run(folder)
    if run.entry.name != network:
        raise InputError(
            f"{folder} holds weights of {run.entry.name}, not of {network}: give a run of {network}"
        )
    detectors = [run]  # or the members of an ensemble, each a run of its own
    if run.entry.task == "instances_2d" and run.recipe.members:
        detectors = list(trained(run).values())
        if not detectors:
            raise InputError(
                f"no member of {folder} has weights yet: go on with its training, or leave it out"
            )
    for one in detectors:
        one.check_best()
    known: set[str] = set()
    for one in (run, *detectors):
        if "train" not in one.settings:
            raise InputError(f"{one.path} does not say which volumes it was trained on: leave it out")
        known.update(one.settings["train"], one.settings.get("validation", ()))
    count = run.entry.size
    assert count is not None, f"{network} has no size"
    return Candidate(folder, frozenset(known), sum(count.load()(one.recipe) for one in detectors))
