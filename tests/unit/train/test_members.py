from dataclasses import replace

import numpy as np
import pytest

from zoo import registry
from zoo.data.datasets import Volume
from zoo.errors import InputError
from zoo.recipe_detector import DetectorRecipe
from zoo.train.members import alike, create, open_members
from zoo.train.runs import describe, open_run

MEMBERS = ({"backbone": 10}, {"backbone": 34, "anchor": 3.0}, {"backbone": 10}, {})
RECIPE = DetectorRecipe(members=MEMBERS, epochs=3, lr=0.25)


def settings(recipe=RECIPE, seed=11):
    truth = np.arange(24).reshape(2, 3, 4)
    volume = Volume(
        name="a", group="a", image=truth, labels=truth, mask=truth > 2, markers=truth > 9, spacing=(1, 1, 1)
    )
    return describe(
        registry.get("mrcnn_ensemble"),
        recipe,
        seed=seed,
        precision="float32",
        data="somewhere",
        spacing=None,
        train=[volume],
        validation=[],
    )


@pytest.fixture
def ensemble(tmp_path):
    return create(tmp_path / "run", settings(), overwrite=False)


# create


def test_an_ensemble_holds_a_run_folder_a_member(ensemble):
    names = {str(path.relative_to(ensemble.path)) for path in ensemble.path.rglob("*") if path.is_file()}
    assert names == {"run.json", *(f"member{n}/run.json" for n in range(1, 5))}
    assert open_run(ensemble.path).recipe == RECIPE


def test_a_member_has_its_own_recipe_and_seed_and_shares_the_rest(ensemble):
    members = open_members(ensemble)
    plain = replace(RECIPE, members=())
    assert {n: run.recipe for n, run in members.items()} == {
        1: replace(plain, backbone=10),
        2: replace(plain, backbone=34, anchor=3.0),
        3: replace(plain, backbone=10),
        4: plain,
    }
    assert [run.settings["seed"] for run in members.values()] == [11, 12, 13, 14]
    for run in members.values():
        own = {**run.settings, "recipe": None, "seed": None}
        assert own == {**ensemble.settings, "recipe": None, "seed": None}


def test_an_ensemble_that_exists_is_replaced_only_where_asked(ensemble):
    (ensemble.path / "member2" / "best.weights.h5").touch()
    with pytest.raises(InputError, match="exists: go on with --resume"):
        create(ensemble.path, settings(), overwrite=False)
    assert (ensemble.path / "member2" / "best.weights.h5").exists()
    create(ensemble.path, settings(replace(RECIPE, members=MEMBERS[:2]), seed=3), overwrite=True)
    assert sorted(path.name for path in ensemble.path.iterdir()) == ["member1", "member2", "run.json"]
    assert [path.name for path in (ensemble.path / "member2").iterdir()] == ["run.json"]
    assert [run.settings["seed"] for run in open_members(open_run(ensemble.path)).values()] == [3, 4]


@pytest.mark.parametrize(
    "wrong, words",
    [({"bakcbone": 10}, "unknown recipe key 'bakcbone'"), ({"backbone": 11}, "backbone=11 must be one of")],
)
def test_a_members_bad_settings_leave_all_as_it_was(ensemble, tmp_path, wrong, words):
    bad = settings(replace(RECIPE, members=({"backbone": 10}, wrong)))
    for path in (ensemble.path, tmp_path / "new"):
        with pytest.raises(InputError, match=words):
            create(path, bad, overwrite=True)
    assert not (tmp_path / "new").exists()
    assert len(open_members(ensemble)) == 4


# open_members


@pytest.mark.parametrize("numbers", [(3,), (2, 4), (4, 1)])
def test_some_members_are_opened(ensemble, numbers):
    opened = open_members(ensemble, numbers)
    assert tuple(opened) == numbers
    assert [run.path for run in opened.values()] == [ensemble.path / f"member{n}" for n in numbers]


@pytest.mark.parametrize("number", [0, 5, -1])
def test_members_that_an_ensemble_does_not_have(ensemble, number):
    with pytest.raises(InputError, match=rf"--member {number}: .*run has members 1 to 4"):
        open_members(ensemble, (1, number))


def test_a_members_missing_or_damaged_folder_is_named(ensemble):
    (ensemble.path / "member2" / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"member2/run\.json cannot be used"):
        open_members(ensemble)
    (ensemble.path / "member2" / "run.json").unlink()
    with pytest.raises(InputError, match=r"member2 is not a run folder"):
        open_members(ensemble, (2,))
    assert list(open_members(ensemble, (1, 3))) == [1, 3]


# alike


def test_members_of_one_recipe_are_alike_whatever_their_seed(ensemble):
    members = open_members(ensemble)
    assert alike(members) == [[1, 3], [2], [4]]
    assert alike({n: members[n] for n in (4, 3)}) == [[4], [3]]
    assert alike({}) == []
