"""Phantoms to a run folder, and on from wherever a run was cut off."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from zoo import registry
from zoo.cli import main
from zoo.data.datasets import Volume
from zoo.data.phantom import embryo
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError
from zoo.recipe import change
from zoo.train import loop
from zoo.train.batches import WholeVolumes, prepare_example
from zoo.train.loop import fit, rebuild
from zoo.train.losses import ForegroundIoU
from zoo.train.runs import create, describe, open_run
from zoo.train.schedule import learning_rate

pytestmark = pytest.mark.slow

ENTRY = registry.get("qcanet_nsn")
# both classes weigh the same, so that so few steps find some foreground
TINY = change(
    ENTRY.recipes["default"], ENTRY.tiny | {"epochs": 4, "batch": 2, "lr": 0.03, "loss": "weighted_ce"}
)


@pytest.fixture(scope="module")
def volumes():
    """Three small embryos of 4, 5 and 6 nuclei, and one to validate on."""
    made = [embryo(seed, nuclei=seed + 4, shape=(20, 48, 48), debris=0) for seed in range(4)]
    return [
        Volume(
            name=f"phantom{seed}",
            group=f"phantom{seed}",
            image=phantom.image,
            labels=phantom.labels,
            mask=phantom.mask,
            markers=phantom.markers,
            spacing=phantom.spacing,
        )
        for seed, phantom in enumerate(made)
    ]


def new_run(path, volumes, recipe=TINY):
    described = describe(
        ENTRY,
        recipe,
        seed=3,
        precision="float32",
        data="phantoms",
        spacing=None,
        train=volumes[:3],
        validation=volumes[3:],
    )
    return create(path, described, overwrite=False)


@pytest.fixture(scope="module")
def finished(volumes, tmp_path_factory):
    """A run of four epochs that nothing disturbed; not to be changed."""
    run = new_run(tmp_path_factory.mktemp("runs") / "finished", volumes)
    return run, fit(run, volumes[:3], volumes[3:])


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run to be changed."""
    return open_run(shutil.copytree(finished[0].path, tmp_path / "copied"))


def without_seconds(history):
    """Epochs as rows, sorted columns, but for the time they took."""
    names = sorted(set(history[0]) - {"seconds"})
    return names, [[row[name] for name in names] for row in history]


# an undisturbed run


def test_a_run_leaves_all_its_files_and_no_others(finished):
    run, _ = finished
    assert sorted(path.name for path in run.path.iterdir()) == [
        "best.weights.h5",
        "history.csv",
        "last-0004.weights.h5",
        "learning_curve.png",
        "run.json",
        "tensorboard",
        "threshold.json",
    ]
    assert list((run.path / "tensorboard").rglob("*tfevents*"))


def test_its_history_is_written_and_returned(finished):
    run, history = finished
    assert run.history() == history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert [row["lr"] for row in history] == pytest.approx(
        [learning_rate(TINY, history[:n]) for n in range(4)]
    )
    assert {"loss", "iou", "val_loss", "val_iou", "seconds"} < set(history[0])
    assert np.isfinite(without_seconds(history)[1]).all()
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_model_is_rebuilt_from_the_folder_with_its_best_weights(finished, volumes):
    run, history = finished
    model = rebuild(open_run(run.path))
    image, target = WholeVolumes([prepare_example(volumes[3], ENTRY, TINY)], TINY.multiple)[0]
    iou = ForegroundIoU()
    iou.update_state(target, model(image, training=False))
    best = max(row["val_iou"] for row in history)
    assert best > history[-1]["val_iou"]  # so that the last weights would not do
    assert float(iou.result()) == pytest.approx(best, abs=1e-4)


def test_a_finished_run_has_nothing_to_resume(copied, finished, volumes):
    before = copied.best.read_bytes()
    assert fit(copied, volumes[:3], volumes[3:]) == finished[1]
    assert copied.best.read_bytes() == before
    assert keras.config.dtype_policy().name == "float32"


# weights that do not fit


def test_a_run_without_weights(volumes, tmp_path):
    with pytest.raises(InputError, match=r"holds no weights yet .*train it for an epoch"):
        rebuild(new_run(tmp_path / "run", volumes))


def test_weights_that_were_cut_short(copied, volumes):
    whole = copied.best.read_bytes()
    copied.best.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"best\.weights\.h5 cannot be loaded, as they are damaged"):
        rebuild(copied)
    _, last = copied.checkpoint()
    last.rename(copied.checkpoint_file(2)).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"last-0002\.weights\.h5 cannot be loaded into qcanet_nsn"):
        fit(copied, volumes[:3], volumes[3:])


@pytest.mark.parametrize(
    "other", [{"base": 4}, {"poolings": 1}, {"poolings": 3}, {"kernel": 5}, {"norm": "batch"}]
)
def test_weights_of_another_network(copied, other):
    settings = copied.settings | {"recipe": change(TINY, other).to_dict()}
    (copied.path / "run.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"best\.weights\.h5 cannot be loaded into qcanet_nsn"):
        rebuild(open_run(copied.path))


# runs that were cut off


def test_a_run_cut_off_and_resumed_equals_one_that_was_not(finished, volumes, tmp_path, monkeypatch):
    run = new_run(tmp_path / "run", volumes)
    save = loop._save

    def stop_at_the_third(model, path):
        if path.name.startswith("last-0003"):  # history and best weights of this epoch are written already
            raise KeyboardInterrupt
        save(model, path)

    monkeypatch.setattr(loop, "_save", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        fit(run, volumes[:3], volumes[3:])
    monkeypatch.undo()
    assert run.checkpoint()[0] == 2
    with (run.path / "history.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3

    history = fit(open_run(run.path), volumes[:3], volumes[3:])
    names, rows = without_seconds(history)
    expected_names, expected = without_seconds(finished[1])
    assert names == expected_names
    np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-5)
    assert run.history() == history
    for once, again in zip(rebuild(finished[0]).weights, rebuild(run).weights, strict=True):
        np.testing.assert_allclose(again.numpy(), once.numpy(), rtol=1e-2, atol=1e-4)
    assert sorted(p.name for p in run.path.iterdir()) == sorted(p.name for p in finished[0].path.iterdir())


def test_a_run_without_validation_stops_early_and_stays_stopped(volumes, tmp_path):
    recipe = change(TINY, {"epochs": 9, "patience": 1, "lr": 1e-12, "augment": "none", "patch": (16, 12, 12)})
    run = new_run(tmp_path / "run", volumes, recipe)
    history = fit(run, volumes[:1], [])
    assert "val_iou" not in history[0]
    ious = [row["iou"] for row in history]
    assert len(ious) < 9
    assert ious[-1] <= ious[-2]  # the first epoch that was no better
    assert ious[:-1] == sorted(set(ious[:-1]))
    assert fit(open_run(run.path), volumes[:1], []) == history


def test_killed_and_resumed_from_the_command_line(volumes, tmp_path):
    data, out = tmp_path / "data", tmp_path / "run"
    for volume in volumes:
        write_image(data / "images" / f"{volume.name}.tif", volume.image, volume.spacing)
        write_labels(data / "labels" / f"{volume.name}.tif", volume.labels, volume.spacing)
    epochs = 8
    settings = ["base=2", "patch=16,16,16", "voxel_um=3.2", f"epochs={epochs}"]
    words = ["train", "qcanet_nsn", "--data", str(data), "--out", str(out)]
    words += [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-c", "from zoo.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not list(out.glob("last-*.weights.h5")) and process.poll() is None:
            assert time.monotonic() < deadline, "no checkpoint came"
            time.sleep(0.02)
        process.kill()
        _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    done = open_run(out).checkpoint()[0]
    assert done < epochs

    resumed = CliRunner().invoke(main, ["train", "qcanet_nsn", "--out", str(out), "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert f"going on after epoch {done}" in resumed.output
    with (out / "history.csv").open() as file:
        assert [int(row["epoch"]) for row in csv.DictReader(file)] == list(range(1, epochs + 1))
    assert open_run(out).checkpoint() == (epochs, open_run(out).checkpoint_file(epochs))
    rebuild(open_run(out))
