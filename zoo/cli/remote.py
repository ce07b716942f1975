"""The options of a command that may leave its networks to a server, and the tiles that they are fed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from zoo.cli.options import PATH, Option
from zoo.errors import InputError

if TYPE_CHECKING:
    from zoo.entry import Entry
    from zoo.segment import Network

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
Open = Callable[[], Mapping[str, "Network"]]


@dataclass(frozen=True, slots=True)
class Remote:
    """A server as the command line tells of it."""

    address: str
    certificates: Path | None
    token: Path | None
    deadline: float


def server_options() -> Option:
    """Return ``--server`` and what goes with it; the command gets ``remote``, a `Remote` or None."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_remote(
            server: str | None, certificates: Path | None, token: Path | None, deadline: float, **others: Any
        ) -> Any:
            remote = None if server is None else Remote(server, certificates, token, deadline)
            context = click.get_current_context()
            for option in ("certificates", "token", "deadline", "in_flight"):
                given = context.get_parameter_source(option) is ParameterSource.COMMANDLINE
                if remote is None and given:
                    raise InputError(f"--{option.replace('_', '-')} is for a server: give --server HOST:PORT")
            return command(remote=remote, **others)

        options = (
            click.option(
                "--server", metavar="HOST:PORT", help="TensorFlow Serving that runs the networks, by gRPC."
            ),
            click.option("--certificates", type=PATH, help="PEM file; the connection is encrypted."),
            click.option("--token", type=PATH, help="File that holds the server's token."),
            click.option(
                "--deadline",
                type=click.FloatRange(0, 86400, min_open=True),
                default=120.0,
                show_default=True,
                metavar="S",
                help="How long to wait for one answer of the server.",
            ),
        )
        decorated: Callable[..., Any] = with_remote
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def tile_options() -> Option:
    """Return ``--tile Z Y X`` and ``--in-flight N``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        in_flight = click.option(
            "--in-flight",
            type=click.IntRange(1, 64),
            default=2,
            show_default=True,
            help="Tiles that a server works on at once.",
        )
        tile = click.option(
            "--tile",
            type=click.IntRange(min=1),
            nargs=3,
            metavar="Z Y X",
            help="Working voxels a pass; default: the whole image where the memory here allows.",
        )
        return tile(in_flight(command))

    return decorate


def check_tile(entry: Entry, tile: tuple[int, int, int] | None) -> None:
    """Refuse tiles for an entry without networks that take any size.

    Raises
    ------
    InputError
        Where there are none.
    """
    from zoo import registry

    networks = [registry.get(name) for name in entry.needs.values()] or [entry]
    if tile and any(one.keras != "keras" or one.build is None or one.subject.prepared for one in networks):
        raise InputError(f"--tile means nothing to {entry.name}: leave it out")


@contextmanager
def connected(entry: Entry, weights: tuple[str, ...], remote: Remote | None) -> Iterator[Open]:
    """Give what opens the networks of an entry, here or on a server.

    Raises
    ------
    InputError
        For weights that are missing, or given beside a server.
    """
    if remote is None:
        from zoo.weights import find_runs, open_networks

        find_runs(entry, weights)  # missing weights are told before an image is read
        yield partial(open_networks, entry, weights)
        return
    if not (entry.trainable or entry.needs):
        raise InputError(f"{entry.name} has no network for a server to run: leave out --server")
    if weights:
        raise InputError("the server has weights of its own: give --server or --weights, not both")
    try:
        from zoo.serving.client import Server, open_remote, read_token
    except ImportError as fault:
        raise InputError(f"--server needs {fault.name}: pip install 'cellzoo[serve]'") from None

    _return_large_blocks()
    with Server(
        remote.address,
        deadline=remote.deadline,
        certificates=remote.certificates,
        token=read_token(remote.token) if remote.certificates or remote.token else None,
    ) as server:
        yield partial(open_remote, entry, server)


def _return_large_blocks() -> None:
    """Have blocks of 1 MiB and more given back when they are freed.

    By itself glibc keeps those up to 32 MiB, of which gRPC's copies of messages are, for later ones: a
    volume's worth of memory. Networks that run here are left alone, as they take such blocks all the time.
    """
    with suppress(AttributeError, OSError):  # other C libraries have no such thing
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**20)


def describe(
    entry: Entry, weights: tuple[str, ...], remote: Remote | None, networks: Mapping[str, Network]
) -> dict[str, str]:
    """Return where the networks are, for reports."""
    if remote is not None:
        return {f"weights of {name}": network.origin for name, network in networks.items()}
    from zoo.weights import describe_weights

    return describe_weights(entry, weights)


def threshold_of(
    entry: Entry, weights: tuple[str, ...], networks: Open | None, threshold: float | str
) -> float:
    """Return the threshold: a number as it is, for ``auto`` what the training found, here or on the server.

    Raises
    ------
    InputError
        Where it found none.
    """
    if not isinstance(threshold, str):
        return threshold
    if networks is None:
        from zoo.weights import choose_threshold

        return choose_threshold(entry, weights, threshold)
    for network in networks().values():
        if network.entry.task == "semantic" and network.threshold is not None:
            return network.threshold
    raise InputError(f"the server tells no threshold for {entry.name}: give a number, such as 0.5")
