"""Workers of a Dask cluster: one coarse task a piece, one process a GPU."""

from __future__ import annotations

import logging
import os
import socket
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo.blocks.engine import Outcome, Work, in_one_line, tried
from zoo.errors import InputError

AHEAD = 4  # pieces a worker that are handed out at once, so that no scheduler holds millions
WAIT = 30  # seconds for a scheduler to answer
# memory is planned by us, for a piece at a time; Dask would pause workers that hold a network
WORKER = ["--memory-limit", "0", "--nthreads", "1"]
GPUS = Path("/proc/driver/nvidia/gpus")  # one folder each


@contextmanager
def cluster(where: str, tell: Callable[[str], None]) -> Iterator[Callable[..., Iterator[Outcome]]]:
    """Connect to a cluster, or start one, and give what does pieces of work on it.

    Parameters
    ----------
    where
        ``local``, ``local:N``, ``slurm``, ``slurm:FILE.toml`` or the address of a scheduler.
    tell
        Takes a line at a time.

    Yields
    ------
    callable
        As :func:`zoo.blocks.engine.here`; the order of the outcomes is that in which they come.

    Raises
    ------
    InputError
        Where Dask is not installed, no scheduler answers or stays, or the settings for SLURM are not
        understood.
    """
    try:
        from dask.distributed import Client
    except ModuleNotFoundError as fault:
        raise InputError(f"--dask needs {fault.name}: pip install 'cellzoo[cluster]'") from None
    with ExitStack() as stack:
        try:
            target = stack.enter_context(_start(where)) if "://" not in where else _listening(where)
            client = stack.enter_context(Client(target, timeout=WAIT, set_as_default=False))
        except (OSError, TimeoutError) as fault:
            raise InputError(
                f"no scheduler answers at {where} ({fault}): start it with 'dask scheduler', or give local:2"
            ) from None
        if where.startswith("local"):
            client.run(take_gpu)
            client.register_plugin(_leave_at_once())
            # with a traceback it would say that the line to a worker closed which left
            logging.getLogger("distributed.batched").setLevel(logging.WARNING)
        tell(f"Dask dashboard: {client.dashboard_link}")
        yield lambda work, numbers: _spread(client, work, numbers)


def take_gpu(dask_worker: Any) -> None:
    """Give a worker the GPU of its number, before it loads TensorFlow; where there are none, nothing.

    Parameters
    ----------
    dask_worker
        Of a `LocalCluster`, whose workers are named 0, 1, 2.
    """
    held = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(list(GPUS.glob("*")))
    devices = held.split(",") if held is not None else [str(number) for number in range(count)]
    if len(devices) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[int(dask_worker.name) % len(devices)]


def _leave_at_once() -> Any:
    """Return what ends a worker as soon as it is told to: TensorFlow would keep it until Dask kills it."""
    from dask.distributed import WorkerPlugin

    class LeaveAtOnce(WorkerPlugin):
        def teardown(self, worker: Any) -> None:
            os._exit(0)  # what it did is on the disk

    return LeaveAtOnce()


def _listening(address: str) -> str:
    """See that somebody listens at an address: Dask would knock for half a minute where nobody does."""
    found = urlsplit(address)
    if found.scheme in ("tcp", "tls") and found.hostname and found.port:
        socket.create_connection((found.hostname, found.port), timeout=WAIT).close()
    return address


def _start(where: str) -> Any:
    kind, _, rest = where.partition(":")
    if kind == "local":
        from dask.distributed import LocalCluster

        count = int(rest) if rest else os.cpu_count() or 1
        return LocalCluster(n_workers=count, threads_per_worker=1, memory_limit=0, dashboard_address=":0")
    return _slurm(Path(rest) if rest else None)


def _slurm(path: Path | None) -> Any:
    """Start workers as jobs: the keys of the file are those of dask_jobqueue's SLURMCluster, and ``jobs``."""
    try:
        from dask_jobqueue import SLURMCluster
    except ModuleNotFoundError as fault:
        raise InputError(f"--dask slurm needs {fault.name}: pip install 'cellzoo[cluster]'") from None
    try:
        settings = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise InputError(f"{path} cannot be read as TOML ({fault}): see docs/large-volumes.md") from None
    jobs = settings.pop("jobs", 1)
    ours = {"processes": 1, "cores": 1, "memory": "16GB", "worker_extra_args": WORKER}
    started = SLURMCluster(**{**ours, **settings})
    started.scale(jobs=jobs)
    return started


def _spread(client: Any, work: Work, numbers: Iterable[int]) -> Iterator[Outcome]:
    """Hand out pieces, a few for each worker at a time; one whose workers die three times has failed."""
    from dask.distributed import as_completed

    waiting = iter(numbers)
    futures = as_completed(loop=client.loop)
    which: dict[str, int] = {}

    def fill() -> None:
        """Keep all workers busy, those too that came later."""
        room = AHEAD * max(1, len(client.nthreads())) - len(which)
        for number in islice(waiting, max(room, 0)):
            future = client.submit(tried, work, number, pure=False, retries=0)
            which[future.key] = number
            futures.add(future)

    fill()
    for future in futures:
        if future.cancelled():
            raise InputError("the scheduler is gone: give the command again; what is done stays")
        number = which.pop(future.key)
        fill()
        fault = future.exception()
        if isinstance(fault, InputError):  # of a full disk: all stop
            raise fault
        yield future.result() if fault is None else Outcome(number, fault=in_one_line(fault))
