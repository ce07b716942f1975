"""Options and small steps that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo.defaults import AUTO, MIN_VOLUME, RADIUS_UM, SLICE_FUSION, THRESHOLD, UNMARKED
from zoo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.entry import Entry

PATH = click.Path(path_type=Path)
SPACING_FROM = {
    "given": "as given",
    "metadata": "from the file",
    "default": "the default, as the file does not tell: --spacing Z Y X overrides",
}
Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def spacing_option() -> Option:
    """Return ``--spacing Z Y X``."""
    return click.option(
        "--spacing",
        type=float,
        nargs=3,
        metavar="Z Y X",
        callback=_check_spacing,
        help="Voxel size in um; overrides what the files say.",
    )


def _check_spacing(
    ctx: click.Context, parameter: click.Parameter, value: tuple[float, float, float] | None
) -> tuple[float, float, float] | None:
    if value is None:
        return None
    from zoo.data.io import resolve_spacing

    return resolve_spacing(None, value, value)[0]


def weights_option() -> Option:
    """Return ``--weights nsn=RUN``."""
    return click.option(
        "--weights",
        multiple=True,
        metavar="[PART=]RUN",
        help="Run folder of a network, such as nsn=RUN; default runs/NAME, else the weights that come along.",
    )


def unmarked_option() -> Option:
    """Return ``--unmarked vote|keep|drop``."""
    return click.option(
        "--unmarked",
        type=click.Choice(["vote", "keep", "drop"]),
        default=UNMARKED,
        show_default=True,
        help="Nuclei without a centre marker: let the mask's shape vote with the markers, keep pieces of the "
        "mask without one as they are, or drop them as the published code does.",
    )


def min_volume_option() -> Option:
    """Return ``--min-volume UM3``."""
    return click.option(
        "--min-volume",
        type=click.FloatRange(min=0),
        metavar="UM3",
        help=f"Smallest object that a network's labels keep, um^3; default {MIN_VOLUME:g}, 0 in yeast.",
    )


class Threshold(click.FloatRange):
    """A probability, or ``auto``, which stays as it is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value."""
        return value if value == AUTO else super().convert(value, param, ctx)


def threshold_option() -> Option:
    """Return ``--threshold P|auto``."""
    return click.option(
        "--threshold",
        type=Threshold(0, 1, min_open=True, max_open=True),
        default=THRESHOLD,
        show_default=True,
        help="Probability from which on a voxel is foreground; higher gives tighter outlines. 'auto': what "
        "suited the validation volumes of the training best.",
    )


def slice_fusion_options() -> Option:
    """Return ``--slice-fusion cluster|blob`` and ``--radius-um UM``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        radius = click.option(
            "--radius-um",
            type=click.FloatRange(min=0, min_open=True),
            default=RADIUS_UM,
            show_default=True,
            metavar="UM",
            help="How far the centre of a nucleus may move from a slice to the next, where blobs are joined.",
        )
        fusion = click.option(
            "--slice-fusion",
            type=click.Choice(["cluster", "blob"]),
            default=SLICE_FUSION,
            show_default=True,
            help="How the objects that an ensemble finds in slices are joined over z.",
        )
        return fusion(radius(command))

    return decorate


def overwrite_option() -> Option:
    """Return ``--overwrite``."""
    return click.option("--overwrite", is_flag=True, help="Replace results that are there already.")


def takes_slices(entry: Entry) -> bool:
    """Tell whether an entry looks at slices one by one, so that a single one is an image too."""
    return entry.task == "instances_2d" or "ensemble" in entry.needs


def diameter_option() -> Option:
    """Return ``--diameter UM``."""
    return click.option(
        "--diameter",
        type=click.FloatRange(min=0, min_open=True),
        metavar="UM",
        help="Diameter of your nuclei, where it is far from what the weights were trained on: the networks "
        "are shown the image so much larger or smaller.",
    )


def flips_option() -> Option:
    """Return ``--flips``."""
    return click.option(
        "--flips",
        is_flag=True,
        help="Average what the networks say of the image and of its mirror images along y, x and both: four "
        "times the time.",
    )


def cutting(entry: Entry) -> set[str]:
    """Return the settings of how a network's mask is cut, for entries that have one."""
    return {"threshold", "min_volume"} if entry.networks and entry.task != "centres" else set()


def labelling(
    entry: Entry, unmarked: str, slice_fusion: str, radius_um: float, diameter: float | None, flips: bool
) -> dict[str, Any]:
    """Return the settings that an entry's way to labels has, of those that differ between entries.

    Raises
    ------
    InputError
        Where an option was given that means nothing to the entry.
    """
    given = {
        "slice_fusion": slice_fusion,
        "radius_um": radius_um,
        "unmarked": unmarked,
        "diameter": diameter,
        "flips": flips,
    }
    if "ensemble" in entry.needs:
        meant = {"slice_fusion", "radius_um"}
    else:
        meant = {"unmarked"} if entry.needs else set()
        if (entry.needs or entry.trainable) and not entry.allows_empty:
            meant |= {"diameter", "flips"}
    context = click.get_current_context()
    for name in (given.keys() | {"threshold", "min_volume"}) - meant - cutting(entry):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InputError(f"--{name.replace('_', '-')} means nothing to {entry.name}: leave it out")
    return {name: value for name, value in given.items() if name in meant and value is not None}


def tell_weights(entry: Entry, given: Sequence[str], console: Console) -> None:
    """Say which weights are taken, unless the user named all of them."""
    from zoo.weights import describe_weights

    if len(given) < len(entry.networks):
        for part, where in describe_weights(entry, given).items():
            console.print(f"{part}: {where}")


def names(text: str | None) -> list[str]:
    """Split ``Emb04,Emb10`` into names."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def make_console() -> Console:
    """Return the console for messages; on standard error, so that standard output stays for results.

    File names are shown as they are: rich would take ``cell[a].tif`` for markup, and break lines in logs.
    """
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def check_apart(places: Sequence[Path], inputs: Sequence[Path | None]) -> None:
    """Refuse to write to what is read, or into a folder that is read, whatever may be replaced.

    Parameters
    ----------
    places
        Files that will be written.
    inputs
        Files and folders that are read; ``None`` where one was not given.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    real = {path.resolve(): path for path in inputs if path is not None}
    for place in places:
        path = real.get(place.resolve()) or real.get(place.resolve().parent)
        if path is not None:
            raise InputError(f"{place} would change the input {path}: choose another --out")


def check_new(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to replace files that are there, and any folder, before any work is done.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        told = "exists" if len(there) == 1 else f"and {len(there) - 1} more exist"
        raise InputError(f"{there[0]} {told}: choose another place, or give --overwrite to replace it")
    for path in there:
        if path.is_dir():
            raise InputError(f"{path} is a folder: give the name of a file to write")


def check_writable(folder: Path) -> None:
    """Check, before any work is done, that an output folder can be written to or made; nothing is made yet.

    Raises
    ------
    InputError
        Where it cannot.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise InputError(f"{folder} cannot be a folder, as {there} is a file: choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{folder} cannot be written to: choose a place where you may write")
