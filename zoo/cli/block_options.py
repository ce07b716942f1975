"""The options of ``zoo predict`` for volumes larger than the memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo.cli.options import Option
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.entry import Entry

_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_SHARE = re.compile(r"(\d{1,7})/(\d{1,7})")
_DASK = re.compile(r"local(:[1-9]\d{0,4})?|slurm(:.+)?|[a-z]+://.+")
# What works on whole images only; a volume in blocks has the rest
_WHOLE_ONLY = (
    "frames",
    "correct_bleaching",
    "unmarked",
    "flips",
    "slice_fusion",
    "radius_um",
    "tile",
    "server",
    "track",
    "resume",
)


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the command line says of blocks."""

    block: tuple[int, int, int] | None
    max_memory: float | None
    dask: str | None
    shard: tuple[int, int] | None
    merge: bool
    plan: bool
    audit: int


def block_options() -> Option:
    """Return ``--block`` and what goes with it; the command gets ``blocks``, a `Blocks` or None."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_blocks(
            block: tuple[int, int, int] | None,
            max_memory: float | None,
            dask: str | None,
            shard: tuple[int, int] | None,
            merge: bool,
            plan: bool,
            audit: int,
            **others: Any,
        ) -> Any:
            asked = Blocks(block, max_memory, dask, shard, merge, plan, audit)
            if in_zarr(others["out"]):
                return command(blocks=asked, **others)
            context = click.get_current_context()
            for option in ("block", "max_memory", "dask", "shard", "merge", "plan", "audit"):
                if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
                    raise InputError(
                        f"--{option.replace('_', '-')} is for labels in OME-Zarr: give --out NAME.ome.zarr"
                    )
            return command(blocks=None, **others)

        options = (
            click.option(
                "--block",
                type=click.IntRange(min=16),
                nargs=3,
                metavar="Z Y X",
                help="Voxels of a block; default: the largest that --max-memory allows.",
            ),
            click.option(
                "--max-memory",
                metavar="SIZE",
                callback=_read_memory,
                help="What all workers here may take, such as 8GB; default 70 % of what is free.",
            ),
            click.option(
                "--dask",
                metavar="local[:N]|ADDRESS|slurm[:FILE]",
                callback=_read_dask,
                help="Let Dask workers do the blocks: N processes here, a scheduler such as "
                "tcp://host:8786, or jobs that SLURM starts.",
            ),
            click.option(
                "--shard",
                metavar="I/N",
                callback=_read_share,
                help="Do the I-th of N parts only, for arrays of jobs; then --merge.",
            ),
            click.option("--merge", is_flag=True, help="Join what all shards have done."),
            click.option("--plan", is_flag=True, help="Say how the volume would be cut; do nothing."),
            click.option(
                "--audit",
                type=click.IntRange(min=0),
                default=0,
                metavar="N",
                help="Afterwards do N windows across borders of blocks as one piece, and compare.",
            ),
        )
        decorated: Callable[..., Any] = with_blocks
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _read_memory(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = _MEMORY.fullmatch(value.strip())
    if match is None or not float(match[1]):
        raise InputError(f"--max-memory {value} is not understood: give a size such as 8GB or 500MB")
    return float(match[1]) * _UNITS[match[2].upper()]


def _read_dask(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _DASK.fullmatch(value):
        raise InputError(
            f"--dask {value} is not understood: give local:2, tcp://HOST:8786 or slurm:FILE.toml"
        )
    return value


def _read_share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    match = _SHARE.fullmatch(value.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--shard {value} is not understood: give I/N with I from 1 to N, such as 3/16")
    return int(match[1]), int(match[2])


def in_zarr(out: Path) -> bool:
    """Tell whether labels are to be an OME-Zarr, by their name or their place in one."""
    return out.suffix.lower() == ".zarr" or any(above.suffix.lower() == ".zarr" for above in out.parents)


def check_options(entry: Entry, blocks: Blocks, overwrite: bool) -> None:
    """Refuse entries and options that only whole images have, and options that contradict each other.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    by_slices = "ensemble" in entry.needs
    if not by_slices and not {"nsn", "ndn"} <= entry.needs.keys():
        raise InputError(
            f"{entry.name} works on images that fit into the memory: give a folder as --out, or take qcanet"
        )
    context = click.get_current_context()
    for option in (*_WHOLE_ONLY, "diameter") if by_slices else _WHOLE_ONLY:
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise InputError(
                f"--{option.replace('_', '-')} is for images that fit into the memory: leave it out, or "
                "give a folder as --out"
            )
    apart = blocks.shard is not None or blocks.merge
    if blocks.merge and blocks.shard is not None:
        raise InputError("--merge joins what all shards have done: leave --shard out")
    if apart and overwrite:
        raise InputError("--overwrite would remove what other shards have done: remove it yourself")
    if blocks.audit and blocks.shard is not None:
        raise InputError("--audit looks at all blocks: give it with --merge")


def workers(dask: str | None) -> int:
    """Return how many workers share the memory of this computer; those elsewhere have their own."""
    if dask is None or not dask.startswith("local"):
        return 1
    from os import cpu_count

    number = dask.removeprefix("local").removeprefix(":")
    return int(number) if number else cpu_count() or 1
