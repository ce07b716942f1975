"""Whether a command that goes on would make its results as those that are there were made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.provenance import Record

# which images and where to; the weights, whose content counts; how a server is reached
_SERVER = {"server", "certificates", "token", "deadline", "in_flight"}
FREE = {"images", "out", "weights", "overwrite", "resume"} | _SERVER
ANEW = "do all anew by --overwrite instead of --resume"


def before(place: Path) -> Record | None:
    """Return the record of the results that are there; ``None`` where what made them was killed.

    Raises
    ------
    InputError
        Where it cannot be read, is of another command, or the options were others.
    """
    from zoo.provenance import read

    if not place.exists():
        return None
    old, context = read(place), click.get_current_context()
    if old.command != context.command.name:
        raise InputError(f"{place} is of 'zoo {old.command}': give another --out, or --overwrite")
    try:
        made = context.command.make_context("zoo", list(old.arguments), resilient_parsing=True)
    except click.ClickException:  # of another version
        made = None
    then: dict[str, Any] = {} if made is None else made.params
    for name, now in context.params.items():
        if name not in FREE and then.get(name) != now:
            option = "model" if name == "name" else f"--{name.replace('_', '-')}"
            raise InputError(
                f"the results in {place.parent} were made with {option} {_told(then.get(name))}, not "
                f"{_told(now)}: give that again, or {ANEW}"
            )
    return old


def _told(value: object) -> str:
    """Return a value as it is typed."""
    if value is None or isinstance(value, bool):
        return "given" if value else "left out"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check_same(old: Record, new: Record, done: Collection[str]) -> None:
    """Check that the weights are what they were, and the images; a server's weights are not known.

    Parameters
    ----------
    old, new
        Of the results that are there, and of the command that goes on.
    done
        Names of the images that are done: another may have been mended since.

    Raises
    ------
    InputError
        Naming what changed.
    """
    known = {Path(told["path"]).name: told["sha256"] for told in old.inputs}  # results are named by it too
    for told in new.inputs:
        name = Path(told["path"]).name
        if name in done and known.get(name, told["sha256"]) != told["sha256"]:
            raise InputError(f"{told['path']} changed since it was done: {ANEW}")
    for name in sorted(old.weights.keys() & new.weights.keys()):
        if old.weights[name]["sha256"] != new.weights[name]["sha256"]:
            raise InputError(
                f"the weights of {name} are not those that made the results there "
                f"({old.weights[name]['path']}): give these, or {ANEW}"
            )


def add_earlier(old: Record, new: Record, place: Path, files: Sequence[Path]) -> list[Path]:
    """Take what a record tells of images that were done before, and not given again, into the next.

    Parameters
    ----------
    old, new
        Of the results that were there, and of the command that went on.
    place
        Where the record is.
    files
        What that command tells of.

    Returns
    -------
    list of Path
        Its files, and before them those of the old record that are still there.
    """
    known = {told["path"] for told in new.inputs}
    new.inputs = [*(told for told in old.inputs if told["path"] not in known), *new.inputs]
    earlier = [place.parent / told["path"] for told in old.outputs]
    return [*(path for path in earlier if path not in files and path.is_file()), *files]
