"""What the segmentation of a movie leaves on the disk: masks, and when and where the patch is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from zoo.data.cell import Box
from zoo.data.io import Stack
from zoo.evaluate.overlays import contact_sheet, max_projections
from zoo.evaluate.polarity import Patch, measure_patch, plot_polarity, write_polarity
from zoo.evaluate.report import Case
from zoo.results import Segment, Spacing, Target, Watched, segment_frames
from zoo.segment import Segmentation


@dataclass(frozen=True, slots=True)
class MovieTarget(Target):
    """The files that one movie's results go to; ``labels`` are its masks, 0 and 1."""

    @property
    def polarity(self) -> Path:
        """The measurements, a frame a row."""
        return self.folder / f"{self.stem}_polarity.csv"

    @property
    def plot(self) -> Path:
        """Volume and place of the patch over time."""
        return self.folder / f"{self.stem}_polarity.png"

    def files(self) -> tuple[Path, ...]:
        """All that may be written."""
        return self.labels, self.polarity, self.plot


def write_movie(
    stack: Stack, spacing: Spacing, segment: Segment, target: MovieTarget, watched: Watched = iter
) -> Iterator[Case]:
    """Segment the frames of a movie and write what comes out.

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
    patches: list[Patch] = []

    def mask(frame: np.ndarray) -> Segmentation:
        result = segment(frame)
        return replace(result, labels=(result.labels > 0).astype(np.uint8))

    def take(name: str, time: int, frame: np.ndarray, result: Segmentation) -> Case:
        (probability,) = result.layers.values()
        patches.append(measure_patch(result.labels, spacing, frame, probability, time, patches))
        return mask_case(name, frame, spacing, result, patches[-1])

    def write() -> None:
        write_polarity(target.polarity, patches)
        plot_polarity(target.plot, patches)

    yield from segment_frames(stack, spacing, mask, target, watched, take, write)


def inside(box: Box, segment: Segment) -> Segment:
    """Have the frames of a movie cut to a box before they are segmented.

    Parameters
    ----------
    box
        Of z, y and x.
    segment
        Takes a frame that is cut, (Z, Y, X).

    Returns
    -------
    callable
        Takes whole frames; labels and maps are of their size, and 0 outside of the box.
    """

    def segment_inside(frame: np.ndarray) -> Segmentation:
        def back(part: np.ndarray) -> np.ndarray:
            whole = np.zeros(frame.shape, part.dtype)
            whole[box] = part
            return whole

        result = segment(frame[box])
        return replace(
            result,
            labels=back(result.labels),
            layers={name: back(layer) for name, layer in result.layers.items()},
            probability=None if result.probability is None else back(result.probability),
        )

    return segment_inside


def mask_case(
    name: str,
    image: np.ndarray,
    spacing: Spacing,
    result: Segmentation,
    patch: Patch | None = None,
    truth: np.ndarray | None = None,
    scores: Mapping[str, float] | None = None,
) -> Case:
    """Return one frame's part of the report, with every slice and the projections of its mask.

    Parameters
    ----------
    name
        Heading.
    image : (Z, Y, X)
    spacing
        Voxel size (z, y, x) in um.
    result
        Labels and the map of the probability.
    patch
        Measurements of a patch.
    truth : (Z, Y, X) int
        Where there is one.
    scores
        Metric to value.
    """
    true = None if truth is None else truth > 0
    found = (result.labels > 0).astype(np.uint8)
    return Case(
        name=name,
        image=image,
        spacing=spacing,
        layers=result.layers,
        panels={
            "Largest values along z, y and x": partial(max_projections, image, found, true, spacing),
            "All slices": partial(contact_sheet, image, found, true),
        },
        notes=result.notes,
        labels=found,
        truth=None if true is None else true.astype(np.uint8),
        scores=scores or {},
        nuclei=[] if patch is None or not patch.present else [_row(patch)],
        noun=("patch", "patches"),
    )


def _row(patch: Patch) -> dict[str, object]:
    row = asdict(patch)
    del row["present"]
    return row
