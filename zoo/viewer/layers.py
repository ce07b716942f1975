"""From a layer of napari to a layer of labels, without napari's window: what the widget calls."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo import registry
from zoo.entry import Entry
from zoo.errors import InputError

if TYPE_CHECKING:
    from napari.layers import Image

    from zoo.data.io import Spacing
    from zoo.evaluate.criteria import Nucleus
    from zoo.viewer.process import Networks

LayerData = tuple[np.ndarray, dict[str, Any], str]
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")  # of labels as of image


@dataclass(frozen=True, slots=True)
class Job:
    """An image that can be segmented, and how it shall be.

    Parameters
    ----------
    name
        Of its layer.
    frames : (T, Z, Y, X) or as many (Z, Y, X)
        Arrays of any kind that numpy can read, also lazy ones.
    series
        Whether the layer has a time axis.
    place
        What puts the labels where the image is.
    spacing
        Voxel size (z, y, x) in um.
    entry
        A pipeline.
    weights
        As for :func:`zoo.weights.open_networks`.
    """

    name: str
    frames: Sequence[Any]
    series: bool
    place: Mapping[str, Any]
    spacing: Spacing
    entry: Entry
    weights: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How many steps `run` counts."""
        return 1 + 2 * len(self.frames)


class Step(NamedTuple):
    """How many steps are done, and what comes next."""

    done: int
    following: str


class Result(NamedTuple):
    """The layer of labels, the number of nuclei in it, and what a user should know of."""

    layer: LayerData
    nuclei: int
    notes: tuple[str, ...]


def pipelines() -> list[str]:
    """Name what can be chosen: every entry that makes 3-D labels of an image."""
    return [entry.name for entry in registry.entries() if entry.task == "instances_3d"]


def read_spacing(layer: Image) -> tuple[Spacing | None, str]:
    """Find the voxel size of a layer.

    Parameters
    ----------
    layer
        Its last three axes are (z, y, x).

    Returns
    -------
    spacing : (z, y, x) um or None
        None where the layer does not tell: no unit and a scale of 1, a unit that is no length, or an affine
        transform, which may hide a scale.
    where : str
        Where it is from, or why there is none.
    """
    if layer.ndim < 3:
        return None, "the layer is not 3-D"
    if not np.allclose(layer.affine.affine_matrix, np.eye(layer.ndim + 1)):
        return None, "voxel size unknown, as the layer has an affine transform: type it in"
    scale, units = np.abs(layer.scale[-3:]), layer.units[-3:]
    if all(str(unit) == "pixel" for unit in units):
        if (scale == 1).all():
            return None, "voxel size unknown, as the layer has no scale: type it in"
        factors, where = [1.0, 1.0, 1.0], "from the layer's scale, taken as µm: it has no unit"
    elif all(unit.is_compatible_with("micrometer") for unit in units):
        factors = [float((1 * unit).to("micrometer").magnitude) for unit in units]
        where = "from the layer"
    else:
        return None, f"voxel size unknown, as the layer's units are {', '.join(map(str, units))}: type it in"
    z, y, x = (float(edge) * factor for edge, factor in zip(scale, factors, strict=True))
    return (z, y, x), where


def read_numbers(texts: Sequence[str]) -> Spacing:
    """Read what a user typed as the voxel size (z, y, x) in um; a decimal comma is a point.

    Raises
    ------
    InputError
        If these are not three positive, finite numbers.
    """
    from zoo.data.io import resolve_spacing

    try:
        given = [float(text.replace(",", ".")) for text in texts]
    except ValueError:
        shown = " x ".join(text.strip() or "?" for text in texts)
        raise InputError(f"voxel size {shown}: give three positive numbers, z, y and x in µm") from None
    return resolve_spacing(None, given, given)[0]  # type: ignore[arg-type]


def make_job(layer: Image | None, name: str, spacing: Sequence[str], weights: Mapping[str, str]) -> Job:
    """Check what can be told of an image and of weights before any work.

    Parameters
    ----------
    layer
        (Z, Y, X), or (T, Z, Y, X) for a time series.
    name
        Of the pipeline.
    spacing
        Voxel size (z, y, x) in um, as typed.
    weights
        Part of the pipeline to run folder; empty for the default.

    Raises
    ------
    InputError
        Where there is no layer, or it is 2-D, RGB, multiscale, no image or too large for the memory; where
        weights are missing; or what was typed is no voxel size.
    """
    from zoo.data.io import check_type
    from zoo.data.memory import check_fits
    from zoo.weights import find_runs

    if layer is None:
        raise InputError("there is no image layer: open a 3-D image, or File > Open Sample > cellzoo")
    path = Path(layer.name)  # of files, in the messages of readers
    if layer.rgb:
        raise InputError(f"{path} is RGB: give one channel, as a grey (z, y, x) image")
    if layer.multiscale:
        raise InputError(f"{path} is multiscale: open one of its levels as a layer, or use 'zoo predict'")
    shape = tuple(layer.data.shape)
    if layer.ndim not in (3, 4):
        raise InputError(
            f"{path} has {layer.ndim} dimensions {shape}: give one channel as (z, y, x) or (t, z, y, x)"
        )
    if layer.ndim == 4 and str(layer.axis_labels[0]).lower() in ("c", "ch", "channel"):
        raise InputError(f"{path} has {shape[0]} channels: split it (right click, Split Stack), take one")
    if 0 in shape or shape[-3] < 2:
        raise InputError(f"{path} has the shape {shape}: a 3-D stack of at least 2 planes is needed")
    check_type(np.dtype(layer.data.dtype), path, "iuf", "an image")
    check_fits(shape, np.dtype(np.int32), path)  # its labels
    entry = registry.get(name)
    given = tuple(f"{part}={run}" for part, run in weights.items() if run)
    find_runs(entry, given)
    series = layer.ndim == 4
    place = {key: getattr(layer, key) for key in PLACE}
    um = read_numbers(spacing)
    return Job(layer.name, layer.data if series else [layer.data], series, place, um, entry, given)


def run(job: Job, networks: Networks) -> Generator[Step, None, Result]:
    """Have the frames segmented and measured, each on its own; the process ends with it.

    Raises
    ------
    InputError
        Where weights cannot be read, or a frame is constant, or has NaN or infinity.
    """
    found: list[np.ndarray] = []
    nuclei: list[Nucleus] = []
    notes: dict[str, None] = {}  # most are of all frames
    try:
        yield Step(0, "loading networks")
        networks.receive()
        for time, lazy in enumerate(job.frames):
            where = f" frame {time}" if job.series else ""
            yield Step(1 + 2 * time, f"segmenting{where}")
            networks.send((f"{job.name}{where}", time, np.asarray(lazy)))
            networks.receive()
            yield Step(2 + 2 * time, f"measuring{where}")
            labels, measured, told = networks.receive()
            top = nuclei[-1].label if nuclei else 0  # numbers go on over frames: each is one row of the table
            found.append(np.where(labels > 0, labels + top, 0))
            nuclei += [replace(nucleus, label=nucleus.label + top) for nucleus in measured]
            notes.update(dict.fromkeys(told))
    finally:
        networks.end()
    return Result(_make_layer(job, found, nuclei), len(nuclei), tuple(notes))


def _make_layer(job: Job, labels: Sequence[np.ndarray], nuclei: Sequence[Nucleus]) -> LayerData:
    from zoo.data.write import smallest_unsigned
    from zoo.evaluate.criteria import Nucleus
    from zoo.provenance import versions
    from zoo.weights import describe_weights

    kind = smallest_unsigned(nuclei[-1].label if nuclei else 0)
    data = np.stack(labels).astype(kind) if job.series else labels[0].astype(kind)
    rows = [asdict(nucleus) for nucleus in nuclei]
    columns = [column for column in Nucleus.__dataclass_fields__ if column != "frame" or job.series]
    # napari looks for the row of a label in the column 'index'
    features = {
        "index" if column == "label" else column: np.array([row[column] for row in rows])
        for column in columns
    }
    made = {"model": job.entry.name, "spacing_um": job.spacing, **describe_weights(job.entry, job.weights)}
    told = {"name": f"{job.name} nuclei", "features": features, "metadata": made | versions(), **job.place}
    return data, told, "labels"


def sample_embryo() -> list[LayerData]:
    """Make napari's sample: a synthetic embryo of 16 nuclei, (51, 128, 128), at its voxel size in um."""
    from zoo.data.phantom import embryo

    made = embryo()
    told = {"name": "synthetic embryo", "scale": made.spacing, "units": "um"}
    return [(made.image, told, "image")]
