"""What a segmentation leaves on the disk: labels, measurements, and its place in the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os.path import abspath
from pathlib import Path

import numpy as np

from zoo.data import io
from zoo.data.io import Stack
from zoo.data.write import smallest_unsigned, write_labels
from zoo.evaluate.criteria import Nucleus, measure, per_frame, plot_over_time, write_criteria, write_frames
from zoo.evaluate.report import Case
from zoo.evaluate.suspicion import rank
from zoo.fusion.depth import depth_of_objects
from zoo.segment import Segmentation

Spacing = tuple[float, float, float]
Segment = Callable[[np.ndarray], Segmentation]
Watched = Callable[[np.ndarray], Iterable[np.ndarray]]
Take = Callable[[str, int, np.ndarray, Segmentation], Case]

_HEADINGS = {
    "volume_um3": "volume (µm³)",
    "mean_probability": "mean probability",
    "centre_probability": "centre probability",
    "sphericity": "sphericity",
    "touches_border": "touches border",
    "mean_intensity": "mean intensity",
    "surface_um2": "surface (µm²)",
    "voxels": "voxels",
    "z_um": "z (µm)",
    "y_um": "y (µm)",
    "x_um": "x (µm)",
}
_COUNTED = ("volume_um3", "mean_probability", "centre_probability", "sphericity")


def stem_of(path: Path) -> str:
    """Return the name that an image's results carry: a file's without its suffixes, a folder's whole."""
    path = Path(abspath(path))  # "." has no name; a link is called as it is, not as what it leads to
    return path.name if path.is_dir() else io.stem_of(path)


@dataclass(frozen=True, slots=True)
class Target:
    """The files that one image's results go to."""

    folder: Path
    stem: str

    @property
    def labels(self) -> Path:
        """The label image, named as the image so that scoring finds its truth."""
        return self.folder / f"{self.stem}.tif"

    @property
    def criteria(self) -> Path:
        """The measurements, a nucleus a row."""
        return self.folder / f"{self.stem}_criteria.csv"

    @property
    def frames(self) -> Path:
        """The sums of each frame of a time series."""
        return self.folder / f"{self.stem}_frames.csv"

    @property
    def over_time(self) -> Path:
        """The plot of a time series."""
        return self.folder / f"{self.stem}_over_time.png"

    def files(self) -> tuple[Path, ...]:
        """All that may be written."""
        return self.labels, self.criteria, self.frames, self.over_time


def write_results(
    stack: Stack, spacing: Spacing, segment: Segment, target: Target, watched: Watched = iter
) -> Iterator[Case]:
    """Segment the frames of a stack, each on its own, and write what comes out.

    Nothing is written before all frames are done and taken.

    Parameters
    ----------
    stack
        Frames (T, Z, Y, X).
    spacing
        Voxel size (z, y, x) in um.
    segment
        Takes a frame, (Z, Y, X).
    target
        Where to.
    watched
        Hands the frames on one by one, and may show how far they are.

    Yields
    ------
    Case
        One a frame, for the report.
    """
    nuclei: list[Nucleus] = []

    def take(name: str, time: int, frame: np.ndarray, result: Segmentation) -> Case:
        found = measure_result(result, spacing, frame, time)
        nuclei.extend(found)
        return make_case(name, frame, spacing, result, found)

    def write() -> None:
        write_criteria(target.criteria, nuclei)
        if stack.series:
            write_frames(target.frames, per_frame(nuclei, stack.times))
            plot_over_time(target.over_time, nuclei, stack.times)

    yield from segment_frames(stack, spacing, segment, target, watched, take, write)


def segment_frames(
    stack: Stack,
    spacing: Spacing,
    segment: Segment,
    target: Target,
    watched: Watched,
    take: Take,
    write: Callable[[], None],
) -> Iterator[Case]:
    """Segment the frames of a stack and write their labels when all are done.

    Parameters
    ----------
    stack, spacing, segment, target, watched
        As for `write_results`.
    take
        Makes the case of a frame, given its name in reports, its number, its image and what came out, with
        labels of the smallest type that holds them.
    write
        Writes what else there is. The labels come after it: where they are, --resume takes all for done.

    Yields
    ------
    Case
        One a frame.
    """
    labels: list[np.ndarray] = []
    for frame, time in zip(watched(stack.frames), stack.times, strict=True):
        name = f"{stack.source.name} frame {time}" if stack.series else stack.source.name
        case = take(name, time, frame, _with_small_labels(segment(frame)))
        labels.append(case.labels)
        yield case
        del case  # its maps, before those of the next frame come
    write()
    write_labels(target.labels, np.stack(labels) if stack.series else labels[0], spacing)


def _with_small_labels(result: Segmentation) -> Segmentation:
    return replace(result, labels=result.labels.astype(smallest_unsigned(int(result.labels.max()))))


def measure_result(result: Segmentation, spacing: Spacing, image: np.ndarray, time: int = 0) -> list[Nucleus]:
    """Measure what was found in an image, (Z, Y, X), and how sure the networks were of it."""
    return measure(result.labels, spacing, image, time, result.probability, result.centres)


def make_case(
    name: str,
    image: np.ndarray,
    spacing: Spacing,
    result: Segmentation,
    nuclei: Sequence[Nucleus],
    truth: np.ndarray | None = None,
    scores: Mapping[str, float] | None = None,
) -> Case:
    """Return one volume's part of the report; the distance transform is added to the steps.

    Parameters
    ----------
    name
        Heading.
    image : (Z, Y, X)
    spacing
        Voxel size (z, y, x) in um.
    result
        Labels and maps of the steps.
    nuclei
        Measurements.
    truth : (Z, Y, X) int
        Where there is one.
    scores
        Metric to value.
    """
    ranked = rank(nuclei)
    told = any(why.reasons for _, why in ranked)
    rows = [
        {
            "nucleus": one.label,
            "suspicion": f"{why.score:.2f}",
            **({"reasons": "; ".join(why.reasons)} if told else {}),
            **_row(one),
        }
        for one, why in ranked
    ]
    return Case(
        name=name,
        image=image,
        spacing=spacing,
        panels=result.panels,
        notes=result.notes,
        layers={**result.layers, "Distance (µm)": partial(depth_of_objects, result.labels, spacing)},
        labels=result.labels,
        truth=truth,
        scores=scores or {},
        nuclei=rows,
        histograms={_HEADINGS[key]: [getattr(one, key) for one in nuclei] for key in _COUNTED},
    )


def _row(nucleus: Nucleus) -> dict[str, object]:
    """Return what was measured for the page; a NaN has no column, there was no network to say."""
    values = ((heading, getattr(nucleus, name)) for name, heading in _HEADINGS.items())
    return {heading: value for heading, value in values if value == value}
