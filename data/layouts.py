"""Data sets on the disk, recognised by their layout."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np

from zoo.data import coco, io, prepared
from zoo.data.datasets import BBBC050_UM, DataSet, Sample, Volume
from zoo.data.io import Spacing, stem_of
from zoo.data.slices import is_slice
from zoo.data.targets import markers_from_labels
from zoo.errors import InputError

LAYOUTS = """a data set is a folder with
  Images/ and GroundTruth_QCANet/ [GroundTruth_NSN/ GroundTruth_NDN/]   (BBBC050), or
  images_raw/ and images_nsn/ [images_ndn/ split_list/]                 (QCANet), or
  images/ and labels/, files of one name [split.csv]                     (pairs), or
  01/t000.tif and 01_GT/SEG/man_seg000.tif                              (Cell Tracking Challenge), or
  train/syn/ and train/gt/ [test/syn/ test/gt/], slices or stacks       (EMR-CNN), or
  annotations.json and 2-D images, NAME_z012.png or any name            (COCO)"""


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a sample; what is missing of the truth is derived from what is there.

    Parameters
    ----------
    image
        Grey values.
    labels, mask, markers
        Truth; without ``labels`` the components of the mask are the instances.
    flat
        Whether a 2-D file is taken for a volume of one slice; otherwise it is an error.
    """

    image: Path
    labels: Path | None = None
    mask: Path | None = None
    markers: Path | None = None
    flat: bool = False

    @property
    def truth(self) -> Path:
        """The file that the instances come from."""
        path = self.labels or self.mask
        assert path is not None, f"{self.image} has no truth"
        return path


def find(root: Path, spacing: Spacing | None = None) -> DataSet:
    """Recognise a data set's layout and list its samples; no image is read yet.

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
    for recognise in (_bbbc050, _qcanet, _pairs, _tracking, _emrcnn, _coco):
        dataset = recognise(root, spacing)
        if dataset is not None:
            return dataset
    raise InputError(f"{root} has no layout that is known; {LAYOUTS}")


def _bbbc050(root: Path, spacing: Spacing | None) -> DataSet | None:
    if not (root / "Images").is_dir() or not (root / "GroundTruth_QCANet").is_dir():
        return None
    masks, markers = root / "GroundTruth_NSN", root / "GroundTruth_NDN"
    found = []
    for image, labels in _match(root / "Images", root / "GroundTruth_QCANet"):
        files = Files(image, labels=labels, mask=_partner(masks, image), markers=_partner(markers, image))
        found.append(_sample(files, stem_of(image).split("_")[0], spacing))
    return DataSet(layout="BBBC050", samples=tuple(found))


def _qcanet(root: Path, spacing: Spacing | None) -> DataSet | None:
    if not (root / "images_raw").is_dir() or not (root / "images_nsn").is_dir():
        return None
    found = []
    for image, mask in _match(root / "images_raw", root / "images_nsn"):
        files = Files(image, mask=mask, markers=_partner(root / "images_ndn", image))
        found.append(_sample(files, _group(stem_of(image)), spacing))
    listed = root / "split_list" / "validation.txt"
    try:
        lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
    except UnicodeDecodeError as error:
        raise InputError(f"{listed} is no text in UTF-8 ({error}): save it again") from None
    kept = {stem_of(Path(line.strip())) for line in lines if line.strip()}
    gone = sorted(kept - {sample.name for sample in found})
    if gone:
        raise InputError(f"{listed} names {', '.join(gone[:10])}: no such image in {root / 'images_raw'}")
    return DataSet(layout="QCANet", samples=tuple(found), validation=frozenset(kept))


def _pairs(root: Path, spacing: Spacing | None) -> DataSet | None:
    if not (root / "images").is_dir() or not (root / "labels").is_dir():
        return None
    found = [
        _sample(Files(image, labels=labels), _group(stem_of(image)), spacing)
        for image, labels in _match(root / "images", root / "labels")
    ]
    parts, settings = prepared.read_split(root), prepared.read_settings(root)
    if parts is None and settings is not None:
        raise InputError(f"{root} was prepared and lost its {prepared.SPLIT}: make it anew")
    lonely = [] if parts is None else sorted(parts.keys() ^ {sample.name for sample in found})
    if lonely:
        raise InputError(
            f"{root / prepared.SPLIT} and the images differ in {', '.join(lonely[:10])}: list each image once"
        )
    validation, test = (
        frozenset(name for name, its in (parts or {}).items() if its == part)
        for part in ("validation", "test")
    )
    return DataSet(layout="pairs", samples=tuple(found), validation=validation, test=test, prepared=settings)


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
                name = f"{sequence.name}_{stem_of(image)}"
                found.append(_sample(Files(image, labels=labels), sequence.name, spacing, name))
    if not found:
        raise InputError(f"{root} holds no whole annotated volume (man_seg000.tif); slices alone do not do")
    return DataSet(layout="Cell Tracking Challenge", samples=tuple(found))


def _emrcnn(root: Path, spacing: Spacing | None) -> DataSet | None:
    train, test = root / "train", root / "test"
    if not (train / "syn").is_dir() or not (train / "gt").is_dir():
        return None
    testing: list[tuple[Path, Path]] = []
    shown = next((test / name for name in ("syn", "images", "img") if (test / name).is_dir()), None)
    if shown and (test / "gt").is_dir():
        # what is there to test on need not all have a truth: what has one validates
        images, truths = _by_stem(shown, flat=True), _by_stem(test / "gt", flat=True)
        testing = [(images[stem], truths[stem]) for stem in sorted(images.keys() & truths.keys())]
        if not testing:
            raise InputError(f"no file of {shown} has a partner of its name in {test / 'gt'}: rename them")
    found = [
        _sample(
            Files(image, labels=labels, flat=True),
            _group(stem_of(image)),
            spacing,
            f"{part}_{stem_of(image)}",
        )
        for part, pairs in (("test", testing), ("train", _match(train / "syn", train / "gt", flat=True)))
        for image, labels in pairs
    ]
    kept = frozenset(sample.name for sample in found[: len(testing)])
    return DataSet(layout="EMR-CNN", samples=tuple(found), validation=kept)


def _coco(root: Path, spacing: Spacing | None) -> DataSet | None:
    listed = coco.annotation_file(root)
    if listed is None:
        return None
    pictures, crowds = coco.read_annotations(listed)
    found = [
        Sample(name=name, group=_group(name), load=partial(_load_annotated, tuple(slices), name, spacing))
        for name, slices in groupby(pictures, key=lambda picture: picture.volume)
    ]
    layout = f"COCO ({crowds} crowd regions left out)" if crowds else "COCO"
    return DataSet(layout=layout, samples=tuple(found))


def _group(stem: str) -> str:
    """Return ``mouse_3`` for ``mouse_3_t012`` and ``mouse_3_t012_z04``; splits never part a group."""
    stem = re.sub(r"(?<=.)_z\d+$", "", stem)
    # no letter before it: rat1 and rat2 are two animals
    group = re.sub(r"[_-]?(?<![a-z])(?:t|time|frame)[_-]?\d+$", "", stem, flags=re.IGNORECASE)
    return group or stem.rstrip("0123456789")


def _match(images: Path, truths: Path, *, flat: bool = False) -> list[tuple[Path, Path]]:
    by_stem, truth_by_stem = _by_stem(images, flat=flat), _by_stem(truths, flat=flat)
    lonely = [f"{images.name}/{s}" for s in sorted(by_stem.keys() - truth_by_stem.keys())]
    lonely += [f"{truths.name}/{s}" for s in sorted(truth_by_stem.keys() - by_stem.keys())]
    if lonely:
        raise InputError(
            f"{len(lonely)} files of {images.parent} have no partner of the same name in the other folder: "
            f"{', '.join(lonely[:10])}{' ...' if len(lonely) > 10 else ''}; add them or move these away"
        )
    return [(by_stem[stem], truth_by_stem[stem]) for stem in sorted(by_stem)]


def _by_stem(folder: Path, *, flat: bool = False) -> dict[str, Path]:
    """Return the stacks of a folder, where 2-D files are slices of one, or stacks themselves if ``flat``."""
    paths = io.list_images([folder])
    if flat and paths == [folder]:
        paths = sorted(p for p in folder.glob("[!.]*") if p.suffix.lower() in (".tif", ".tiff", ".png"))
    found: dict[str, Path] = {}
    for path in paths:
        stem = stem_of(path)
        if stem in found:
            raise InputError(f"{path} and {found[stem].name} have one name: keep one of them")
        found[stem] = path
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
    name = name or stem_of(files.image)
    return Sample(name=name, group=group, load=partial(_load, files, name, group, spacing))


def _load(files: Files, name: str, group: str, spacing: Spacing | None) -> Volume:
    stack = _read(files.image, io.read_image, files.flat)
    image = _first(stack)
    truth = _first(_read(files.truth, io.read_labels, files.flat))
    if truth.dtype.kind not in "iu" or truth.min() < 0:
        raise InputError(f"{files.truth} ({truth.dtype}) must hold labels, integers of 0 or more: convert it")
    mask = _first(io.read_labels(files.mask)) > 0 if files.mask else None
    markers = _first(io.read_labels(files.markers)) > 0 if files.markers else None
    for path, array in ((files.truth, truth), (files.mask, mask), (files.markers, markers)):
        if array is not None and array.shape != image.shape:
            raise InputError(
                f"{path} (shape {array.shape}) must have the shape of {files.image}, {image.shape}"
            )
    um = io.resolve_spacing(stack.spacing, spacing, BBBC050_UM)
    return _volume(name, group, image, truth if files.labels else _instances(truth), um, mask, markers)


def _load_annotated(slices: Sequence[coco.Picture], name: str, spacing: Spacing | None) -> Volume:
    image, labels, told = coco.read_volume(slices)
    return _volume(name, _group(name), image, labels, io.resolve_spacing(told, spacing, BBBC050_UM))


def _volume(
    name: str,
    group: str,
    image: np.ndarray,
    labels: np.ndarray,
    um: tuple[Spacing, str],
    mask: np.ndarray | None = None,
    markers: np.ndarray | None = None,
) -> Volume:
    return Volume(
        name=name,
        group=group,
        image=image,
        labels=labels,
        mask=labels > 0 if mask is None else mask,
        markers=markers_from_labels(labels) if markers is None else markers,
        spacing=um[0],
        spacing_from=um[1],
    )


def _read(path: Path, reader: Callable[[Path], io.Stack], flat: bool) -> io.Stack:
    if not flat or not is_slice(path):
        return reader(path)
    plane, spacing = coco.read_planes([path])
    return io.Stack(plane[np.newaxis], spacing, (0,), False, path)


def _first(stack: io.Stack) -> np.ndarray:
    if len(stack.frames) != 1:
        raise InputError(f"{stack.source} holds {len(stack.frames)} frames: a data set has one volume a file")
    return stack.frames[0]


def _instances(mask: np.ndarray) -> np.ndarray:
    from skimage.measure import label  # slow to import

    return label(mask > 0, connectivity=1)
