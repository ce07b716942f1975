"""A network as a BioImage.IO package: one zip that bioimageio.core, and what is built on it, runs."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf

from zoo.data.write import atomic, write_image
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.provenance import versions
from zoo.segment import Network
from zoo.serving import bioimageio_rdf as rdf
from zoo.serving.bioimageio_card import describe, paint_cover
from zoo.serving.bioimageio_sample import Sample, make_sample
from zoo.serving.check import TOLERANCE
from zoo.serving.served import DEFAULT, Served, save
from zoo.serving.signatures import serve
from zoo.train.runs import THRESHOLD, Run, checksum

SUFFIX = ".bioimageio.zip"


def check_installed() -> None:
    """Refuse to go on without the package that writes the format, before anything slow is done.

    Raises
    ------
    InputError
        Where it is missing.
    """
    try:
        import bioimageio.spec  # noqa: F401
    except ImportError as fault:
        raise InputError(
            f"--format bioimageio needs {fault.name}: pip install 'cellzoo[bioimageio]'"
        ) from None


def export(entry: Entry, run: Run, out: Path) -> Path:
    """Write a network as OUT/NAME.bioimageio.zip, validated by the format's own library.

    Nothing is fetched: the description holds no address that the validation would look up.

    Parameters
    ----------
    entry
        A network of Keras 3.
    run
        Its run folder.
    out
        Folder of the package, made where it is missing; an older package of the name is replaced.

    Returns
    -------
    Path
        The package.

    Raises
    ------
    InputError
        Without the package bioimageio.spec; for weights that are missing or damaged, a folder that cannot be
        written, a SavedModel that does not answer as its network does, or a description that the format
        refuses, such as one of a network that finds nothing at all in the example.
    """
    check_installed()
    network = Network(entry, run.recipe, entry.rebuild.load()(run))
    sample = make_sample(network)
    settings = _settings(run)
    served = serve(network)
    served = replace(served, functions={DEFAULT: served.functions[DEFAULT]})
    path = out / f"{entry.name}{SUFFIX}"
    with atomic(path) as part, TemporaryDirectory(prefix=".", dir=part.parent) as hidden:
        files = Path(hidden)
        # bioimageio.core unpacks it into a folder of this name: two trainings must not share one
        bundle = files / f"{entry.name}-{settings['weights_sha256'][:8]}.zip"
        _write_bundle(served, json.dumps(settings), sample, bundle)
        np.save(files / rdf.TEST_INPUT, sample.image[None, ..., None])
        np.save(files / rdf.TEST_OUTPUT, sample.probability[None, ..., None])
        um = sample.voxel_um or 1.0
        write_image(files / rdf.SAMPLE_INPUT, sample.image, (um, um, um))
        write_image(files / rdf.SAMPLE_OUTPUT, sample.probability, (um, um, um))
        (files / rdf.COVER).write_bytes(paint_cover(sample.image, sample.probability))
        (files / rdf.PAGE).write_text(describe(entry, run, sample), encoding="utf-8")
        try:
            with _checked():
                described = rdf.describe(entry, run.recipe, settings, sample, bundle)
            _package(described, part)
        except ValueError as fault:
            reason = " ".join(str(fault).split())
            raise InputError(f"{entry.name} was not exported: BioImage.IO refuses it ({reason})") from None
    return path


def _settings(run: Run) -> dict[str, Any]:
    """Return what only cellzoo understands."""
    return {
        "entry": run.entry.name,
        "recipe": run.recipe.to_dict(),
        "weights_sha256": checksum(run.best),
        **({"threshold": run.threshold} if (run.path / THRESHOLD).is_file() else {}),
        "versions": versions(),
    }


def _write_bundle(served: Served, settings: str, sample: Sample, path: Path) -> None:
    """Write a SavedModel into a zip, once it has answered the sample as the network does."""
    with TemporaryDirectory(prefix=".", dir=path.parent) as hidden:
        folder = Path(hidden)
        save(served, settings, folder)
        signature = tf.saved_model.load(hidden).signatures[DEFAULT]
        answer = signature(image=tf.constant(sample.prepared[None, ..., None]))["probability"]
        difference = float(np.abs(np.asarray(answer)[0, ..., 0] - sample.probability).max())
        if not difference <= TOLERANCE:
            raise InputError(
                f"{served.name} was not exported: its SavedModel differs from the network by "
                f"{difference:.2g}; report this"
            )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(one for one in folder.rglob("*") if one.is_file()):
                archive.write(file, file.relative_to(folder))


def _package(described: Any, path: Path) -> None:
    """Write a description and its files into a zip, and let the format's library read it back."""
    from bioimageio.spec import InvalidDescr, load_description, save_bioimageio_package_to_stream

    with _checked(), path.open("wb") as stream:
        save_bioimageio_package_to_stream(described, output_stream=stream)
    with _checked():
        found = load_description(path)
    found.root.close()  # the zip, which it leaves open
    if isinstance(found, InvalidDescr):
        raise ValueError(found.get_reason())


def _checked() -> Any:
    """Have files checked, quietly; a context is used once, as it remembers the files that it has seen."""
    from bioimageio.spec import ValidationContext

    return ValidationContext(perform_io_checks=True, log_warnings=False)
