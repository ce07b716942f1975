"""Data sets on the disk, recognised by their layout, and the built-in synthetic embryos."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from zoo.data import io, phantom
from zoo.data.targets import markers_from_labels
from zoo.errors import InputError

Spacing = io.Spacing
BBBC050_UM = (1.75, 0.8, 0.8)  # stated by the paper; what is taken where neither file nor user tells
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
    spacing_from
        ``given``, ``metadata`` or ``default`` (:data:`BBBC050_UM`).
    """

    name: str
    group: str
    image: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    markers: np.ndarray
    spacing: Spacing
    spacing_from: str = "given"


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


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a sample; what is missing of the truth is derived from what is there.

    Parameters
    ----------
    image
        Grey values.
    labels, mask, markers
        Truth; without ``labels`` the components of the mask are the instances.
    """

    image: Path
    labels: Path | None = None
    mask: Path | None = None
    markers: Path | None = None

    @property
    def truth(self) -> Path:
        """The file that the instances come from."""
        path = self.labels or self.mask
        assert path is not None, f"{self.image} has no truth"
        return path


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
        names = {sample.name for sample in kept}
        return DataSet(layout=self.layout, samples=kept, validation=self.validation & names)

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


def find(root: Path, spacing: Spacing | None = None) -> DataSet:
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
            name=names[index],
            group=names[index],
            image=made.image,
            labels=made.labels,
            mask=made.mask,
            markers=made.markers,
            spacing=made.spacing,
        )

    names = [f"synthetic{seed + index:02d}" for index in range(embryos)]
    samples = [Sample(name=name, group=name, load=partial(make, i)) for i, name in enumerate(names)]
    return DataSet(layout="synthetic", samples=tuple(samples))


def _bbbc050(root: Path, spacing: Spacing | None) -> DataSet | None:
    if not (root / "Images").is_dir() or not (root / "GroundTruth_QCANet").is_dir():
        return None
    masks, markers = root / "GroundTruth_NSN", root / "GroundTruth_NDN"
    found = []
    for image, labels in _match(root / "Images", root / "GroundTruth_QCANet"):
        files = Files(image, labels=labels, mask=_partner(masks, image), markers=_partner(markers, image))
        found.append(_sample(files, image.stem.split("_")[0], spacing))
    return DataSet(layout="BBBC050", samples=tuple(found))


def _qcanet(root: Path, spacing: Spacing | None) -> DataSet | None:
    if not (root / "images_raw").is_dir() or not (root / "images_nsn").is_dir():
        return None
    found = []
    for image, mask in _match(root / "images_raw", root / "images_nsn"):
        files = Files(image, mask=mask, markers=_partner(root / "images_ndn", image))
        found.append(_sample(files, _group(image.stem), spacing))
    listed = root / "split_list" / "validation.txt"
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    kept = {Path(line.strip()).stem for line in lines if line.strip()}
    gone = sorted(kept - {sample.name for sample in found})
    if gone:
        raise InputError(f"{listed} names {', '.join(gone[:10])}: no such image in {root / 'images_raw'}")
    return DataSet(layout="QCANet", samples=tuple(found), validation=frozenset(kept))


def _pairs(root: Path, spacing: Spacing | None) -> DataSet | None:
    if not (root / "images").is_dir() or not (root / "labels").is_dir():
        return None
    found = [
        _sample(Files(image, labels=labels), _group(image.stem), spacing)
        for image, labels in _match(root / "images", root / "labels")
    ]
    return DataSet(layout="pairs", samples=tuple(found))


def _tracking(root: Path, spacing: Spacing | None) -> DataSet | None:
    sequences = sorted(p for p in root.glob("[0-9][0-9]") if (root / f"{p.name}_GT" / "SEG").is_dir())
    if not sequences:
        return None
    found = []
    for sequence in sequences:
        for labels in sorted((root / f"{sequence.name}_GT" / "SEG").glob("man_seg*.tif")):
            number = labels.stem.removeprefix("man_seg").lstrip("_")
            if number.isdigit():  # man_seg_000_010 annotates a single slice: no truth for a volume
                image = _partner(sequence, Path(f"t{number}.tif"))
                assert image is not None, "the sequence's folder was found above"
                name = f"{sequence.name}_{image.stem}"
                found.append(_sample(Files(image, labels=labels), sequence.name, spacing, name))
    if not found:
        raise InputError(f"{root} holds no whole annotated volume (man_seg000.tif); slices alone do not do")
    return DataSet(layout="Cell Tracking Challenge", samples=tuple(found))


def _group(stem: str) -> str:
    """Return a name without its time point, ``mouse_3`` for ``mouse_3_t012``; splits never part a group."""
    # no letter before it: rat1 and rat2 are two animals
    group = re.sub(r"[_-]?(?<![a-z])(?:t|time|frame)[_-]?\d+$", "", stem, flags=re.IGNORECASE)
    return group or stem.rstrip("0123456789")


def _match(images: Path, truths: Path) -> list[tuple[Path, Path]]:
    by_stem, truth_by_stem = _by_stem(images), _by_stem(truths)
    lonely = [f"{images.name}/{s}" for s in sorted(by_stem.keys() - truth_by_stem.keys())]
    lonely += [f"{truths.name}/{s}" for s in sorted(truth_by_stem.keys() - by_stem.keys())]
    if lonely:
        raise InputError(
            f"{len(lonely)} files of {images.parent} have no partner of the same name in the other folder: "
            f"{', '.join(lonely[:10])}{' ...' if len(lonely) > 10 else ''}; add them or move these away"
        )
    return [(by_stem[stem], truth_by_stem[stem]) for stem in sorted(by_stem)]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in io.list_images([folder]):
        if path.stem in found:
            raise InputError(f"{path} and {found[path.stem].name} have one name: keep one of them")
        found[path.stem] = path
    return found


def _partner(folder: Path, image: Path) -> Path | None:
    """Return the file of an image's name in a folder; ``None`` where there is no such folder."""
    if not folder.is_dir():
        return None
    path = folder / image.name
    if not path.is_file():
        raise InputError(
            f"{path} is missing: each image needs a file of its name there, or remove the folder"
        )
    return path


def _sample(files: Files, group: str, spacing: Spacing | None, name: str | None = None) -> Sample:
    name = name or files.image.stem
    return Sample(name=name, group=group, load=partial(_load, files, name, group, spacing))


def _load(files: Files, name: str, group: str, spacing: Spacing | None) -> Volume:
    stack = io.read_image(files.image)
    image = _first(stack)
    truth = _first(io.read_labels(files.truth))
    labels = truth if files.labels else _instances(truth)
    mask = _first(io.read_labels(files.mask)) > 0 if files.mask else labels > 0
    markers = _first(io.read_labels(files.markers)) > 0 if files.markers else None
    for path, array in ((files.truth, truth), (files.mask, mask), (files.markers, markers)):
        if array is not None and array.shape != image.shape:
            raise InputError(
                f"{path} (shape {array.shape}) must have the shape of {files.image}, {image.shape}"
            )
    um, where = io.resolve_spacing(stack.spacing, spacing, BBBC050_UM)
    return Volume(
        name=name,
        group=group,
        image=image,
        labels=labels,
        mask=mask,
        markers=markers_from_labels(labels) if markers is None else markers,
        spacing=um,
        spacing_from=where,
    )


def _first(stack: io.Stack) -> np.ndarray:
    if len(stack.frames) != 1:
        raise InputError(
            f"{stack.source} holds {len(stack.frames)} frames: a data set's files hold one volume each"
        )
    return stack.frames[0]


def _instances(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label  # slow to import

    return label(mask > 0, connectivity=1)
