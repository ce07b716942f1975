"""``zoo export`` and ``zoo export-check`` as users type them, and what they refuse."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from refusal import Bad, bad, check_refused

from zoo import registry
from zoo.cli import main
from zoo.recipe import change


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Run folders of untrained networks, one without weights, and a file where a folder is wanted."""
    from zoo.train import runs
    from zoo.train.loop import build

    folder = tmp_path_factory.mktemp("files")
    for path, name, base in (("runs/cnn3d_yeast_unet", "cnn3d_yeast_unet", 3), ("nsn", "qcanet_nsn", 2)):
        entry = registry.get(name)
        recipe = change(entry.recipes["default"], {**entry.tiny, "base": base})
        (folder / path).parent.mkdir(exist_ok=True)
        settings = {"entry": name, "recipe": recipe.to_dict(), "seed": 0}
        run = runs.create(folder / path, settings, overwrite=False)
        model, rng = build(entry, recipe), np.random.default_rng(0)
        model.set_weights([w + rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
        model.save_weights(run.best)
    ensemble = registry.get("mrcnn_ensemble")  # detectors take long: these have no weights
    settings = {"entry": ensemble.name, "recipe": ensemble.recipes["default"].to_dict(), "seed": 0}
    runs.create(folder / "runs" / ensemble.name, settings, overwrite=False)
    shutil.copytree(folder / "nsn", folder / "untrained")
    (folder / "untrained" / "best.weights.h5").unlink()
    shutil.copytree(folder / "nsn", folder / "other")
    shutil.copy(folder / "runs" / "cnn3d_yeast_unet" / "best.weights.h5", folder / "other")
    (folder / "file").write_text("no folder")
    (folder / "empty").mkdir()
    return folder


def run(here, *words):
    with chdir(here):
        return CliRunner().invoke(main, [str(word) for word in words], prog_name="zoo")


def test_all_are_exported_checked_and_found_damaged(files, tmp_path):
    done = run(files, "export", "--all", "--out", tmp_path / "models")
    assert done.exit_code == 0, done.output
    written = {entry.name for entry in registry.entries() if entry.pretrained} - {"mrcnn_ensemble"}
    assert set(done.stdout.split()) == {str(tmp_path / "models" / name / "1") for name in written}
    (line,) = [line for line in done.stderr.splitlines() if "no weights:" in line]
    left = line.partition("no weights: ")[2].split(", ")
    assert set(left) == {entry.name for entry in registry.entries() if entry.trainable} - written
    assert 'name: "cnn3d_yeast_unet"' in (tmp_path / "models" / "models.config").read_text()
    first = tmp_path / "models" / "cnn3d_yeast_unet" / "1"
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}

    weights = files / "runs" / "cnn3d_yeast_unet"
    done = run(tmp_path, "export", "cnn3d_yeast_unet", "--weights", weights, "--out", "models")
    assert done.exit_code == 0, done.output
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    assert done.stdout.split() == ["models/cnn3d_yeast_unet/2"]
    assert "value: 2" in (tmp_path / "models" / "models.config").read_text()

    done = run(tmp_path, "export-check", "models")
    assert done.exit_code == 0, done.output
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["cnn3d_yeast_unet", "1"],
        ["cnn3d_yeast_unet", "2"],
        *([name, "1"] for name in sorted(written - {"cnn3d_yeast_unet"})),
    ]
    assert all(line.endswith("ok") for line in done.stdout.splitlines()[1:])

    graph = first / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:-1])
    done = run(tmp_path, "export-check", "models")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()[1:]
    assert "saved_model.pb is not as it was exported" in lines[0]
    assert lines[1].endswith("ok")


CASES = [
    bad("unknown", "export qcanet_nns --out m", "did you mean 'qcanet_nsn'?"),
    bad("nothing", "export --out m", "give the name of a model or --all"),
    bad("both", "export unet3d --all --out m", "give the name of a model or --all"),
    bad("all with weights", "export --all --weights @/nsn --out m", "leave out --weights"),
    bad("no network", "export classical --out m", "classical has no network to export"),
    bad("no out", "export unet3d", "--out"),
    bad("no run", "export unet3d --out m", "no weights for unet3d: there is no run folder runs/unet3d"),
    bad("not a run", "export unet3d --weights @/empty --out m", "is not a run folder"),
    bad("another entry", "export unet3d --weights @/nsn --out m", "weights of qcanet_nsn, not of unet3d"),
    bad("untrained", "export qcanet_nsn --weights @/untrained --out m", "holds no weights yet"),
    bad("another network", "export qcanet_nsn --weights @/other --out m", "@/other/best.weights.h5"),
    bad("out in a file", "export qcanet_nsn --weights @/nsn --out @/file/m", "cannot be a folder, as @/file"),
    bad("nothing to check", "export-check @/empty", "@/empty holds no exported model"),
    bad("nowhere to check", "export-check @/nowhere", "@/nowhere holds no exported model"),
]


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_a_line(case: Bad, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


def test_an_out_folder_without_permission_is_refused(files, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode, **_: not mode & os.W_OK)
    check_refused(
        f"export qcanet_nsn --weights @/nsn --out {tmp_path}/models",
        ("cannot be written to",),
        files,
        tmp_path,
    )


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = [Path(sys.executable).with_name("zoo"), "export", "qcanet_nsn", "--out", "m"]
    done = subprocess.run(words, cwd=tmp_path, preexec_fn=small_files, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "the SavedModel of qcanet_nsn cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.*"))
