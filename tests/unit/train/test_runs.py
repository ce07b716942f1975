import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from zoo import registry
from zoo.data.datasets import Volume
from zoo.errors import InputError
from zoo.train.runs import COLUMNS, alone, create, describe, fingerprint, open_run

ENTRY = registry.get("qcanet_nsn")
RECIPE = replace(ENTRY.recipes["paper"], epochs=7, lr=0.3)


def volume(name="Emb01_t001", **arrays):
    truth = np.arange(24).reshape(2, 3, 4)
    parts = {"image": truth * 3, "labels": truth, "mask": truth > 2, "markers": truth > 9} | arrays
    return Volume(name=name, group=name, spacing=(1, 1, 1), **parts)


def settings():
    return describe(
        ENTRY,
        RECIPE,
        seed=5,
        precision="float32",
        data="somewhere",
        spacing=None,
        train=[volume("a"), volume("b")],
        validation=[volume("c")],
    )


def row(epoch, **values):
    return {"epoch": float(epoch), "loss": 1.0, "iou": 0.5, "lr": 0.1, "seconds": 2.0} | values


@pytest.fixture
def run(tmp_path):
    return create(tmp_path / "new" / "run", settings(), overwrite=False)


# create and open


def test_a_run_is_opened_with_what_it_was_made_with(run):
    again = open_run(run.path)
    assert again.settings == run.settings
    assert again.entry is ENTRY
    assert again.recipe == RECIPE
    assert (again.settings["train"], again.settings["validation"]) == (["a", "b"], ["c"])
    assert again.settings["seed"] == 5
    assert {"cellzoo", "tensorflow", "keras", "python"} <= set(again.settings["versions"])
    assert [path.name for path in run.path.iterdir()] == ["run.json"]


def test_a_run_that_exists_is_not_mixed_with_another(run):
    (run.path / "history.csv").write_text("epoch\n1\n")
    with pytest.raises(InputError, match="exists: go on with --resume, start anew with --overwrite"):
        create(run.path, settings(), overwrite=False)
    assert (run.path / "history.csv").exists()
    create(run.path, settings() | {"seed": 6}, overwrite=True)
    assert [path.name for path in run.path.iterdir()] == ["run.json"]
    assert open_run(run.path).settings["seed"] == 6


def test_what_else_lies_in_a_run_is_never_removed(run):
    for name in (
        "best.weights.h5",
        "last-0003.weights.h5",
        "learning_curve.png",
        "provenance.json",
        ".1a2b.csv",
    ):
        (run.path / name).touch()
    (run.path / "data" / "images").mkdir(parents=True)
    (run.path / "mine.toml").write_text("epochs = 3")
    with pytest.raises(InputError, match=r"holds data, mine\.toml too, so it is not removed: move that away"):
        create(run.path, settings(), overwrite=True)
    assert (run.path / "best.weights.h5").exists()


def test_a_run_that_is_trained_is_let_alone(run):
    with alone(run.path):
        with pytest.raises(InputError, match=r"trains in .*: wait until it is done"), alone(run.path):
            pass
        with pytest.raises(InputError, match="another command trains in"):
            create(run.path, settings(), overwrite=True)
        assert [path.name for path in run.path.iterdir()] == ["run.json"]
    create(run.path, settings(), overwrite=True)
    with alone(run.path):
        pass


def test_what_is_no_run_is_never_removed(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for path in (tmp_path / "thesis", tmp_path / "file"):
        with pytest.raises(InputError, match=r"is not a run folder .* so it is not removed"):
            create(path, settings(), overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "dear"
    assert (tmp_path / "file").read_text() == "dear"


def test_an_empty_folder_may_become_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    create(tmp_path / "run", settings(), overwrite=True)
    assert open_run(tmp_path / "run").recipe == RECIPE


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(InputError, match=r"is not a run folder \(no run\.json\)"):
            open_run(path)


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "cannot be used: Expecting"),
        ("[]", "cannot be used"),
        ("{}", "cannot be used: 'entry'"),
        ('{"entry": "qcanet_nsn"}', "cannot be used: 'recipe'"),
        ('{"entry": "qcanet_nsn", "recipe": []}', "cannot be used"),
        ('{"entry": "classical", "recipe": {}}', "cannot be used"),
        ('{"entry": "qcanet_xyz", "recipe": {}}', "unknown model 'qcanet_xyz'"),
        ('{"entry": "qcanet_nsn", "recipe": {"depth": 3}}', "unknown recipe key 'depth'"),
        ('{"entry": "qcanet_nsn", "recipe": {"base": 0}}', "base=0 must be above 0"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path, text, words):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=words):
        open_run(tmp_path)


# checkpoints and history


def test_the_last_checkpoint_counts(run):
    assert run.checkpoint() is None
    for epoch in (2, 9, 10, 12345):
        run.checkpoint_file(epoch).touch()
        assert run.checkpoint() == (epoch, run.checkpoint_file(epoch))
    for name in ("last-99999x.weights.h5", "last-.weights.h5", ".last-99999.weights.h5", "best.weights.h5"):
        (run.path / name).touch()
    assert run.checkpoint()[0] == 12345


def test_history_comes_back_as_it_was_written(run):
    rows = [row(1), row(2, val_loss=0.75, val_iou=1 / 3, iou=1e-7)]
    run.write_history(rows)
    run.checkpoint_file(2).touch()
    assert run.history() == rows
    with (run.path / "history.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == [name for name in COLUMNS if name not in ("val_seg", "val_f1")]  # a detector's
    assert table[1] == ["1", "1.0", "0.5", "", "", "0.1", "2.0"]


def test_an_epoch_without_its_checkpoint_was_not_finished(run):
    run.write_history([row(1), row(2), row(3)])
    assert run.history() == []
    run.checkpoint_file(2).touch()
    assert run.history() == [row(1), row(2)]


def test_no_history_yet(run):
    assert run.history() == []


# describe and fingerprint


def test_settings_are_plain_values():
    described = settings()
    assert json.loads(json.dumps(described)) == described
    assert described["recipe"]["lr"] == 0.3


def test_a_fingerprint_is_of_names_voxel_sizes_images_and_truths():
    truth = np.arange(24).reshape(2, 3, 4)
    same = fingerprint([volume(), volume("b")])
    assert same == fingerprint([volume(), volume("b")])
    others = [
        [volume("b"), volume()],
        [replace(volume(), spacing=(20.0, 1.0, 1.0)), volume("b")],
        [volume(name="caf\udce9"), volume("b")],  # no UTF-8
        [volume()],
        [volume(), volume("c")],
        [volume(image=truth * 3.0), volume("b")],
        [volume(image=truth * 3 + (truth == 5)), volume("b")],
        [volume(labels=truth + 1), volume("b")],
        [volume(mask=truth > 3), volume("b")],
        [volume(markers=truth > 8), volume("b")],
        [volume(image=(truth * 3).reshape(3, 2, 4)), volume("b")],
    ]
    assert len({same, *map(fingerprint, others)}) == 1 + len(others)


def test_a_fingerprint_does_not_depend_on_the_memory_layout():
    turned = np.asfortranarray(np.arange(24).reshape(2, 3, 4))
    assert fingerprint([volume(labels=turned)]) == fingerprint([volume()])


@pytest.mark.parametrize(
    "text", [None, "", "epoch,loss\none,two\n", "loss\n0.5\n", "epoch,loss,iou\n2,0.5,0.5\n"]
)
def test_a_history_that_lacks_epochs_is_refused(run, text):
    run.checkpoint_file(2).touch()
    if text is not None:
        (run.path / "history.csv").write_text(text)
    with pytest.raises(InputError, match="does not hold the 2 epochs of last-0002"):
        run.history()


def test_a_link_to_a_run_is_not_removed(run, tmp_path):
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(InputError, match="it is not removed"):
        create(tmp_path / "link", settings(), overwrite=True)
    assert (run.path / "run.json").is_file()


# the threshold


@pytest.mark.parametrize(
    "content, words",
    [
        (None, r"has no threshold of its own .*--threshold 0\.5"),
        ("{}", "cannot be used"),
        ("nonsense", "cannot be used"),
        ('{"threshold": 1.5}', "says 1.5, which is not between 0 and 1"),
    ],
)
def test_a_run_without_a_usable_threshold_says_so(tmp_path, content, words):
    run = create(tmp_path / "run", settings(), overwrite=False)
    if content is not None:
        (run.path / "threshold.json").write_text(content)
    with pytest.raises(InputError, match=words):
        _ = run.threshold


def test_the_threshold_of_a_run(tmp_path):
    run = create(tmp_path / "run", settings(), overwrite=False)
    (run.path / "threshold.json").write_text('{"threshold": 0.42, "iou": 0.7}')
    assert run.threshold == 0.42
