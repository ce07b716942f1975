"""Data sets on the disk, recognised by their layout, and the built-in synthetic embryos."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data import io, phantom
from zoo.data.targets import markers_from_labels
from zoo.errors import InputError

BBBC050_UM = (1.75, 0.8, 0.8)  # stated by the paper; its files hold no voxel size
LAYOUTS = """a data set is a folder with
  Images/ and GroundTruth_QCANet/ [GroundTruth_NSN/ GroundTruth_NDN/]   (BBBC050), or
  images_raw/ and images_nsn/ [images_ndn/ split_list/]                 (QCANet), or
  images/ and labels/, files of one name                                (pairs), or
  01/t000.tif and 01_GT/SEG/man_seg000.tif                              (Cell Tracking Challenge)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One image with its truth.

    Parameters
    ----------
    name, group
        ``Emb01_t001`` and the embryo, file group or sequence it belongs to, ``Emb01``.
    image : (Z, Y, X)
    labels : (Z, Y, X) int
        Instances, 0 is background.
    mask, markers : (Z, Y, X) bool
        Nucleus voxels and centre markers.
    spacing
        Voxel size (z, y, x) in um.
    """

    name: str
    group: str
    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    markers: np.ndarray
    spacing: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A volume that is read when it is asked for.

    Parameters
    ----------
    name, group
        As in :class:`Volume`.
    load
        Reads or makes the volume.
    """

    name: str
    group: str
    load: Callable[[], Volume]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Samples, and how they are told apart.

    Parameters
    ----------
    layout
        ``BBBC050``, ``QCANet``, ``pairs``, ``Cell Tracking Challenge`` or ``synthetic``.
    samples
        In order of their names.
    validation
        Names of the samples that the data set's own split keeps for validation; empty where it has none.
    """

    layout: str
    samples: tuple[Sample, ...]
    validation: frozenset[str] = frozenset()

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in order."""
        return tuple(sorted({sample.group for sample in self.samples}))

    def only(self, groups: Sequence[str]) -> DataSet:
        """Keep the samples of some groups; a group that is not there is an error."""
        self._check(groups)
        kept = tuple(s for s in self.samples if s.group in groups)
        return DataSet(layout=self.layout, samples=kept, validation=self.validation)

    def without(self, groups: Sequence[str]) -> DataSet:
        """Leave the samples of some groups out; a group that is not there is an error."""
        self._check(groups)
        return self.only([group for group in self.groups if group not in groups])

    def _check(self, groups: Sequence[str]) -> None:
        missing = sorted(set(groups) - set(self.groups))
        if missing:
            raise InputError(
                f"no embryo or group {', '.join(missing)} in the data set; it has {', '.join(self.groups)}"
            )


def find(root: Path, spacing: tuple[float, float, float] | None = None) -> DataSet:
    """Recognise a data set's layout and list its samples; nothing is read yet.

    Parameters
    ----------
    root
        The folder.
    spacing
        Voxel size (z, y, x) in um, before what the files or the data set's paper say.

    Raises
    ------
    InputError
        Where the folder is missing, of no known layout, or a truth is missing for an image.
    """
    if not root.is_dir():
        raise InputError(f"data set {root} is not a folder; {LAYOUTS}")
    for recognise in (_bbbc050, _qcanet, _pairs, _tracking):
        dataset = recognise(root, spacing)
        if dataset is not None:
            return dataset
    raise InputError(f"{root} has no layout that is known; {LAYOUTS}")


def synthetic(embryos: int = 12, seed: int = 0) -> DataSet:
    """Return the built-in synthetic embryos, made as they are asked for.

    Parameters
    ----------
    embryos
        How many; the number of nuclei goes through 2, 4, 8, 12, 16, 24.
    seed
        Embryo ``i`` is made with ``seed + i``; samples are groups of their own.
    """
    counts = (2, 4, 8, 12, 16, 24)

    def make(index: int) -> Volume:
        made = phantom.embryo(seed + index, nuclei=counts[index % len(counts)])
        return Volume(
            name=f"synthetic{seed + index:02d}",
            group=f"synthetic{seed + index:02d}",
            image=made.image,
            labels=made.labels,
            mask=made.mask,
            markers=made.markers,
            spacing=made.spacing,
        )

    return DataSet(
        layout="synthetic",
        samples=tuple(
            Sample(name=f"synthetic{seed + i:02d}", group=f"synthetic{seed + i:02d}", load=lambda i=i: make(i))
            for i in range(embryos)
        ),
    )


def _bbbc050(root: Path, spacing: tuple[float, float, float] | None) -> DataSet | None:
    if not (root / "Images").is_dir() or not (root / "GroundTruth_QCANet").is_dir():
        return None
    given = spacing or BBBC050_UM
    found = []
    for image, labels in _match(root / "Images", root / "GroundTruth_QCANet"):
        files = {"labels": labels}
        for kind, folder in (("mask", "GroundTruth_NSN"), ("markers", "GroundTruth_NDN")):
            if (root / folder).is_dir():
                files[kind] = _one(root / folder, image.name)
        found.append(_sample(image, group=image.stem.split("_")[0], spacing=given, **files))
    return DataSet(layout="BBBC050", samples=tuple(found))


def _qcanet(root: Path, spacing: tuple[float, float, float] | None) -> DataSet | None:
    if not (root / "images_raw").is_dir() or not (root / "images_nsn").is_dir():
        return None
    given = spacing or BBBC050_UM
    found = []
    for image, mask in _match(root / "images_raw", root / "images_nsn"):
        files = {"mask": mask}
        if (root / "images_ndn").is_dir():
            files["markers"] = _one(root / "images_ndn", image.name)
        found.append(_sample(image, group=image.stem, spacing=given, **files))
    listed = root / "split_list" / "validation.txt"
    kept = {Path(line).stem for line in listed.read_text().split()} if listed.is_file() else set()
    return DataSet(layout="QCANet", samples=tuple(found), validation=frozenset(kept))


def _pairs(root: Path, spacing: tuple[float, float, float] | None) -> DataSet | None:
    if not (root / "images").is_dir() or not (root / "labels").is_dir():
        return None
    found = [
        _sample(image, group=_group(image.stem), spacing=spacing, labels=labels)
        for image, labels in _match(root / "images", root / "labels")
    ]
    return DataSet(layout="pairs", samples=tuple(found))


def _tracking(root: Path, spacing: tuple[float, float, float] | None) -> DataSet | None:
    sequences = sorted(p for p in root.glob("[0-9][0-9]") if (root / f"{p.name}_GT" / "SEG").is_dir())
    if not sequences:
        return None
    found = []
    for sequence in sequences:
        truths = sorted((root / f"{sequence.name}_GT" / "SEG").glob("man_seg*.tif"))
        for labels in truths:
            number = labels.stem.removeprefix("man_seg").lstrip("_")
            if number.isdigit():  # man_seg_000_010 annotates a single slice: no truth for a volume
                image = _one(sequence, f"t{number}.tif")
                found.append(
                    _sample(
                        image,
                        name=f"{sequence.name}_{image.stem}",
                        group=sequence.name,
                        spacing=spacing,
                        labels=labels,
                    )
                )
    if not found:
        raise InputError(f"{root} holds no whole annotated volume (man_seg000.tif); slices alone do not do")
    return DataSet(layout="Cell Tracking Challenge", samples=tuple(found))


def _group(stem: str) -> str:
    """Return a name without its time point, ``mouse_3`` for ``mouse_3_t012``; splits never part a group."""
    return re.sub(r"[_-]?(?:t|time|frame)\d+$", "", stem, flags=re.IGNORECASE) or stem


def _match(images: Path, truths: Path) -> list[tuple[Path, Path]]:
    by_stem = {path.stem: path for path in io.list_images([images])}
    truth_by_stem = {path.stem: path for path in io.list_images([truths])}
    lonely = [f"{images.name}/{s}" for s in sorted(by_stem.keys() - truth_by_stem.keys())]
    lonely += [f"{truths.name}/{s}" for s in sorted(truth_by_stem.keys() - by_stem.keys())]
    if lonely:
        raise InputError(
            f"{len(lonely)} files of {images.parent} have no partner of the same name in the other folder: "
            f"{', '.join(lonely[:10])}{' ...' if len(lonely) > 10 else ''}; add the partners or move these away"
        )
    return [(by_stem[stem], truth_by_stem[stem]) for stem in sorted(by_stem)]


def _one(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path} is missing: each image needs a file of its name there, or remove the folder")
    return path


def _sample(
    image: Path,
    *,
    group: str,
    spacing: tuple[float, float, float] | None,
    name: str | None = None,
    labels: Path | None = None,
    mask: Path | None = None,
    markers: Path | None = None,
) -> Sample:
    name = name or image.stem

    def load() -> Volume:
        stack = io.read_image(image)
        truth = _first(io.read_labels(labels or mask), image)
        instances = truth if labels else _instances(truth)
        _same_shape(image, stack.frames[0], labels or mask, truth)
        own_mask = _first(io.read_labels(mask), image) > 0 if mask else instances > 0
        own_markers = _first(io.read_labels(markers), image) > 0 if markers else markers_from_labels(instances)
        for path, array in ((mask, own_mask), (markers, own_markers)):
            _same_shape(image, stack.frames[0], path, array)
        um, _ = io.resolve_spacing(stack.spacing, spacing, (1.0, 1.0, 1.0))
        return Volume(
            name=name,
            group=group,
            image=_first(stack, image),
            labels=instances,
            mask=own_mask,
            markers=own_markers,
            spacing=um,
        )

    return Sample(name=name, group=group, load=load)


def _first(stack: io.Stack, path: Path) -> np.ndarray:
    if len(stack.frames) != 1:
        raise InputError(f"{path} holds {len(stack.frames)} frames: a data set's files hold one volume each")
    return stack.frames[0]


def _same_shape(image: Path, array: np.ndarray, path: Path | None, other: np.ndarray) -> None:
    if array.shape != other.shape:
        raise InputError(f"{path} (shape {other.shape}) must have the shape of {image}, {array.shape}")


def _instances(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label  # slow to import

    return label(mask > 0, connectivity=1)
