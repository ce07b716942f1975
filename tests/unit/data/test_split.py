import numpy as np
import pytest

from zoo.data.datasets import DataSet, Sample, Volume
from zoo.data.split import load_checked, split
from zoo.errors import InputError


def volume(name="a", **arrays):
    truth = np.zeros((4, 5, 6), bool)
    truth[1:3, 1:3, 1:3] = True
    parts = {"image": truth * 9.0, "labels": truth * 2, "mask": truth, "markers": truth} | arrays
    return Volume(name=name, group=name, spacing=(1, 1, 1), **parts)


def dataset(groups, times=3, validation=()):
    samples = [Sample(name=f"{g}_t{t}", group=g, load=lambda: None) for g in groups for t in range(times)]
    return DataSet(layout="toy", samples=tuple(samples), validation=frozenset(validation))


def names(samples):
    return [sample.name for sample in samples]


# split


def test_groups_asked_for_validate():
    train, validation = split(dataset("abc", times=2), ["b"], seed=0)
    assert names(train) == ["a_t0", "a_t1", "c_t0", "c_t1"]
    assert names(validation) == ["b_t0", "b_t1"]


def test_the_data_sets_own_split_comes_next():
    own = dataset("abc", times=1, validation=["c_t0"])
    assert names(split(own, [], seed=0)[1]) == ["c_t0"]
    assert names(split(own, ["a"], seed=0)[1]) == ["a_t0"]


@pytest.mark.parametrize("count, validating", [(1, 0), (2, 1), (8, 1), (11, 1), (12, 2), (24, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_else_one_group_in_eight_is_drawn_whole(count, validating, seed):
    whole = dataset([f"Emb{n:02d}" for n in range(count)])
    train, validation = split(whole, [], seed)
    assert len({s.group for s in validation}) == validating
    assert {s.group for s in train}.isdisjoint({s.group for s in validation})
    assert sorted(names(train) + names(validation)) == sorted(names(whole.samples))


def test_the_draw_depends_on_the_seed_alone():
    whole = dataset([f"Emb{n:02d}" for n in range(11)])
    draws = [tuple(names(split(whole, [], seed)[1])) for seed in range(20)]
    assert draws == [tuple(names(split(whole, [], seed)[1])) for seed in range(20)]
    assert len(set(draws)) > 5


def test_nothing_left_to_train_on():
    with pytest.raises(InputError, match=r"no volume is left to train on: all groups \(a, b\) validate"):
        split(dataset("ab"), ["a", "b"], seed=0)
    with pytest.raises(InputError, match="no embryo or group z"):
        split(dataset("ab"), ["z"], seed=0)


# load_checked


def sample(name, load):
    return Sample(name=name, group=name, load=load)


def test_good_volumes_come_in_order():
    volumes = [volume(name) for name in "ab"]
    loaded = load_checked([sample(v.name, lambda v=v: v) for v in volumes])
    assert loaded[0] is volumes[0]
    assert loaded[1] is volumes[1]


def test_all_faults_are_told_at_once():
    def unreadable():
        raise InputError("broken.tif is truncated")

    nothing = np.zeros((4, 5, 6), bool)
    samples = [
        sample("good", volume),
        sample("broken", unreadable),
        sample("empty", lambda: volume(mask=nothing, markers=nothing)),
        sample("unmarked", lambda: volume(markers=nothing)),
    ]
    with pytest.raises(InputError) as fault:
        load_checked(samples)
    assert str(fault.value) == (
        "3 of 4 training volumes cannot be used: broken.tif is truncated; "
        "empty: its truth holds no object; unmarked: its truth holds no marker"
    )


def test_a_long_list_of_faults_is_cut():
    nothing = np.zeros((4, 5, 6), bool)
    samples = [sample(f"v{n}", lambda: volume(mask=nothing)) for n in range(30)]
    with pytest.raises(InputError, match=r"30 of 30 .*v19: its truth holds no object; \.\.\.$"):
        load_checked(samples)


def test_faults_of_the_program_are_not_swallowed():
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load_checked([sample("a", broken)])
