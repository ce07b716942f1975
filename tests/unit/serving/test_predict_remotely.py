"""``zoo predict --server``: exports of small networks, in sessions of the C API behind the real stubs."""

import itertools
import shutil
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from c_session import Session
from commands import zoo
from grpc_server import Refusal, serve
from small_runs import make_run

from zoo.data.io import read_labels
from zoo.data.phantom import embryo
from zoo.data.write import write_image
from zoo.data.yeast import yeast_movie
from zoo.serving.export import export

NAMES = ("qcanet_nsn", "qcanet_ndn", "cnn3d_yeast")
LOOSE = "--min-volume 0 --threshold 0.45"  # so that networks that learnt nothing leave something


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Images, runs and their exports."""
    folder = tmp_path_factory.mktemp("home")
    for name in NAMES:
        finer = {} if name == "cnn3d_yeast" else {"voxel_um": 1.6}
        run = make_run(folder / name, name, **finer)
        export(run.entry, run, folder / "models")
    made = embryo(1, nuclei=4, shape=(16, 60, 60), debris=0)
    write_image(folder / "embryo.tif", made.image, made.spacing)
    movie = yeast_movie(0, frames=2, shape=(16, 32, 32))
    write_image(folder / "movie.tif", movie.image, movie.spacing)
    return folder


@contextmanager
def serving(home, asked=None, dies_at=None):
    """A server of the exports, which may die at a request."""
    sessions = {name: Session(home / "models" / name / "1") for name in NAMES}
    count = itertools.count(1)

    def answer(name, version, signature, inputs):
        if signature == "serving_default":
            if asked is not None:
                asked.append((name, inputs["image"].shape))
            if dies_at is not None and next(count) >= dies_at:
                raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "out of memory")
        return sessions[name].run(signature, inputs)

    with serve(answer, dict.fromkeys(NAMES, (1,)), as_content=True) as address:
        yield address


@pytest.mark.parametrize("tile", ["", "--tile 16 16 16"])
def test_labels_are_those_of_the_local_run(home, tmp_path, tile):
    predict = f"predict qcanet {home}/embryo.tif {LOOSE} {tile}"
    zoo(tmp_path, f"{predict} --out local --weights nsn={home}/qcanet_nsn --weights ndn={home}/qcanet_ndn")
    asked = []
    with serving(home, asked) as address:
        zoo(tmp_path, f"{predict} --out remote --server {address} --in-flight 3")
    local, remote = (read_labels(tmp_path / out / "embryo.tif").frames for out in ("local", "remote"))
    assert 0 < np.count_nonzero(local) < local.size
    np.testing.assert_array_equal(local, remote)
    assert {name for name, _ in asked} == {"qcanet_nsn", "qcanet_ndn"}
    assert {shape == (1, 16, 16, 16, 1) for _, shape in asked} == {bool(tile)}
    assert (len(asked) > 4) == bool(tile)


def test_a_movie_is_marked_as_by_the_local_run(home, tmp_path):
    predict = f"predict cnn3d_yeast {home}/movie.tif --threshold 0.1"
    zoo(tmp_path, f"{predict} --out local --weights {home}/cnn3d_yeast")
    with serving(home) as address:
        zoo(tmp_path, f"{predict} --out remote --server {address}")
    local, remote = (read_labels(tmp_path / out / "movie.tif").frames for out in ("local", "remote"))
    assert 0 < local.sum() < local.size
    np.testing.assert_array_equal(local, remote)


def test_a_server_that_gives_up_in_the_middle_is_gone_on_with_later(home, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        shutil.copy(home / "embryo.tif", tmp_path / "in" / f"{name}.tif")
    predict = "predict qcanet in --out out --tile 16 16 16 --in-flight 1"
    asked = []
    with serving(home, asked) as address:
        zoo(tmp_path, f"{predict} --server {address}")
    whole, each = {p.name: p.read_bytes() for p in (tmp_path / "out").glob("*.tif")}, len(asked) // 2
    shutil.rmtree(tmp_path / "out")
    with serving(home, dies_at=each + 4) as address:
        result = zoo(tmp_path, f"{predict} --server {address}", code=2)
    last = result.stderr.splitlines()[-1]
    assert "in/b.tif: tile 4 of" in last
    assert "smaller --tile" in last
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"a.tif", "a_criteria.csv", "provenance.json", "report.html"}
    with serving(home) as address:
        result = zoo(tmp_path, f"{predict} --server {address} --resume")
    assert "1 of 2 images were done before" in result.stderr
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").glob("*.tif")} == whole
    report = (tmp_path / "out" / "report_2.html").read_text()
    assert f"version 1 at {address}, weights " in report


def test_tiles_that_a_network_cannot_take_are_named(home, tmp_path):
    with serving(home) as address:
        command = f"predict qcanet {home}/embryo.tif --out out --server {address} --tile 6 6 6"
        result = zoo(tmp_path, command, code=2)
    assert "qcanet_ndn needs multiples of 4 on each axis" in result.stderr
    assert not (tmp_path / "out").exists()


def test_classical_needs_no_server(home, tmp_path):
    result = zoo(tmp_path, f"predict classical {home}/embryo.tif --out out --server localhost:1", code=2)
    assert "no network for a server to run" in result.stderr


@pytest.mark.parametrize(
    "options, words",
    [
        ("--server nowhere", "host:port"),
        ("--server localhost:1 --weights nsn=r", "not both"),
        ("--server localhost:1 --threshold auto --deadline 1", "no answer from a model server"),
        ("--deadline 3", "--deadline is for a server"),
        ("--in-flight 3", "--in-flight is for a server"),
        ("--server ''", "host:port"),
        ("--server localhost:1 --token t", "t: No such file"),
        ("--certificates c.pem", "give --server"),
    ],
)
def test_what_does_not_go_together_is_refused(home, tmp_path, options, words):
    result = zoo(tmp_path, f"predict qcanet {home}/embryo.tif --out out {options}", code=2)
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_tiles_are_for_networks_of_free_size(home, tmp_path):
    for name in ("classical", "cnn3d_yeast", "emrcnn"):
        result = zoo(tmp_path, f"predict {name} {home}/embryo.tif --out out --tile 16 16 16", code=2)
        assert f"--tile means nothing to {name}" in result.stderr
