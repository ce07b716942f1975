"""``zoo export --format bioimageio``: the format's own library validates the package, runs it, agrees."""

import hashlib
import io
import os
import shutil
import socket
import sys
import zipfile
from contextlib import chdir

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from refusal import Bad, bad, check_refused
from small_runs import make_run

from zoo.cli import main
from zoo.errors import InputError
from zoo.train.runs import checksum

core = pytest.importorskip("bioimageio.core")

# the library leaves to Python to close what it reads
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

NAME = "qcanet_nsn"  # its tiny recipe: two poolings, cubes of 3.2 um


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A run of a small network that learnt nothing, and one whose weights are damaged."""
    folder = tmp_path_factory.mktemp("files")
    make_run(folder / "nsn", NAME)
    shutil.copytree(folder / "nsn", folder / "damaged")
    (folder / "damaged" / "best.weights.h5").write_bytes(b"no weights")
    return folder


@pytest.fixture(scope="module")
def package(files, tmp_path_factory):
    """The package of the network."""
    out = tmp_path_factory.mktemp("packages")
    command = ["export", NAME, "--weights", str(files / "nsn"), "--format", "bioimageio", "--out", str(out)]
    done = CliRunner().invoke(main, command, prog_name="zoo")
    assert done.exit_code == 0, (done.output, done.exception)
    path = out / f"{NAME}.bioimageio.zip"
    assert done.stdout == f"{path}\n"
    assert os.listdir(out) == [path.name]
    return path


@pytest.fixture
def offline(monkeypatch):
    """Hosts that are asked for; none is reached."""
    asked = []

    def refuse(host, *_, **__):
        asked.append(host)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: refuse(address))
    return asked


@pytest.fixture
def described(package, offline):
    """What the library reads in the package, without asking a host."""
    found = core.load_model_description(package, perform_io_checks=True)
    yield found
    found.root.close()  # it leaves the zip open
    assert offline == []


def test_the_format_validates_and_runs_it(described, tmp_path):
    with chdir(tmp_path):  # it unpacks the weights there
        summary = core.test_model(described)
    details = {detail.name: detail.status for detail in summary.details}
    assert summary.status == "passed", details
    assert set(details.values()) == {"passed"}
    assert any("Reproduce test outputs" in name for name in details)
    # three sizes, of one volume and of two
    assert sum("inference for inputs" in name for name in details) == 6
    warned = [one.msg for detail in summary.details for one in detail.warnings if one.loc[:1] != ("weights",)]
    assert [line for line in warned if "maintainers" not in line] == []


def test_it_answers_as_zoo_predict_does_at_any_size(described, files, tmp_path):
    """Two volumes that differ in brightness, as each is scaled by itself; no side is a multiple of 4."""
    from zoo.segment import Network, predict_probability
    from zoo.train.runs import open_run

    run = open_run(files / "nsn")
    network = Network(run.entry, run.recipe, run.entry.rebuild.load()(run))
    rng = np.random.default_rng(0)
    levels = (90, 400), (5, 60_000)
    volumes = [rng.integers(low, high, (13, 21, 18)).astype(np.uint16) for low, high in levels]
    expected = [predict_probability(network, volume, (3.2, 3.2, 3.2)) for volume in volumes]
    with chdir(tmp_path):
        answer = core.predict(model=described, inputs={"image": np.stack(volumes)[..., None]})
    found = answer.members["probability"].data.to_numpy()
    assert (found.shape, found.dtype) == ((2, 13, 21, 18, 1), np.float32)
    np.testing.assert_allclose(found[..., 0], expected, rtol=0, atol=1e-5)
    assert np.ptp(expected) > 0.01
    assert np.abs(expected[0] - expected[1]).max() > 0.01


def test_it_tells_axes_voxels_scaling_and_origin(described, files):
    (image,), (probability,) = described.inputs, described.outputs
    for tensor in (image, probability):
        assert [str(axis.id) for axis in tensor.axes] == ["batch", "z", "y", "x", "channel"]
        assert {(axis.scale, axis.unit) for axis in tensor.axes[1:4]} == {(3.2, "micrometer")}
    assert {(axis.size.min, axis.size.step) for axis in image.axes[1:4]} == {(4, 1)}
    _, scaling, _ = image.preprocessing
    assert (scaling.id, scaling.kwargs.min_percentile, scaling.kwargs.max_percentile) == (
        "scale_range",
        1,
        99.8,
    )
    assert described.license == "MIT"
    assert [str(one.doi) for one in described.cite] == ["10.1038/s41540-020-00152-8"]
    assert str(described.format_version).startswith("0.5")
    ours = described.config.model_dump()["cellzoo"]
    assert (ours["entry"], ours["recipe"]["voxel_um"]) == (NAME, 3.2)
    assert ours["weights_sha256"] == checksum(files / "nsn" / "best.weights.h5")


def test_it_holds_the_files_that_it_names(package, described):
    with zipfile.ZipFile(package) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    weights = described.weights.tensorflow_saved_model_bundle
    digest = hashlib.sha256(held.pop(weights.source.path.name)).hexdigest()
    assert digest == str(weights.sha256)
    tensors = {name: np.load(io.BytesIO(held.pop(f"test_{name}.npy"))) for name in ("input", "output")}
    samples = {
        name: tifffile.imread(io.BytesIO(held.pop(f"sample_{name}.tif"))) for name in ("input", "output")
    }
    for name, sample in samples.items():
        np.testing.assert_array_equal(tensors[name][0, ..., 0], sample)
    with Image.open(io.BytesIO(held.pop("cover.png"))) as cover:
        assert cover.size == (512, 256)
        assert len(np.unique(np.asarray(cover.convert("RGB")))) > 10
    assert "## Validation" in held.pop("README.md").decode()
    assert set(held) == {"rdf.yaml"}


CASES = [
    bad(
        "pipeline", "export qcanet --format bioimageio --out m", "qcanet cannot be", "give one of qcanet_nsn"
    ),
    bad("detector", "export mrcnn_ensemble --format bioimageio --out m", "holds one network of Keras 3"),
    bad("no network", "export classical --format bioimageio --out m", "classical cannot be"),
    bad("unknown", "export qcanet_nns --format bioimageio --out m", "did you mean 'qcanet_nsn'?"),
    bad("format", "export qcanet_nsn --format onnx --out m", "'onnx' is not one of"),
    bad(
        "damaged",
        f"export {NAME} --weights @/damaged --format bioimageio --out m",
        "@/damaged/best.weights.h5",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_a_line(case: Bad, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


def test_without_the_library_its_extra_is_named(files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    check_refused(
        f"export {NAME} --weights @/nsn --format bioimageio --out m",
        ("--format bioimageio needs bioimageio.spec: pip install 'cellzoo[bioimageio]'",),
        files,
        tmp_path,
    )


@pytest.mark.parametrize("fault", ["another answer", "disk full"])
def test_a_failure_leaves_an_older_package_as_it_was(fault, files, tmp_path, monkeypatch):
    import tensorflow as tf

    from zoo.serving import bioimageio, graph
    from zoo.train.runs import open_run

    def full(*_, **__):
        raise tf.errors.OutOfRangeError(None, None, "somewhere/variables; No space left on device")

    cut = graph.cut
    if fault == "disk full":
        monkeypatch.setattr(tf.saved_model, "save", full)
    else:
        monkeypatch.setattr(graph, "cut", lambda *arguments: cut(*arguments) + 1e-3)
    (tmp_path / f"{NAME}.bioimageio.zip").write_bytes(b"older")
    run = open_run(files / "nsn")
    with pytest.raises(InputError, match=r"differs from the network by 0\.001|written \(No space left"):
        bioimageio.export(run.entry, run, tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.read_bytes() == b"older"
