"""What a BioImage.IO package says of a network: axes, voxels, scaling, paper, licence, weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from zoo import __version__
from zoo.data.normalise import HIGH, LOW
from zoo.entry import Entry
from zoo.prepare import HIGHEST
from zoo.recipe_cell import CellRecipe
from zoo.serving.bioimageio_sample import Sample

AUTHORS = "The cellzoo authors"
PAGE, COVER = "README.md", "cover.png"
TEST_INPUT, TEST_OUTPUT = "test_input.npy", "test_output.npy"
SAMPLE_INPUT, SAMPLE_OUTPUT = "sample_input.tif", "sample_output.tif"
_CHANNELS = {"semantic": "foreground", "centres": "centre"}
# of the papers that the registry names
_REFERENCES = {
    "Tokuoka et al. 2020": (
        "Tokuoka et al. 2020, 3D convolutional neural networks-based segmentation to acquire quantitative "
        "criteria of the nucleus during mouse embryogenesis, npj Systems Biology and Applications 6:32",
        "10.1038/s41540-020-00152-8",
    ),
    "Cicek et al. 2016": (
        "Cicek et al. 2016, 3D U-Net: learning dense volumetric segmentation from sparse annotation, MICCAI",
        "10.1007/978-3-319-46723-8_49",
    ),
}


def describe(entry: Entry, recipe: Any, settings: Mapping[str, Any], sample: Sample, bundle: Path) -> Any:
    """Describe a network by the format's own classes, which check it and the files.

    Parameters
    ----------
    entry, recipe
        Of the network.
    settings
        What only cellzoo understands.
    sample
        What the network is shown.
    bundle
        Zip of the SavedModel; the other files, by the names above, lie beside it.

    Returns
    -------
    bioimageio.spec.model.v0_5.ModelDescr

    Raises
    ------
    ValueError
        Where the format refuses it.
    """
    from bioimageio.spec.model import v0_5 as spec

    files = bundle.parent
    weights = spec.TensorflowSavedModelBundleWeightsDescr(
        source=bundle, tensorflow_version=spec.Version(tf.__version__)
    )
    return spec.ModelDescr(
        name=f"cellzoo {entry.name}",
        description=f"{entry.summary[0].upper()}{entry.summary[1:]}. {sample.wanted}.",
        version=spec.Version(__version__),
        timestamp=spec.Datetime.now(),
        authors=[spec.Author(name=AUTHORS)],
        license=entry.source.licence.partition(" ")[0],  # its SPDX name stands first
        cite=[
            spec.CiteEntry(text=text, doi=spec.Doi(doi))
            for paper, (text, doi) in _REFERENCES.items()
            if paper in entry.source.paper
        ],
        documentation=spec.FileDescr(source=files / PAGE),
        covers=[spec.FileDescr(source=files / COVER)],
        tags=_tags(entry),
        inputs=[_input(spec, recipe, sample, files)],
        outputs=[_output(spec, _CHANNELS[entry.task], sample, files)],
        weights=spec.WeightsDescr(tensorflow_saved_model_bundle=weights),
        config=spec.Config(
            bioimageio=spec.BioimageioConfig(
                modality="fluorescence microscopy",
                target_structure=[entry.subject.objects],
                task="segmentation",
            ),
            cellzoo=dict(settings),
        ),
    )


def _tags(entry: Entry) -> list[str]:
    content = "nuclei" if entry.subject.objects == "nuclei" else "cells"
    tags = ["3d", "fluorescence-light-microscopy", content, "semantic-segmentation", "tensorflow", "keras"]
    return [*tags, "cellzoo", entry.name]


def _input(spec: Any, recipe: Any, sample: Sample, files: Path) -> Any:
    if isinstance(recipe, CellRecipe):
        sizes: list[Any] = list(recipe.size)
        steps = [spec.ClipDescr(kwargs=spec.ClipKwargs(min=-HIGHEST, max=HIGHEST))]
    else:
        # the graph pads by itself, to the multiple; with it as a step other sizes would be refused
        sizes = [spec.ParameterizedSize(min=recipe.multiple, step=1)] * 3
        low, high = (LOW, HIGH) if recipe.scaling == "percentile" else (0.0, 100.0)
        # all axes but the batch: each volume by itself
        jointly = [spec.AxisId(axis) for axis in ("z", "y", "x", "channel")]
        kwargs = spec.ScaleRangeKwargs(axes=jointly, min_percentile=low, max_percentile=high)
        steps = [spec.ScaleRangeDescr(kwargs=kwargs)]
    return spec.InputTensorDescr(
        id=spec.TensorId("image"),
        description=sample.shown,
        axes=[
            spec.BatchAxis(),
            *(
                spec.SpaceInputAxis(id=spec.AxisId(axis), size=size, **_voxel(sample))
                for axis, size in zip("zyx", sizes, strict=True)
            ),
            spec.ChannelAxis(channel_names=["fluorescence"]),
        ],
        data=spec.IntervalOrRatioDataDescr(type="float32"),
        test_tensor=spec.FileDescr(source=files / TEST_INPUT),
        sample_tensor=spec.FileDescr(source=files / SAMPLE_INPUT),
        preprocessing=steps,
    )


def _output(spec: Any, channel: str, sample: Sample, files: Path) -> Any:
    return spec.OutputTensorDescr(
        id=spec.TensorId("probability"),
        description=f"probability that a voxel is {channel}",
        axes=[
            spec.BatchAxis(),
            *(
                spec.SpaceOutputAxis(
                    id=spec.AxisId(axis),
                    size=spec.SizeReference(tensor_id=spec.TensorId("image"), axis_id=spec.AxisId(axis)),
                    **_voxel(sample),
                )
                for axis in "zyx"
            ),
            spec.ChannelAxis(channel_names=[channel]),
        ],
        data=spec.IntervalOrRatioDataDescr(type="float32", range=(0.0, 1.0)),
        test_tensor=spec.FileDescr(source=files / TEST_OUTPUT),
        sample_tensor=spec.FileDescr(source=files / SAMPLE_OUTPUT),
    )


def _voxel(sample: Sample) -> dict[str, Any]:
    return {} if sample.voxel_um is None else {"unit": "micrometer", "scale": sample.voxel_um}
