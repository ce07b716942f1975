"""The report: one HTML file with what was run, the scores, and every step of each volume in pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.write import NAMES, atomic
from zoo.errors import InputError
from zoo.evaluate import histograms, mosaic, page, pictures, suspicion, viewer

MAX_PICTURED = 12
"""Cases that get pictures: more would make a file that mail and browsers take badly."""

Array = np.ndarray[Any, Any]
Shown = Array | Callable[[], Array]  # or what makes it, called when it is painted and only then


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One volume on its way from the stack to labels.

    Parameters
    ----------
    name
        What the page calls it, such as the file's name.
    image
        (Z, Y, X) intensities.
    spacing
        Voxel size (z, y, x) in um.
    layers
        The steps between image and labels in their order, by name: (Z, Y, X) maps at or above 0, shown from 0
        to 1, or to their largest value where that is above 1; of uint8, 255 stands for 1. Or a function that
        makes one: it is not called for a case that gets no pictures.
    panels
        Further pictures by caption, (H, W, 3) uint8 each or a function, shown under the steps as they are.
    notes
        What a reader should know of.
    labels
        (Z, Y, X) integer labels of the result, 0 is background.
    truth
        (Z, Y, X) integer labels to compare with, where there are any.
    scores
        The volume's scores by metric.
    nuclei
        Rows of the table of objects in their order, each with the same columns; the first column names the
        object. Where it is called as `noun` calls one, it is its label, and the slice viewer finds it.
    histograms
        A value an object by caption, to be drawn where there are enough.
    noun
        What an object is called, one and several of them.

    Raises
    ------
    InputError
        If the image is not 3-D, another array has another shape, or a panel is no picture.
    """

    name: str
    image: Array
    spacing: mosaic.Spacing
    layers: Mapping[str, Shown] = field(default_factory=dict)
    panels: Mapping[str, Shown] = field(default_factory=dict)
    notes: Sequence[str] = ()
    labels: Array
    truth: Array | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    nuclei: Sequence[Mapping[str, object]] = ()
    histograms: Mapping[str, Sequence[float]] = field(default_factory=dict)
    noun: tuple[str, str] = ("nucleus", "nuclei")

    def count(self, number: int) -> str:
        """Say a number of objects."""
        one, several = self.noun
        return f"1 {one}" if number == 1 else f"{number} {several}"

    def __post_init__(self) -> None:
        mosaic.check_volume(self.image)
        for name, array in {"labels": self.labels, "truth": self.truth, **self.layers}.items():
            if isinstance(array, np.ndarray):
                self._check_shape(name, array)
        for name, panel in self.panels.items():
            if isinstance(panel, np.ndarray):
                self._check_picture(name, panel)

    def layer(self, name: str) -> Array:
        """Return a layer, made now where it is not there."""
        layer = self.layers[name]
        return layer if isinstance(layer, np.ndarray) else self._check_shape(name, layer())

    def panel(self, name: str) -> Array:
        """Return a panel, painted now where it is not there."""
        panel = self.panels[name]
        return panel if isinstance(panel, np.ndarray) else self._check_picture(name, panel())

    def _check_shape(self, name: str, array: Array) -> Array:
        if array.shape != self.image.shape:
            raise InputError(
                f"{name} of {self.name} (shape {array.shape}) must have the shape of its image, "
                f"{self.image.shape}: give the same volume's"
            )
        return array

    def _check_picture(self, name: str, panel: Array) -> Array:
        if panel.ndim != 3 or panel.shape[2] != 3 or panel.dtype != np.uint8 or panel.size == 0:
            raise InputError(
                f"panel {name} of {self.name} (shape {panel.shape}, {panel.dtype}) must be a picture, "
                "(height, width, 3) uint8: paint it first"
            )
        return panel


def write_report(
    path: Path,
    *,
    title: str,
    cases: Iterable[Case],
    settings: Mapping[str, str],
    tables: Mapping[str, page.Table] | None = None,
) -> Path:
    """Write the report of a run as one HTML file with its pictures inside.

    Parameters
    ----------
    path
        The file to write; replaced in one go, when the page is complete.
    title
        Heading of the page.
    cases
        The volumes. They are taken one at a time, so that a generator need hold only one in memory. The first
        `MAX_PICTURED` are shown in pictures, of the others the page gives name, counts and scores.
    settings
        What was run: command, weights, parameters, versions.
    tables
        Score tables by caption: header and rows. Read after the last case, so it may be filled till then.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    pictured: list[str] = []
    thumbnails: list[tuple[str, Array]] = []
    others: list[tuple[str, int, Mapping[str, float]]] = []
    for case in cases:  # not by enumerate, which holds on to what it gave last
        if len(pictured) < MAX_PICTURED:
            section, thumbnail = _case_section(len(pictured) + 1, case)
            pictured.append(section)
            thumbnails.append((case.name, thumbnail))
        else:
            others.append((case.name, _count(case.labels), case.scores))
        del case  # its arrays, before the next one is made
    body = [
        f'<header><div class="kind">Segmentation report</div><h1>{escape(title)}</h1></header>',
        _run_section(settings),
        _score_section(tables or {}),
        _overview(thumbnails),
        *pictured,
        _others_section(others),
        _footer(),
    ]
    with (
        atomic(path) as unfinished,
        unfinished.open("w", encoding="utf-8", errors=NAMES, newline="\n") as file,
    ):
        file.writelines(page.page(title, filter(None, body)))
    return path


def _run_section(settings: Mapping[str, str]) -> str:
    return f"<section><h2>What was run</h2>{page.terms('settings', settings)}</section>" if settings else ""


def _score_section(tables: Mapping[str, page.Table]) -> str:
    made = [page.table(caption, header, rows) for caption, (header, rows) in tables.items()]
    return f"<section><h2>Scores</h2>{''.join(made)}</section>" if made else ""


def _overview(thumbnails: Sequence[tuple[str, Array]]) -> str:
    """Show the labels of all pictured cases in one picture, with links to each; nothing for a single case."""
    if len(thumbnails) < 2:
        return ""
    sheet = mosaic.contact_sheet([thumbnail for _, thumbnail in thumbnails])
    text = "Labels of all volumes below, seen from above, in reading order"
    links = (f'<a href="#case-{number}">{escape(name)}</a>' for number, (name, _) in enumerate(thumbnails, 1))
    return (
        f"<section><h2>All at a glance</h2>{page.image(pictures.png(sheet), text, 'sheet')}"
        f'<p class="soft">{text}: {", ".join(links)}.</p></section>'
    )


def _others_section(others: Sequence[tuple[str, int, Mapping[str, float]]]) -> str:
    if not others:
        return ""
    metrics = list(dict.fromkeys(metric for _, _, scores in others for metric in scores))
    rows = [(name, found, *(scores.get(metric) for metric in metrics)) for name, found, scores in others]
    return (
        "<section><h2>Volumes without pictures</h2>"
        f"<p>Pictures are made of the first {MAX_PICTURED} volumes. {len(others)} more were run:</p>"
        f"{page.table('', ['volume', 'found', *metrics], rows)}</section>"
    )


def _footer() -> str:
    return (
        "<footer><p>How to read the pictures: each is a mosaic of three views in true proportions, xy at the "
        "top left, zy to its right (z runs to the right) and xz below (z runs down). The input is shown from "
        "its 1st to its 99.8th percentile. Projections of maps show the largest value along the line of "
        "sight, projections of labels the first nucleus met. Where truth and labels are compared, the "
        "projections compare silhouettes, the slices single voxels. A label number has the "
        "same colour everywhere; truth and labels are numbered apart, so the colours of one nucleus need not "
        f"agree.</p><p>{escape(suspicion.HOW)}</p></footer>"
    )


def _case_section(number: int, case: Case) -> tuple[str, Array]:
    """Make the section of one case, and its labels seen from above as a thumbnail."""
    height, width = mosaic.xy_pane(case.image.shape, case.spacing)
    bar = pictures.bar_length(case.image.shape[2] * case.spacing[2])
    at = mosaic.busiest_voxel(case.labels if case.truth is None else case.truth)
    pixels = round(bar / mosaic.pixel_size(case.image.shape, case.spacing))
    draw = _Draw(case, at, height, pixels, *pictures.grey_levels(case.image))
    labels = draw.views(case.labels, mosaic.first_label)
    parts = [
        f'<section id="case-{number}"><div class="kind">Volume</div><h2>{escape(case.name)}</h2>',
        f"<p>{_facts(case)}</p>",
        *(f"<p>Note: {escape(note)}.</p>" for note in case.notes),
        page.terms("scores", case.scores) if case.scores else "",
        f'<p class="soft">Above: projections along z, x and y. Below: slices at z {at[0]}, y {at[1]} and '
        f"x {at[2]}, the fullest ones. White bar: {bar:g} µm.</p>",
        draw.steps(labels),
        _panels(case),
        draw.result(labels),
        _objects(number, case, draw.levels, at[0]),
        "</section>",
    ]
    return "\n".join(filter(None, parts)), pictures.colour_labels(labels[0][:height, :width])


def _facts(case: Case) -> str:
    size = " × ".join(str(count) for count in case.image.shape)
    voxel = " × ".join(f"{step:.3g}" for step in case.spacing)
    truth = "" if case.truth is None else f"; the truth has {_count(case.truth)}"
    return f"{size} voxels (z, y, x) of {voxel} µm. Found {case.count(_count(case.labels))}{truth}."


def _count(labels: Array) -> int:
    return int(np.count_nonzero(np.unique(labels)))


def _panels(case: Case) -> str:
    if not case.panels:
        return ""
    # a step is a caption over two pictures, a panel over one
    figures = (
        f'<figure style="grid-row: span 2"><figcaption><b>{escape(name)}</b></figcaption>'
        f"{page.image(pictures.png(case.panel(name)), f'{name} of {case.name}')}</figure>"
        for name in case.panels
    )
    # three in a row: narrower than they are made, they would lose the thinnest lines
    return f'<div class="steps" style="--columns: 3; margin-top: 1.6rem">{"".join(figures)}</div>'


def _objects(number: int, case: Case, levels: Array, start: int) -> str:
    """Show the slices, and beside them what was measured on each object."""
    heading = f"Measurements of {case.count(len(case.nuclei))}" if case.nuclei else "Slices"
    slices = viewer.make_viewer(
        number, case.name, levels, case.labels, case.truth, case.spacing, start, case.noun[0]
    )
    drawn = "".join(histograms.draw(name, values) for name, values in case.histograms.items())
    counted = f'<div class="histograms">{drawn}</div>' if drawn else ""
    table = viewer.objects_table(number, case.nuclei, case.noun[0]) if case.nuclei else ""
    # without a script there is nothing below a heading that only the viewer asks for
    hidden = "" if case.nuclei else " hidden"
    measured = f'<div class="measured">{counted}{table}</div>' if case.nuclei else ""
    return f'<h3{hidden}>{heading}</h3><div class="inspect">{slices}{measured}</div>'


@dataclass(frozen=True, slots=True)
class _Draw:
    """The figures of one case: every picture is a pair, projections and slices, of one size."""

    case: Case
    at: tuple[int, int, int]
    height: int
    bar_pixels: int
    levels: Array
    ends: tuple[float, float]

    def views(
        self, volume: Array, project: Callable[[Array, int], Array] = mosaic.max_projection
    ) -> tuple[Array, Array]:
        spacing = self.case.spacing
        projections = mosaic.orthogonal_projections(volume, spacing, project)
        return projections, mosaic.orthogonal_slices(volume, spacing, self.at)

    def figure(self, name: str, key: str, painted: Iterable[Array]) -> str:
        inside = mosaic.orthogonal_slices(np.broadcast_to(np.True_, self.case.image.shape), self.case.spacing)
        made = (
            page.image(
                pictures.png(pictures.add_scale_bar(picture, self.height, self.bar_pixels), inside),
                f"{name} of {self.case.name}: {view}, xy, zy and xz",
            )
            for view, picture in zip(("projections", "slices"), painted, strict=True)
        )
        caption = f"<figcaption><b>{escape(name)}</b>{key}</figcaption>"
        return f"<figure>{caption}{''.join(made)}</figure>"

    def steps(self, labels: tuple[Array, Array]) -> str:
        """Show input, layers, labels and truth side by side."""
        case = self.case
        painted = (pictures.GREY[view] for view in self.views(self.levels))
        figures = [self.figure("Input", page.scale("grey", self.ends), painted)]
        for name in case.layers:
            levels, ends = pictures.map_levels(case.layer(name))
            painted = (pictures.VIRIDIS[view] for view in self.views(levels))
            figures.append(self.figure(name, page.scale("map", ends), painted))
        shown = {"Labels": labels}
        if case.truth is not None:
            shown["Truth"] = self.views(case.truth, mosaic.first_label)
        figures += [
            self.figure(name, "", (pictures.colour_labels(view) for view in views))
            for name, views in shown.items()
        ]
        columns = min(max(4, len(figures)), 6)
        return f'<div class="steps" style="--columns: {columns}">{"".join(figures)}</div>'

    def result(self, labels: tuple[Array, Array]) -> str:
        """Show the labels' outlines on the input and, with a truth, where they differ from it."""
        greys = self.views(self.levels)
        outlined = (pictures.outline(grey, view) for grey, view in zip(greys, labels, strict=True))
        figures = [self.figure("Outlines of the labels on the input", "", outlined)]
        if self.case.truth is not None:
            truth = self.views(self.case.truth, mosaic.first_label)
            compared = (pictures.overlay(*views) for views in zip(truth, labels, greys, strict=True))
            legend = page.legend(
                {
                    "purple: missed (truth only)": pictures.MISSED,
                    "green: extra (labels only)": pictures.EXTRA,
                    "grey: both": pictures.BOTH,
                }
            )
            figures.append(self.figure("Truth and labels", legend, compared))
        return f'<div class="result">{"".join(figures)}</div>'
