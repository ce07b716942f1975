"""Which run of a network may be asked about a volume: one that did not see it in training."""

import json
from pathlib import Path

import pytest
from left_runs import A, B, C, candidate, leave_run

from zoo import registry
from zoo.data.datasets import Sample
from zoo.defaults import PRETRAINED
from zoo.errors import InputError
from zoo.unseen import Candidate, choose_runs, comparable, explain, find_candidates, group_by_runs

# the choice of runs

FOLDS = {
    "nsn": [candidate("nsn1", A), candidate("nsn2", B)],
    "ndn": [candidate("ndn1", [*A, *C]), candidate("ndn2", [*B, *C])],
}


def test_each_network_takes_its_first_run_that_did_not_know_the_volume():
    nsn1, nsn2, ndn1, ndn2 = (run for runs in FOLDS.values() for run in runs)
    chosen, lacking = choose_runs(FOLDS, ["b_t1", *A, *C, "b_t2"])
    assert chosen == {
        "b_t1": {"nsn": nsn1, "ndn": ndn1},
        "a_t1": {"nsn": nsn2, "ndn": ndn2},
        "a_t2": {"nsn": nsn2, "ndn": ndn2},
        "b_t2": {"nsn": nsn1, "ndn": ndn1},
    }
    assert list(chosen) == ["b_t1", *A, "b_t2"]
    assert lacking == {"c_t1": ("ndn",)}  # nsn1 would do, ndn knew it in both folds


def test_parts_of_a_method_may_come_from_different_folds():
    runs = {"nsn": [candidate("1", A)], "ndn": [candidate("1", B), candidate("2", A), candidate("3", [])]}
    chosen, lacking = choose_runs(runs, [*B, *C])
    assert [chosen[volume]["ndn"].path.name for volume in (*B, *C)] == ["2", "2", "1"]
    assert lacking == {}


def test_without_networks_nothing_is_left_out():
    assert choose_runs({}, A) == ({"a_t1": {}, "a_t2": {}}, {})


def test_volumes_of_the_same_runs_go_together():
    nsn1, nsn2, *_ = (run for runs in FOLDS.values() for run in runs)
    chosen, _ = choose_runs(FOLDS, ["b_t1", *A, "b_t2"])
    assert group_by_runs(["nsn"], chosen) == [({"nsn": nsn1}, B), ({"nsn": nsn2}, A)]
    assert group_by_runs([], chosen) == [({}, ["b_t1", *A, "b_t2"])]


def test_what_is_left_out_is_counted_by_reason():
    samples = [Sample(name=name, group=name[0], load=lambda: None) for name in (*A, *B, *C)]
    told = explain(samples, {"a_t1": ("ndn",), "b_t1": ("nsn", "ndn"), "c_t1": ("ndn",)})
    assert told == [
        "2 of 5 volumes (a, c) are left out: every run of ndn was trained on or validated by them",
        "1 of 5 volumes (b) are left out: every run of nsn and of ndn was trained on or validated by them",
    ]
    assert explain(samples, {}) == []


# methods and their weights


def test_methods_are_those_that_make_whole_nuclei():
    assert comparable() == ("qcanet", "unet3d", "emrcnn", "classical")


def test_what_has_no_weights_is_left_out_and_named(here):
    leave_run("mine", "qcanet_nsn", A)
    found, left_out = find_candidates([], ["qcanet_nsn=mine"])
    assert [line.split(":")[0] for line in left_out] == ["unet3d has no weights for unet3d and is left out"]
    leave_run("runs/unet3d", "unet3d", A, B)
    found, left_out = find_candidates([], ["qcanet_nsn=mine"])
    assert left_out == []
    size = registry.get("unet3d").size.load()(registry.get("unet3d").recipes["default"])
    run = Candidate(Path("runs/unet3d"), frozenset([*A, *B]), size)
    assert found["unet3d"] == {"unet3d": [run]}
    assert found["classical"] == {}
    assert [one.path for one in found["qcanet"]["qcanet_nsn"]] == [Path("mine")]
    assert [one.path for one in found["qcanet"]["qcanet_ndn"]] == [PRETRAINED / "qcanet_ndn"]
    assert [one.path for one in found["emrcnn"]["mrcnn_ensemble"]] == [PRETRAINED / "mrcnn_ensemble"]


def test_a_default_run_without_weights_is_left_out_and_one_that_is_named_refused(here):
    leave_run("runs/unet3d", "unet3d", A)
    for file in Path("runs/unet3d").glob("*.h5"):
        file.unlink()
    found, left_out = find_candidates([], [])
    assert "unet3d" not in found
    assert any(line.startswith("unet3d has no weights for unet3d and is left out") for line in left_out)
    with pytest.raises(InputError, match="holds no weights yet"):
        find_candidates([], ["unet3d=runs/unet3d"])


def test_runs_that_are_given_stand_for_the_default_one(here):
    for folder, train in (("runs/unet3d", A), ("fold=1", B), ("fold=2", C)):
        leave_run(folder, "unet3d", train)
    found, left_out = find_candidates(["unet3d"], ["unet3d=fold=1", "unet3d=fold=2"])
    assert [run.path.name for run in found["unet3d"]["unet3d"]] == ["fold=1", "fold=2"]
    assert left_out == []


def test_an_ensemble_knew_what_any_of_its_members_knew(here):
    members = [{"backbone": 10}, {"backbone": 18}]
    leave_run("run", "mrcnn_ensemble", A, best=False, members=members)
    leave_run("run/member1", "mrcnn_ensemble", A, B, members=[], backbone=10)
    leave_run("run/member2", "mrcnn_ensemble", C, best=False, members=[], backbone=18)  # not trained yet
    found, _ = find_candidates(["emrcnn"], ["mrcnn_ensemble=run"])
    (run,) = found["emrcnn"]["mrcnn_ensemble"]
    assert run.known == {*A, *B}
    one, two = (registry.get("mrcnn_ensemble").size.load()(recipe_of(f"run/member{i}")) for i in (1, 2))
    assert run.parameters == one < two


def recipe_of(folder):
    from zoo.train.runs import open_run

    return open_run(Path(folder)).recipe


@pytest.mark.parametrize(
    "asked, given, words",
    [
        (["qcanets"], [], "unknown method 'qcanets': did you mean 'qcanet'"),
        (["qcanet_nsn"], [], "unknown method 'qcanet_nsn': .*allowed are classical, emrcnn, qcanet, unet3d"),
        (["unet3d"], [], "unet3d has no weights for unet3d: 'zoo train unet3d'"),
        ([], ["run"], "--weights run does not say which network it is for: give NETWORK=RUN"),
        ([], ["unet3="], "--weights unet3= does not say"),
        ([], ["unet3=run"], "unknown network of these methods 'unet3': did you mean 'unet3d'"),
        (["classical", "unet3d"], ["qcanet_nsn=run"], "unknown network .*allowed are unet3d"),
        ([], ["unet3d=none"], "none is not a run folder"),
        ([], ["unet3d=run"], "run holds weights of qcanet_nsn, not of unet3d"),
        ([], ["unet3d=bare"], "bare holds no weights yet"),
        ([], ["unet3d=silent"], "silent does not say which volumes it was trained on"),
        ([], ["mrcnn_ensemble=young"], "no member of young has weights yet"),
    ],
)
def test_what_cannot_be_compared(here, asked, given, words):
    leave_run("run", "qcanet_nsn")
    leave_run("bare", "unet3d", best=False)
    leave_run("silent", "unet3d")
    leave_run("young", "mrcnn_ensemble", best=False)
    settings = json.loads(Path("silent/run.json").read_text())
    del settings["train"]
    Path("silent/run.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=words):
        find_candidates(asked, given)
