"""The catalogue: every model and pipeline of the zoo, one block each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from zoo.defaults import YEAST_UM
from zoo.entry import Entry, Port, Ref, Source, Subject
from zoo.errors import InputError, unknown
from zoo.recipe import Recipe
from zoo.recipe_cell import CellRecipe
from zoo.recipe_detector import DetectorRecipe

MOUSE_EMBRYO_UM = (1.75, 0.8, 0.8)  # voxel size of BBBC050, the data behind the QCANet paper

_ENTRIES: dict[str, Entry] = {}


def register(entry: Entry) -> Entry:
    """Add an entry; a name that is taken is an error."""
    if entry.name in _ENTRIES:
        raise ValueError(f"the registry has a {entry.name!r} already")
    _ENTRIES[entry.name] = entry
    return entry


def get(name: str) -> Entry:
    """Return the entry of that name.

    Raises
    ------
    InputError
        Where there is none; the message names the nearest one.
    """
    if name not in _ENTRIES:
        if Path(name).exists():
            raise InputError(f"{name} is a file or folder: name a model first, of {', '.join(_ENTRIES)}")
        raise unknown("model", name, _ENTRIES)
    return _ENTRIES[name]


def entries() -> tuple[Entry, ...]:
    """Return all entries in the order of registration."""
    return tuple(_ENTRIES.values())


def _image(multiple_of: int = 1) -> Port:
    return Port(
        name="image", axes="NZYXC", dtype="float32", spacing_um=MOUSE_EMBRYO_UM, multiple_of=multiple_of
    )


_PROBABILITY = Port(name="probability", axes="NZYXC", dtype="float32")
_LABELS = Port(name="labels", axes="ZYX", dtype="int32")
_PREPARE = Ref("zoo.prepare:isotropic")
_SIZE = Ref("zoo.models.size:unet_parameters")
_QCANET = Source(
    paper="Tokuoka et al. 2020, npj Systems Biology and Applications 6:32",
    licence="MIT (our code, written from the paper)",
    differs="instance norm, 'same' padding, dice + cross-entropy, percentile scaling, resampled "
    "probabilities cut at 0.5; see docs/models/qcanet.md",
)

_NSN = Recipe(poolings=2, base=8)
# ours: markers of late nuclei run together on coarser voxels
_NDN = Recipe(poolings=4, base=4, voxel_um=1.4, patch=(64, 80, 80))
_UNET3D = Recipe(poolings=3, base=8)
# ours: coarser and fewer, so that the pair trains on synthetic embryos in minutes on two cores
_COMPACT_NSN = Recipe(poolings=2, base=4, voxel_um=2.0, patch=(48, 56, 56), lr=4e-3, epochs=12)
_COMPACT_NDN = Recipe(poolings=3, base=4, voxel_um=1.6, patch=(56, 64, 64), lr=4e-3, epochs=30)


def _published(poolings: int, base: int, kernel: int, optimiser: str) -> Recipe:
    """Return the settings that the QCANet paper prints."""
    return Recipe(
        poolings=poolings,
        base=base,
        kernel=kernel,
        norm="batch",
        voxel_um=0.8,
        scaling="minmax",
        dilate=0,
        patch=(128, 128, 128),
        augment="flips",
        loss="dice",
        optimiser=optimiser,  # type: ignore[arg-type]
        lr=0.1 if optimiser == "sgd" else 1e-3,
        schedule="constant",
        epochs=150,
    )


def _replication(paper: Recipe, epochs: int) -> Recipe:
    """Return the settings of the public reproduction."""
    return replace(
        paper, kernel=3, batch=4, augment="none", optimiser="sgd", lr=0.1, schedule="plateau", epochs=epochs
    )


_PAPER_NSN = _published(poolings=2, base=16, kernel=3, optimiser="sgd")
_PAPER_NDN = _published(poolings=4, base=12, kernel=5, optimiser="adam")
_PAPER_UNET3D = _published(poolings=3, base=16, kernel=3, optimiser="adam")

register(
    Entry(
        name="qcanet",
        task="instances_3d",
        summary="nuclei in 3-D: NSN mask, NDN centres, marker watershed",
        inputs=_image(),
        outputs=(_LABELS,),
        needs={"nsn": "qcanet_nsn", "ndn": "qcanet_ndn"},
        fuse=Ref("zoo.fusion.watershed:split_touching"),
        source=_QCANET,
    )
)
register(
    Entry(
        name="qcanet_nsn",
        task="semantic",
        summary="nuclear segmentation network: which voxels are nucleus",
        inputs=_image(multiple_of=4),
        outputs=(_PROBABILITY,),
        build=Ref("zoo.models.qcanet:build_nsn"),
        size=_SIZE,
        prepare=_PREPARE,
        fuse=Ref("zoo.fusion.watershed:components"),
        recipes={
            "default": _NSN,
            "compact": _COMPACT_NSN,
            "paper": _PAPER_NSN,
            "replication": _replication(_PAPER_NSN, epochs=80),
        },
        tiny={"base": 2, "patch": (16, 16, 16), "voxel_um": 3.2, "epochs": 2},
        source=_QCANET,
        pretrained="35c84b5e258359d1a0a8e1274f9a53f5523a045bc28cfc072f0329a102e904dc",
    )
)
register(
    Entry(
        name="qcanet_ndn",
        task="centres",
        summary="nuclear detection network: a marker in the centre of each nucleus",
        inputs=_image(multiple_of=16),
        outputs=(_PROBABILITY,),
        build=Ref("zoo.models.qcanet:build_ndn"),
        size=_SIZE,
        prepare=_PREPARE,
        fuse=Ref("zoo.fusion.watershed:components"),
        recipes={
            "default": _NDN,
            "compact": _COMPACT_NDN,
            "paper": _PAPER_NDN,
            "replication": _replication(_PAPER_NDN, epochs=150),
        },
        tiny={"base": 2, "poolings": 2, "patch": (16, 16, 16), "voxel_um": 3.2, "epochs": 2},
        source=_QCANET,
        pretrained="aaadf111fb8ddde16fd69bef3adc366ea02a4e25c4b20e3721dee01ecb41eaba",
    )
)
register(
    Entry(
        name="unet3d",
        task="semantic",
        summary="the QCANet paper's 3-D U-Net baseline: mask, then connected components",
        inputs=_image(multiple_of=8),
        outputs=(_PROBABILITY,),
        build=Ref("zoo.models.qcanet:build_unet3d"),
        size=_SIZE,
        prepare=_PREPARE,
        fuse=Ref("zoo.fusion.watershed:components"),
        recipes={
            "default": _UNET3D,
            "paper": _PAPER_UNET3D,
            "replication": _replication(_PAPER_UNET3D, epochs=80),
        },
        tiny={"base": 2, "poolings": 2, "patch": (16, 16, 16), "voxel_um": 3.2, "epochs": 2},
        source=Source(
            paper="Cicek et al. 2016, MICCAI, as the baseline of Tokuoka et al. 2020",
            licence="MIT (our code, written from the papers)",
            differs="instance norm, dice + cross-entropy, percentile scaling",
        ),
    )
)
_EMRCNN = Source(
    paper="Wu et al. 2022, CVPR Workshops (EMR-CNN); He et al. 2017, ICCV (Mask R-CNN)",
    licence="MIT (our code, written from the formulas; the detector is Model Garden's, Apache-2.0)",
    differs="compact ResNet backbones that differ in depth, width, anchors and data, neighbouring slices as "
    "context, silhouette with the nearest other cluster; see docs/models/emrcnn.md",
)
_MEMBERS = (
    {"backbone": 18},
    {"backbone": 10, "width": 0.75},
    {"backbone": 34, "width": 0.375, "context": 2},
    {"backbone": 10, "pixel_um": 0.64, "patch": 160},
    {"backbone": 26, "width": 0.5, "anchor": 4.0, "scales": 2},
    {"backbone": 10, "context": 2},
    {"backbone": 34, "width": 0.5, "anchor": 4.0},
    {"backbone": 26, "width": 0.375, "context": 0},
)
_COMPACT_MEMBERS: tuple[dict[str, float], ...] = (
    {},
    {"backbone": 10, "width": 0.375},
    {"backbone": 10, "pixel_um": 0.64, "patch": 160},
)
_PAPER_MEMBERS = tuple(
    {"backbone": backbone, "anchor": anchor, "scales": scales}
    for backbone in (50, 101)
    for anchor, scales in ((4.0, 1), (4.0, 3), (8.0, 1), (8.0, 3))
)

register(
    Entry(
        name="emrcnn",
        task="instances_3d",
        summary="nuclei in 3-D: an ensemble of 2-D detectors votes in each slice, slices are joined over z",
        inputs=_image(),
        outputs=(_LABELS,),
        needs={"ensemble": "mrcnn_ensemble"},
        fuse=Ref("zoo.fusion.slices:join"),
        source=_EMRCNN,
    )
)
register(
    Entry(
        name="mrcnn_ensemble",
        task="instances_2d",
        summary="Mask R-CNNs that differ; each finds the nuclei of each slice",
        inputs=Port(name="image", axes="NYXC", dtype="float32", spacing_um=MOUSE_EMBRYO_UM, multiple_of=32),
        outputs=(
            Port(name="boxes", axes="NKB", dtype="float32"),
            Port(name="scores", axes="NK", dtype="float32"),
            Port(name="masks", axes="NKYX", dtype="float32"),
        ),
        build=Ref("zoo.models.mrcnn:build"),
        size=Ref("zoo.models.size:ensemble_parameters"),
        fit=Ref("zoo.train.detector:fit"),
        rebuild=Ref("zoo.train.detector:rebuild"),
        prepare=Ref("zoo.prepare:in_plane"),
        fuse=Ref("zoo.fusion.detections:separate_slices"),
        keras="tf_keras",
        recipes={
            "default": DetectorRecipe(members=_MEMBERS),
            "compact": DetectorRecipe(members=_COMPACT_MEMBERS, width=0.25, filters=32),
            "paper": DetectorRecipe(
                members=_PAPER_MEMBERS,
                bootstrap=False,
                backbone=50,
                width=1.0,
                filters=256,
                heads="full",
                norm_momentum=0.997,
                context=0,
                patch=256,
                augment="flips",
                score=0.7,
                nms=0.3,
            ),
        },
        tiny={"width": 0.125, "filters": 16, "patch": 64, "epochs": 2, "steps": 2},
        source=_EMRCNN,
        pretrained="6112404148ac05fb57dc6cb688d30dc8f978ba3877684ef3db19bd21f606da9b",
    )
)
_PATCHES = Subject(
    objects="patches",
    min_volume=0.0,
    metrics=("miou", "iou", "dice", "accuracy"),
    baseline=None,
    synthetic=Ref("zoo.data.prepared:synthetic"),
    prepared="zoo prepare yeast",
)
_CNN3D = Source(
    paper="the public reproduction of EMR-CNN on 4-D yeast movies, which has no paper of its own",
    licence="MIT (our code, written from its description)",
    differs="movies split whole and cut to their cells, movie-wide percentile scaling, cosine learning rate; "
    "see docs/models/cnn3d_yeast.md",
)
_CELL = Port(name="image", axes="NZYXC", dtype="float32", spacing_um=YEAST_UM, multiple_of=8)
_CNN3D_REPLICATION = CellRecipe(
    fit="resize", scaling="max", batch=8, augment="none", lr=1e-3, schedule="constant"
)

register(
    Entry(
        name="cnn3d_yeast",
        task="semantic",
        summary="the polarity patch in each frame of a yeast movie: 32-cube dense CNN",
        inputs=_CELL,
        outputs=(_PROBABILITY,),
        build=Ref("zoo.models.cnn3d:build"),
        size=Ref("zoo.models.size:cnn3d_parameters"),
        prepare=Ref("zoo.prepare:whole_cell"),
        fuse=Ref("zoo.fusion.watershed:components"),
        recipes={"default": CellRecipe(), "replication": _CNN3D_REPLICATION},
        tiny={"size": (8, 8, 8), "base": 2, "batch": 1, "epochs": 2},
        source=_CNN3D,
        subject=_PATCHES,
    )
)
register(
    Entry(
        name="cnn3d_yeast_unet",
        task="semantic",
        summary="the same by a small 3-D U-Net without a dense bottleneck, with fewer multiplications",
        inputs=_CELL,
        outputs=(_PROBABILITY,),
        build=Ref("zoo.models.cnn3d:build_convolutional"),
        size=Ref("zoo.models.size:cell_unet_parameters"),
        prepare=Ref("zoo.prepare:whole_cell"),
        fuse=Ref("zoo.fusion.watershed:components"),
        # ours: its validation IoU hardly rises after as many epochs
        recipes={"default": CellRecipe(base=3, epochs=15)},
        pretrained="ccc787f4c7cfcfb21eef23afb254a2e1a57c0e0e205cef9af8de6d47f6252aea",
        tiny={"size": (8, 8, 8), "base": 2, "poolings": 2, "batch": 1, "epochs": 2},
        source=Source(
            paper="Cicek et al. 2016, MICCAI",
            licence="MIT (our code, written from the paper)",
            differs="instance norm, a base of 3 filters, dice loss",
        ),
        subject=_PATCHES,
    )
)
register(
    Entry(
        name="classical",
        task="instances_3d",
        summary="Gaussian, Otsu, distance-transform watershed; needs no training",
        inputs=_image(),
        outputs=(_LABELS,),
        fuse=Ref("zoo.fusion.classical:segment"),
        source=Source(
            paper="Otsu 1979; Beucher and Lantuejoul 1979",
            licence="MIT",
            differs="lengths in um, so that anisotropic voxels are handled",
        ),
    )
)
