"""What tracking leaves on the disk: labels that keep their numbers, a table, the challenge's list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from zoo.data.io import Stack
from zoo.data.write import atomic
from zoo.errors import InputError
from zoo.evaluate.criteria import write_records
from zoo.evaluate.report import Case
from zoo.fusion.tracks import Tracks, link, relabel
from zoo.results import Segment, Spacing, Target, Watched, write_results
from zoo.wording import counted


@dataclass(frozen=True, slots=True)
class TrackedTarget(Target):
    """The files that one time series' results go to; ``labels`` are numbered by track."""

    @property
    def tracks(self) -> Path:
        """The tracks, one a row."""
        return self.folder / f"{self.stem}_tracks.csv"

    @property
    def res_track(self) -> Path:
        """The tracks as the Cell Tracking Challenge lists them."""
        return self.folder / f"{self.stem}_res_track.txt"

    def files(self) -> tuple[Path, ...]:
        """All that may be written."""
        return *Target.files(self), self.tracks, self.res_track


@dataclass(frozen=True, slots=True)
class Track:
    """One row of the table of tracks.

    Parameters
    ----------
    track
        Its number, the label of its objects.
    parent
        The track that it comes from, 0 where none is known.
    begin, end
        Numbers of its first and of its last frame.
    frames
        In how many frames it is.
    path_um, displacement_um
        Length of the way of its centre, and from the first place straight to the last.
    """

    track: int
    parent: int
    begin: int
    end: int
    frames: int
    path_um: float
    displacement_um: float


def write_tracked(
    stack: Stack, spacing: Spacing, segment: Segment, target: TrackedTarget, watched: Watched = iter
) -> Iterator[Case]:
    """Segment the frames of a time series, link what is found, and write it with the numbers of the tracks.

    All frames' labels and maps are held until the last one is there: the first can be numbered only then.

    Parameters
    ----------
    stack, spacing, segment, target, watched
        As for `zoo.results.write_results`.

    Yields
    ------
    Case
        One a frame, for the report; the first one's notes tell what was found.

    Raises
    ------
    InputError
        If the stack is no time series.
    """
    if not stack.series:
        raise InputError("has no time axis, so there is nothing to track: leave out --track")
    results = [segment(frame) for frame in watched(stack.frames)]
    tracks = link((result.labels for result in results), spacing)
    results[0] = replace(results[0], notes=(describe(tracks), *results[0].notes))
    numbered = (
        replace(result, labels=labels)
        for result, labels in zip(
            results, relabel((result.labels for result in results), tracks), strict=True
        )
    )
    write_tracks(target, tracks, stack.times)  # the labels are last: by them --resume takes all for done
    yield from write_results(stack, spacing, lambda _: next(numbered), target)


def describe(tracks: Tracks) -> str:
    """Say how many tracks and divisions there are."""
    counts = {"track": len(tracks.begins), "division": len(tracks.divisions)}
    return ", ".join(counted(count, noun) for noun, count in counts.items())


def write_tracks(target: TrackedTarget, tracks: Tracks, times: Sequence[int]) -> None:
    """Write the table of tracks and the list of the Cell Tracking Challenge.

    The list has a line `L B E P` a track: its label, the frames of the label image, counted from 0, in which
    it begins and ends, and its parent or 0. The table has the numbers of the frames in their file.

    Parameters
    ----------
    target
        Where to.
    tracks
        What is written.
    times
        Number of each frame in the file that it was taken from.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    numbers = range(1, len(tracks.begins) + 1)
    spans = list(
        zip(numbers, tracks.begins.tolist(), tracks.ends.tolist(), tracks.parents.tolist(), strict=True)
    )
    rows = [
        Track(track, parent, times[begin], times[end], end - begin + 1, float(path), float(displacement))
        for (track, begin, end, parent), path, displacement in zip(spans, *tracks.paths(), strict=True)
    ]
    write_records(target.tracks, [field.name for field in fields(Track)], rows)
    with atomic(target.res_track) as temporary:
        temporary.write_text("".join(f"{t} {b} {e} {p}\n" for t, b, e, p in spans), encoding="ascii")
