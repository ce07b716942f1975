"""The plugin for napari: what it makes of layers, and a user at a real window on a screen in memory."""

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from zoo import registry
from zoo.data.phantom import embryo
from zoo.errors import InputError
from zoo.evaluate.criteria import measure
from zoo.segment import segment
from zoo.viewer import layers
from zoo.viewer.process import Networks

ROOT = Path(__file__).parents[2]
SESSION = ROOT / "tests" / "helpers" / "napari_session.py"
LIBRARIES = "libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1"
UM = (1.75, 0.8, 0.8)

# when napari is imported
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(npe2|pydantic|napari).*")
needs_napari = pytest.mark.skipif(
    importlib.util.find_spec("napari") is None,
    reason="napari is not installed: pip install 'cellzoo[napari]'",
)


@contextmanager
def screen() -> Iterator[dict[str, str]]:
    """Lend a screen in memory; elsewhere than under X11 the window has the one that is there."""
    if sys.platform == "darwin":
        yield {}
        return
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("no screen for napari's window: Xvfb is not installed (Debian's xvfb)")
    told, tells = os.pipe()
    command = [server, "-displayfd", str(tells), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[tells], stderr=subprocess.DEVNULL) as running:
        os.close(tells)
        with os.fdopen(told) as display:
            number = display.readline().strip()
        try:
            yield {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
        finally:
            running.terminate()


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict:
    """What a user saw who did all that the session does."""
    if importlib.util.find_spec("napari") is None:
        pytest.skip("napari is not installed: pip install 'cellzoo[napari]'")
    folder = tmp_path_factory.mktemp("napari")
    with screen() as env:
        ran = subprocess.run(
            [sys.executable, SESSION, folder],
            cwd=folder,  # without runs/
            env={**os.environ, "PYTHONPATH": str(ROOT), "NAPARI_CONFIG": str(folder / "napari.yaml"), **env},
            capture_output=True,
            text=True,
            timeout=300,
        )
    if not (folder / "started").exists():
        pytest.skip(f"Qt cannot start, Debian's {LIBRARIES} may be missing: {' '.join(ran.stderr.split())}")
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return json.loads((folder / "seen.json").read_text()) | {
        "data": np.load(folder / "labels.npy", allow_pickle=False)
    }


def image_layer(data: np.ndarray, **told: object):
    from napari.layers import Image

    return Image(data, **told)


def block(**told: object):
    """Make a layer of two bright blocks."""
    image = np.random.default_rng(0).integers(90, 110, (12, 30, 40)).astype(np.uint16)
    image[3:9, 5:15, 5:15] += 400
    image[3:9, 5:15, 22:34] += 400
    return image_layer(image, name="blocks", **told)


@needs_napari
def test_the_manifest_is_what_napari_wants_and_names_what_is_there():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(ROOT / "zoo" / "viewer" / "napari.yaml")
    manifest.validate_imports()
    titles = [command.title for command in manifest.contributions.commands]
    assert titles == ["Segment nuclei", "Synthetic embryo"]


def test_what_can_be_chosen_makes_3d_labels_and_needs_no_framework_to_be_listed():
    code = "import sys; from zoo.viewer import layers; print(layers.pipelines(), *sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {"tensorflow", "keras", "napari", "qtpy", "scipy"}.isdisjoint(told.split())
    assert layers.pipelines() == ["qcanet", "emrcnn", "classical"]


@needs_napari
@pytest.mark.parametrize(
    ("told", "um"),
    [
        ({"scale": UM, "units": "um"}, UM),
        ({"scale": UM, "units": "µm"}, UM),
        ({"scale": (1750, 800, 800), "units": "nm"}, UM),
        ({"scale": (0.00175, 0.8, 800), "units": ("mm", "um", "nm")}, UM),
        ({"scale": (1, 1, 1), "units": "um"}, (1, 1, 1)),
        ({"scale": (2, 1, 1)}, (2, 1, 1)),
        ({"scale": (2, -1, 1), "units": "um"}, (2, 1, 1)),
        ({"scale": (1, 1, 1)}, None),
        ({"scale": UM, "units": "s"}, None),
        ({"scale": UM, "units": ("pixel", "um", "um")}, None),
        ({"scale": UM, "units": "um", "affine": np.diag([2, 1, 1, 1])}, None),
    ],
)
def test_the_voxel_size_is_that_of_the_layer_where_it_tells(told, um):
    found, where = layers.read_spacing(block(**told))
    assert ("unknown" in where) == (um is None)
    assert ("no unit" in where) == (um == (2, 1, 1) and "units" not in told)
    assert found is None if um is None else found == pytest.approx(um, rel=1e-12)


@needs_napari
def test_a_series_has_the_voxel_size_of_its_last_three_axes():
    series = image_layer(np.zeros((3, 4, 5, 6)), scale=(60, *UM), units=("s", "um", "um", "um"))
    assert layers.read_spacing(series)[0] == pytest.approx(UM)
    assert layers.read_spacing(image_layer(np.zeros((4, 5))))[0] is None


@pytest.mark.parametrize("texts", [("1.75", "0.8", "0.8"), (" 1,75", "0,8 ", "8e-1")])
def test_a_voxel_size_is_read_as_people_type_it(texts):
    assert layers.read_numbers(texts) == UM


@pytest.mark.parametrize("texts", [("", "", ""), ("1", "1", "x"), ("1", "0", "1"), ("1", "nan", "1")])
def test_what_is_no_voxel_size_is_refused(texts):
    with pytest.raises(InputError, match="give three positive numbers"):
        layers.read_numbers(texts)


@needs_napari
def test_labels_lie_where_the_image_lies_and_are_those_of_the_pipeline():
    from napari.layers import Labels

    layer = block(scale=UM, units="um", translate=(10, 20, 30), rotate=90.0)
    steps, end = segmented(layer)
    assert steps == [0, 1, 2]
    data, told, kind = end.layer
    expected = segment(registry.get("classical"), {}, layer.data, UM).labels
    assert kind == "labels"
    assert end.nuclei == 2
    assert data.dtype == np.uint8
    np.testing.assert_array_equal(data, expected)
    made = Labels(data, **told)
    for corner in ((0, 0, 0), (11, 29, 39)):
        assert made.data_to_world(corner) == pytest.approx(layer.data_to_world(corner))
    assert made.units == layer.units


@needs_napari
def test_no_nucleus_makes_an_empty_layer_with_an_empty_table():
    noise = np.random.default_rng(0).integers(0, 3, (4, 6, 6)).astype(np.uint16)
    _, end = segmented(image_layer(noise, name="noise"), "0.1")  # all of it smaller than a nucleus
    assert end.nuclei == 0
    assert not end.layer[0].any()
    assert all(len(column) == 0 for column in end.layer[1]["features"].values())


def segmented(layer, *um: str):
    """Segment a layer; return the steps that were counted and what came out."""
    job = layers.make_job(layer, "classical", um * 3 or list(map(str, UM)), {})
    work = layers.run(job, Networks("classical", (), job.spacing))
    steps = []
    while True:
        try:
            steps.append(next(work).done)
        except StopIteration as end:
            assert job.steps == len(steps)
            return steps, end.value


@needs_napari
def test_parts_of_other_pipelines_and_folders_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="no run folder"):
        layers.make_job(block(), "qcanet", ("1", "1", "1"), {"nsn": str(tmp_path / "gone"), "ndn": ""})
    with pytest.raises(InputError, match="classical needs no weights"):
        layers.make_job(block(), "classical", ("1", "1", "1"), {"nsn": str(tmp_path)})


def test_an_error_of_ours_arrives_with_its_traceback():
    networks = Networks("classical", (), UM)
    try:
        networks.receive()
        networks.send(("name", 0, "no array"))
        with pytest.raises(RuntimeError, match="Traceback"):
            networks.receive()
    finally:
        networks.end()


def test_the_sample_opens_with_its_voxel_size_filled_in(seen):
    form = seen["sample"]["form"]
    assert form["image"] == "synthetic embryo"
    assert [float(edge) for edge in form["edges"]] == list(UM)
    assert form["from"] == "from the layer"
    assert form["pipelines"] == layers.pipelines()


def test_the_window_shows_what_the_pipeline_makes_of_the_sample(seen):
    phantom = embryo()
    expected = segment(registry.get("classical"), {}, phantom.image, phantom.spacing).labels
    np.testing.assert_array_equal(seen["data"], expected)
    shown = seen["labels"]
    assert shown["kind"] == "Labels"
    assert shown["dtype"] == "uint8"
    assert shown["scale"] == list(UM)
    assert shown["units"] == ["micrometer"] * 3
    assert seen["sample"]["came"] == ["synthetic embryo nuclei"]
    assert said(seen["sample"], "info") == [f"synthetic embryo nuclei: {expected.max()}"]
    assert said(seen["sample"], "error") == []
    assert shown["metadata"]["model"] == "classical"
    assert not seen["tensorflow"], "the window loads no framework"


def test_the_table_has_the_row_of_each_label(seen):
    table = seen["labels"]["features"]
    phantom = embryo()
    nuclei = measure(seen["data"], phantom.spacing, phantom.image)
    assert table["index"] == [nucleus.label for nucleus in nuclei]
    assert table["index"] == np.unique(seen["data"])[1:].tolist()
    for name in ("voxels", "volume_um3", "sphericity", "x_um", "mean_intensity", "touches_border"):
        assert table[name] == [getattr(nucleus, name) for nucleus in nuclei]
    assert all(math.isnan(value) for value in table["centre_probability"])
    third = nuclei[2]
    assert third.label == 3
    assert f"voxels: {third.voxels}" in seen["labels"]["status"]


def test_the_bar_counts_the_steps(seen):
    assert [step for step in seen["bars"] if isinstance(step, int)] == [0, 1, 2]
    assert [step.split(": ")[1] for step in seen["bars"] if isinstance(step, str)] == [
        "loading networks",
        "segmenting",
        "measuring",
    ]


def test_numbers_go_on_over_the_frames_of_a_series(seen):
    assert seen["series"]["numbers"] == [[0, 1, 2], [0, 3, 4]]
    assert seen["series"]["index"] == [1, 2, 3, 4]
    assert seen["series"]["frame"] == [0, 0, 1, 1]
    assert said(seen["series"], "error") == []


def test_an_unknown_voxel_size_is_asked_for(seen):
    form = seen["unknown"]["form"]
    assert form["edges"] == ["", "", ""]
    assert "voxel size unknown" in form["from"]
    assert said(seen["unknown"], "error") == [
        "voxel size ? x ? x ?: give three positive numbers, z, y and x in µm"
    ]
    assert seen["unknown"]["came"] == []
    assert seen["told later"]["edges"] == ["2", "1", "1"]
    assert seen["typed"]["spacing"] == [2.5, 1, 1]
    assert seen["typed"]["came"] == ["unknown nuclei"]


def test_without_an_image_or_weights_the_window_says_what_to_do(seen):
    assert seen["empty"]["form"]["image"] is None
    assert [message[:33] for message in said(seen["empty"], "error")] == ["there is no image layer: open a 3"]
    assert seen["no weights"]["form"]["weights"] == ["ensemble"]
    (message,) = said(seen["no weights"], "error")
    assert "no weights for mrcnn_ensemble" in message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("flat", "2 dimensions"),
        ("rgb", "is RGB"),
        ("pyramid", "is multiscale"),
        ("nan", "1 voxels that are NaN"),
        ("channels", "2 channels"),
        ("five", "5 dimensions"),
        ("thin", "at least 2 planes"),
    ],
)
def test_what_cannot_be_segmented_is_one_notification(seen, name, words):
    (message,) = said(seen["bad"][name], "error")
    assert message.startswith(name)
    assert words in message
    assert "\n" not in message
    assert seen["bad"][name]["came"] == []


def test_the_layer_that_is_clicked_on_is_taken(seen):
    assert seen["clicked"]["image"] == "synthetic embryo"
    assert [float(edge) for edge in seen["clicked"]["edges"]] == list(UM)


def test_work_can_be_cancelled_and_a_lost_process_is_told(seen):
    assert seen["cancelled"]["came"] == seen["killed"]["came"] == 0
    assert said(seen["cancelled"], "info") == ["segmentation cancelled"]
    assert said(seen["cancelled"], "error") == []
    (message,) = said(seen["killed"], "error")
    assert "has ended (code -9)" in message


def said(what: dict, severity: str) -> list[str]:
    return [message for kind, message in what["said"] if kind == severity]
