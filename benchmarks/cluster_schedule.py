"""Steps of pieces, done by workers that share a file system, hand-out by one, and die: a simulation.

A piece moves its bytes over a file system that all share evenly, then computes. The one who hands out takes
some time for each piece, and keeps `AHEAD` pieces a worker handed out. Workers die while they compute; the
next free one does their piece again.
"""

from __future__ import annotations

import heapq
import math
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from zoo.blocks.cluster import AHEAD

MOST_DEATHS = 3  # Dask's distributed.scheduler.allowed-failures: one more and the piece has failed
START, END, DEATH, FREE = range(4)


@dataclass(frozen=True)
class Step:
    """Pieces of one kind: how many, bytes and seconds of a process for all of them."""

    name: str
    pieces: int
    read: float
    written: float
    seconds: float
    gpu: float = 0.0  # of the seconds, those on the GPU
    again: float = 0.0  # of the seconds, those that decode what was decoded before
    alone: bool = False  # one process does it, whatever the others do

    @property
    def moved(self) -> float:
        """Bytes a piece."""
        return (self.read + self.written) / self.pieces


@dataclass(frozen=True)
class Cluster:
    """Who does the pieces, and what goes wrong."""

    workers: int
    bandwidth: float
    link: float
    overhead: float
    spread: float
    lifetime: float  # seconds, mean; 0: for ever
    restart: float
    seed: int


@cache
def simulate(step: Step, cluster: Cluster) -> tuple[float, int, int]:
    """Return the seconds of a step, deaths, and pieces that failed."""
    if step.alone:
        return step.pieces * step.moved / min(cluster.link, cluster.bandwidth) + step.seconds, 0, 0
    return _Schedule(step, cluster).play()


class _Schedule:
    """A step that is under way."""

    def __init__(self, step: Step, cluster: Cluster) -> None:
        self.step, self.cluster = step, cluster
        self.rng = np.random.default_rng([cluster.seed, zlib.crc32(step.name.encode()), cluster.workers])
        spread = self.rng.lognormal(-(cluster.spread**2) / 2, cluster.spread, step.pieces)
        self.service = (step.seconds / step.pieces * spread).tolist()
        self.handed = min(step.pieces, AHEAD * cluster.workers)
        self.ready = deque((i * cluster.overhead, i) for i in range(self.handed))  # when each is handed out
        self.driver = self.handed * cluster.overhead  # until then it is busy
        self.events = [(0.0, FREE, -1)] * cluster.workers  # when, what, piece
        self.flows: deque[tuple[float, int]] = deque()  # each moves as much, so the first to start ends first
        self.idle, self.left, self.deaths, self.failed = 0, step.pieces, 0, 0
        self.died = [0] * step.pieces

    def play(self) -> tuple[float, int, int]:
        """Go from event to event; return the seconds, deaths, and pieces that failed."""
        now = served = 0.0  # bytes that a flow since the beginning would have got
        while self.left:
            rate = min(self.cluster.link, self.cluster.bandwidth / max(len(self.flows), 1))
            ends = now + (self.flows[0][0] - served) / rate if self.flows else math.inf
            if not self.events or ends <= self.events[0][0]:
                now, (served, piece) = ends, self.flows.popleft()
                self.compute(now, piece)
                continue
            at, what, piece = heapq.heappop(self.events)
            served, now = served + rate * (at - now), at
            if what == START:
                self.flows.append((served + self.step.moved, piece))
            else:
                self.follow(now, what, piece)
        return max(now, self.driver), self.deaths, self.failed

    def compute(self, now: float, piece: int) -> None:
        """Begin what comes after the bytes; tell whether the worker lives to its end."""
        mean, takes = self.cluster.lifetime, self.service[piece]
        alive = self.rng.exponential(mean) if mean else math.inf
        heapq.heappush(self.events, (now + min(alive, takes), DEATH if alive < takes else END, piece))

    def follow(self, now: float, what: int, piece: int) -> None:
        """Do what an end, a death or a new worker asks for."""
        done = what == END
        if what == DEATH:
            self.deaths, self.died[piece] = self.deaths + 1, self.died[piece] + 1
            heapq.heappush(self.events, (now + self.cluster.restart, FREE, -1))
            done = self.died[piece] > MOST_DEATHS
            self.failed += done
            if not done:
                self.ready.append((now, piece))
        else:
            self.idle += 1
        if done:
            self.left -= 1
            self.driver = max(self.driver, now) + self.cluster.overhead
            if self.handed < self.step.pieces:
                self.ready.append((self.driver, self.handed))
                self.handed += 1
        while self.idle and self.ready:
            when, following = self.ready.popleft()
            heapq.heappush(self.events, (max(now, when), START, following))
            self.idle -= 1


def run(steps: Sequence[Step], cluster: Cluster) -> tuple[list[float], int, int]:
    """Return the seconds of each step, deaths, and pieces that failed."""
    found = [simulate(step, cluster) for step in steps]
    return [f[0] for f in found], sum(f[1] for f in found), sum(f[2] for f in found)
