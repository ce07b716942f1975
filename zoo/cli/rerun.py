"""``zoo rerun``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import chdir
from os.path import abspath
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

import click

from zoo import registry
from zoo.cli.options import PATH, check_writable, make_console
from zoo.cli.record import is_data, weights_of
from zoo.defaults import RECORD
from zoo.errors import InputError, unknown

if TYPE_CHECKING:
    from zoo.provenance import Record

AGAIN = ("predict", "eval", "train", "fuse", "measure", "track", "sample")
OUTS = {"out": "--out", "json_file": "--json", "csv_file": "--csv"}
ONCE = ("--overwrite", "--resume", "--merge")  # of results that were there; the new folder is empty
LOOKED_AT = (".html", ".png", ".md")  # made for the eye, some with times in them


@click.command()
@click.argument("provenance", type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder to make for the new results.")
def rerun(provenance: Path, out: Path) -> None:
    """Run the command again that left a provenance.json, and compare what comes out.

    Inputs and weights must be what they were; other versions are named. Exit 1 where a label image, a table
    or weights differ.
    """
    from zoo.provenance import read

    old = read(provenance)
    if out.exists():
        raise InputError(f"{out} exists: give the name of a folder to make")
    if out.suffix.lower() == ".zarr":
        raise InputError(f"{out} is the name of an OME-Zarr: --out is a folder to make for all results")
    check_writable(out)
    root = click.get_current_context().find_root().command
    assert isinstance(root, click.Group), "zoo is a group of commands"
    if old.command not in AGAIN:
        raise unknown("command in the record", old.command, AGAIN)
    console, home, target = make_console(), provenance.absolute().parent, Path(abspath(out))
    ended: click.ClickException | SystemExit | None = None
    with chdir(_folder(old)):
        words = _words(root.commands[old.command], old, target, provenance)
        _check_same(old, home, console.print)
        console.print(join(["zoo", old.command, *words]))
        try:
            root.main([old.command, *words], prog_name="zoo", standalone_mode=False)
        except (click.ClickException, SystemExit) as fault:  # of one image in several, as the first time
            ended = fault
    new = next((read(path) for path in sorted(target.glob(f"*{RECORD}"))), None)
    if new is None or new.ended is None:
        raise ended or InputError(f"the command left no finished {RECORD} in {out}: see what it said above")
    same = _compare(old, new)
    if ended is not None:
        raise ended
    if not same:
        if not old.deterministic:
            console.print("without --deterministic the last bits may differ from run to run")
        raise SystemExit(1)


def _folder(old: Record) -> Path:
    """Return where the command ran, which may be another computer's: then where we are."""
    folder = Path(old.folder)
    return folder if folder.is_dir() else Path.cwd()


def _words(command: click.Command, old: Record, out: Path, provenance: Path) -> list[str]:
    """Return the arguments with the outputs in another folder.

    Raises
    ------
    InputError
        For arguments that the command does not take, or outputs that cannot be placed elsewhere.
    """
    if old.ended is None:
        raise InputError(f"{provenance} is of a training that is not finished: go on with --resume")
    words = [word for word in old.arguments if word not in ONCE]
    if "--resume" in old.arguments and old.command == "train":
        raise InputError(f"{provenance} does not tell how the training began that it went on with")
    given = _parse(command, words, provenance)
    places = dict(old.places)
    for name, option in OUTS.items():
        if given.get(name) is not None and option not in places:
            raise InputError(f"{provenance} does not tell where {option} went: get the file anew")
    if places.keys() - OUTS.values():
        raise InputError(f"{provenance} is damaged or was changed, in 'places': get the file anew")
    if any(above.suffix.lower() == ".zarr" for place in places.values() for above in Path(place).parents):
        raise InputError(f"{provenance} is of labels inside an OME-Zarr: run the command beside it yourself")
    end = words.index("--") if "--" in words else len(words)
    moved = [word for option, place in places.items() for word in (option, str(out / place))]
    words = [*_without(words[:end], places), *moved, *words[end:]]
    _parse(command, words, provenance)
    return words


def _without(words: list[str], options: Mapping[str, Any]) -> list[str]:
    """Leave out options and their values, in either form."""
    left, value = [], False
    for word in words:
        if not value and word.partition("=")[0] not in options:
            left.append(word)
        value = not value and word in options
    return left


def _parse(command: click.Command, words: list[str], provenance: Path) -> dict[str, Any]:
    if {"-h", "--help"} & set(words):
        raise InputError(f"{provenance} holds a call for help, no run: get the file anew")
    try:
        return command.make_context(f"zoo {command.name}", list(words)).params
    except click.UsageError as fault:
        said = " ".join(fault.format_message().split())
        raise InputError(f"{provenance} holds arguments that 'zoo {command.name}' refuses: {said}") from None


def _check_same(old: Record, home: Path, tell: Any) -> None:
    """Check that inputs and weights are what they were, and tell which versions are not.

    Raises
    ------
    InputError
        Naming what changed.
    """
    from zoo.provenance import commit, digest, versions

    for told in old.inputs:
        path = Path(told["path"])
        if not is_data(path):
            raise InputError(f"{path} is not there (looked for from {Path.cwd()}): bring it back")
        found = digest(path, [home / place for place in old.places.values()])
        if found["sha256"] != told["sha256"]:
            raise InputError(
                f"{path} changed since: {told['bytes']:,} bytes then and {found['bytes']:,} now, SHA-256 "
                f"{told['sha256'][:12]} and {found['sha256'][:12]}; bring back what it was"
            )
        if told.get("sampled"):
            tell(f"{path} is large: 64 pieces of it were compared, not all")
    _check_weights(old)
    now: Mapping[str, str | None] = versions() | {"commit": commit()}
    for name, then in {**old.versions, "commit": old.commit}.items():
        if now.get(name) != then:
            tell(f"warning: {name} was {then or 'unknown'}, and is {now.get(name) or 'unknown'}")


def _check_weights(old: Record) -> None:
    if not old.weights:
        return
    command = click.get_current_context().find_root().command
    assert isinstance(command, click.Group), "zoo is a group of commands"
    given = command.commands[old.command].make_context("zoo", list(old.arguments)).params
    found = weights_of(registry.get(given["name"]), given["weights"])
    for name in sorted(old.weights.keys() | found.keys()):
        then, now = old.weights.get(name), found.get(name)
        if then is None or now is None or then["sha256"] != now["sha256"]:
            raise InputError(
                f"the weights of {name} changed since: then {_told(then)}, now {_told(now)}; bring back what "
                "they were"
            )


def _told(weights: Mapping[str, str] | None) -> str:
    return "none" if weights is None else f"{weights['path']} (SHA-256 {weights['sha256'][:12]})"


def _compare(old: Record, new: Record) -> bool:
    """Print which outputs are the same; tell whether all are that are made for more than the eye."""
    before, after = ({one["path"]: one for one in record.outputs} for record in (old, new))
    same = True
    for name in sorted(before.keys() | after.keys()):
        then, now = before.get(name), after.get(name)
        if then is None or now is None:
            said = "missing now" if now is None else "new"
        elif then["sha256"] == now["sha256"]:
            said = "identical"
        elif then.get("results") and then["results"] == now.get("results"):
            said = "identical but for the times measured"
        else:
            said = "differs"
        shown = name.lower().endswith(LOOKED_AT)
        same &= shown or said.startswith("identical")
        note = " (a page or picture: not counted)" if shown and said == "differs" else ""
        click.echo(f"{name}: {said}{note}")
    return same
