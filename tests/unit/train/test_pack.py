import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from small_runs import make_run

from zoo import registry
from zoo.errors import InputError
from zoo.recipe import change
from zoo.train.members import create, trained
from zoo.train.pack import pack
from zoo.train.runs import checksum, open_run


@pytest.fixture
def run(tmp_path):
    made = make_run(tmp_path / "run", "qcanet_nsn")
    settings = made.settings | {"data": "/home/someone/bbbc050/train", "train": ["Emb01_t001"]}
    (made.path / "run.json").write_text(json.dumps(settings))
    (made.path / "threshold.json").write_text(json.dumps({"threshold": 0.61}))
    return open_run(made.path)


def test_a_packed_run_is_the_same_network_in_half_the_bytes(run, tmp_path):
    from zoo.train.loop import rebuild

    packed = open_run(pack(run, tmp_path / "packed"))
    before, after = rebuild(run), rebuild(packed)
    for old, new in zip(before.get_weights(), after.get_weights(), strict=True):
        assert new.dtype == np.float32
        np.testing.assert_array_equal(new, old.astype(np.float16))
    numbers = sum(weight.size for weight in before.get_weights())
    saved = run.best.stat().st_size - packed.best.stat().st_size
    assert saved == pytest.approx(2 * numbers, rel=0.05)  # the rest is the file's own
    image = np.random.default_rng(0).normal(size=(1, 8, 16, 16, 1)).astype(np.float32)
    np.testing.assert_allclose(
        after.predict_on_batch(image), before.predict_on_batch(image), atol=0.01, rtol=0
    )


def test_it_says_what_it_was_trained_on_but_not_where(run, tmp_path):
    (tmp_path / "card.md").write_text("# A card")
    packed = open_run(pack(run, tmp_path / "packed", tmp_path / "card.md"))
    assert packed.settings["data"] == "bbbc050/train"
    assert packed.settings["train"] == ["Emb01_t001"]
    assert packed.settings["sha256"] == checksum(packed.best)
    assert packed.threshold == 0.61
    assert (packed.path / "README.md").read_text() == "# A card"
    assert sorted(path.name for path in packed.path.iterdir()) == [
        "README.md",
        "best.weights.h5",
        "run.json",
        "threshold.json",
    ]
    assert not list(tmp_path.glob(".packed*"))


def test_the_best_epoch_is_told(run, tmp_path):
    assert open_run(pack(run, tmp_path / "none")).settings["best"] == {}
    rows = [{"epoch": 1, "val_iou": 0.6}, {"epoch": 2, "val_iou": 0.7}, {"epoch": 3, "val_iou": 0.5}]
    run.write_history(rows)
    run.checkpoint_file(3).touch()
    assert open_run(pack(run, tmp_path / "packed")).settings["best"] == {"epoch": 2, "val_iou": 0.7}


def test_changed_weights_are_refused(run, tmp_path):
    from zoo.train.loop import rebuild

    packed = open_run(pack(run, tmp_path / "packed"))
    with h5py.File(packed.best, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        file[names[0]][...] = file[names[0]][()] + 1
    with pytest.raises(InputError, match=r"packed/best.weights.h5 is not what was packed, its SHA-256"):
        rebuild(packed)


def test_numbers_too_large_for_half_precision_are_refused(run, tmp_path):
    from zoo.train.loop import build

    model = build(run.entry, run.recipe)
    model.set_weights([weight + 1e5 for weight in model.get_weights()])
    model.save_weights(run.best, overwrite=True)
    with pytest.raises(InputError, match="holds numbers too large for half precision"):
        pack(run, tmp_path / "packed")
    assert not list(tmp_path.glob("*packed*"))


def test_what_cannot_be_packed(run, tmp_path):
    with pytest.raises(InputError, match=r"run exists: choose another --out"):
        pack(run, run.path)
    run.best.unlink()
    with pytest.raises(InputError, match=r"run holds no weights yet"):
        pack(run, tmp_path / "packed")


@pytest.fixture
def ensemble(tmp_path):
    """Three members, of which the second has no weights."""
    entry = registry.get("mrcnn_ensemble")
    recipe = replace(change(entry.recipes["default"], entry.tiny), members=({}, {"backbone": 10}, {}))
    settings = {"entry": entry.name, "recipe": recipe.to_dict(), "seed": 0, "data": "/home/me/sets/train"}
    made = create(tmp_path / "ensemble", settings, overwrite=False)
    for n in (1, 3):
        member = make_run(tmp_path / f"made{n}", entry.name)
        shutil.copyfile(member.best, made.path / f"member{n}" / "best.weights.h5")
    return made


def test_an_ensemble_is_packed_with_the_members_that_have_weights(ensemble, tmp_path):
    from zoo.train.detector import rebuild

    packed = open_run(pack(ensemble, tmp_path / "packed"))
    assert packed.settings["data"] == "sets/train"
    members = trained(packed)
    assert list(members) == [1, 3]
    for n, member in members.items():
        assert member.settings["sha256"] == checksum(member.best)
        before = rebuild(trained(ensemble)[n]).model.get_weights()
        for old, new in zip(before, rebuild(member).model.get_weights(), strict=True):
            assert new.dtype == old.dtype
            np.testing.assert_array_equal(new, old.astype(np.float16))
        assert not list(member.path.glob("last*"))


def test_members_that_were_not_packed_together_are_refused(ensemble, tmp_path):
    packed = open_run(pack(ensemble, tmp_path / "packed"))
    shutil.rmtree(packed.path / "member3")
    with pytest.raises(InputError, match="does not hold the weights that were packed"):
        trained(packed)
    with pytest.raises(InputError, match="does not hold the weights that were packed"):
        pack(packed, tmp_path / "again")


def test_an_ensemble_without_weights_is_not_packed(ensemble, tmp_path):
    for n in (1, 3):
        (ensemble.path / f"member{n}" / "best.weights.h5").unlink()
    with pytest.raises(InputError, match=r"no member of .*ensemble has weights yet"):
        pack(ensemble, tmp_path / "packed")
    assert not list(tmp_path.glob("*packed*"))
