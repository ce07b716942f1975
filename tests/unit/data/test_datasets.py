"""Which volumes of a data set are taken, and for what; synthetic ones."""

import json

import numpy as np
import pytest
from tiny_sets import image, labels, names, put

from zoo.data.datasets import DataSet, Sample, synthetic
from zoo.data.layouts import find
from zoo.data.split import split
from zoo.errors import InputError

# choosing


def toy():
    samples = [Sample(name=f"{g}_{i}", group=g, load=lambda: None) for g in "cab" for i in range(2)]
    return DataSet(layout="toy", samples=tuple(samples), validation=frozenset({"a_0", "b_1"}))


def test_only_and_without():
    dataset = toy()
    assert dataset.groups == ("a", "b", "c")
    kept = dataset.only(["a", "c"])
    assert names(kept.samples) == ["c_0", "c_1", "a_0", "a_1"]
    assert kept.validation == {"a_0"}
    assert names(dataset.without(["a"]).samples) == ["c_0", "c_1", "b_0", "b_1"]
    assert dataset.without([]).samples == dataset.samples


@pytest.mark.parametrize("choose", [DataSet.only, DataSet.without])
def test_a_group_that_is_not_there_is_named(choose):
    with pytest.raises(InputError, match="no embryo or group d, z in the data set; it has a, b, c"):
        choose(toy(), ["z", "a", "d"])


# a split of its own


def pairs(root, stems=("a_t0", "a_t1", "b_t0", "c_t0")):
    for seed, stem in enumerate(stems):
        put(root / "images" / f"{stem}.tif", image(seed))
        put(root / "labels" / f"{stem}.tif", labels())
    return root


def test_a_split_file_says_which_volumes_validate_and_test(tmp_path):
    lines = ["volume,part", "a_t0,train", "a_t1,train", "b_t0,validation", "c_t0,test"]
    (pairs(tmp_path) / "split.csv").write_text("\n".join(lines))
    dataset = find(tmp_path)
    assert (dataset.validation, dataset.test) == ({"b_t0"}, {"c_t0"})
    train, check = split(dataset, [], seed=0)
    assert (names(train), names(check)) == (["a_t0", "a_t1"], ["b_t0"])
    # what is for the test stays so where the user chooses who validates
    train, check = split(dataset, ["a"], seed=0)
    assert (names(train), names(check)) == (["b_t0"], ["a_t0", "a_t1"])
    kept = dataset.keep(dataset.test)
    assert (names(kept.samples), kept.test, kept.validation) == (["c_t0"], {"c_t0"}, frozenset())
    assert dataset.without(["c"]).test == frozenset()


def test_without_validation_in_the_split_it_is_drawn_but_not_of_the_test(tmp_path):
    (pairs(tmp_path) / "split.csv").write_text("volume,part\na_t0,train\na_t1,train\nb_t0,train\nc_t0,test\n")
    for seed in range(8):
        train, check = split(find(tmp_path), [], seed)
        assert "c_t0" not in names(train) + names(check)
        assert train
        assert check


def test_what_is_for_the_test_cannot_validate(tmp_path):
    (pairs(tmp_path) / "split.csv").write_text(
        "volume,part\na_t0,train\na_t1,train\nb_t0,validation\nc_t0,test\n"
    )
    with pytest.raises(InputError, match="c are kept for the test: choose others to validate"):
        split(find(tmp_path), ["b", "c"], seed=0)


def test_an_empty_split_file_lists_too_little(tmp_path):
    (pairs(tmp_path) / "split.csv").write_text("volume,part\n")
    with pytest.raises(InputError, match="differ in a_t0"):
        find(tmp_path)


def test_a_prepared_data_set_without_its_split_is_refused(tmp_path):
    (pairs(tmp_path) / "prepared.json").write_text(
        json.dumps({"size": [6, 10, 12], "fit": "pad", "scaling": "max"})
    )
    with pytest.raises(InputError, match=r"was prepared and lost its split\.csv"):
        find(tmp_path)


def test_a_split_file_lists_each_volume_once(tmp_path):
    (pairs(tmp_path) / "split.csv").write_text("volume,part\na_t0,train\nz_t9,train\n")
    with pytest.raises(InputError, match=r"split.csv and the images differ in a_t1, b_t0, c_t0, z_t9"):
        find(tmp_path)


def test_pairs_without_a_split_keep_nothing_for_the_test(tmp_path):
    dataset = find(pairs(tmp_path))
    assert (dataset.validation, dataset.test, dataset.prepared) == (frozenset(), frozenset(), None)


def test_the_settings_of_a_preparation_come_along(tmp_path):
    told = {"size": [6, 10, 12], "fit": "pad", "scaling": "max"}
    (pairs(tmp_path) / "prepared.json").write_text(json.dumps(told))
    parts = "".join(f"{name},train\n" for name in ("a_t0", "a_t1", "b_t0", "c_t0"))
    (tmp_path / "split.csv").write_text("volume,part\n" + parts)
    assert find(tmp_path).prepared == told


# synthetic


def test_synthetic_embryos_are_groups_of_their_own():
    dataset = synthetic(3, seed=5)
    assert names(dataset.samples) == ["synthetic05", "synthetic06", "synthetic07"]
    assert dataset.groups == ("synthetic05", "synthetic06", "synthetic07")
    volume = dataset.samples[0].load()
    assert (volume.name, volume.group) == ("synthetic05", "synthetic05")
    assert volume.labels.max() >= 2
    np.testing.assert_array_equal(volume.mask, volume.labels > 0)
    again, other = synthetic(1, seed=5).samples[0].load(), synthetic(1, seed=6).samples[0].load()
    np.testing.assert_array_equal(volume.image, again.image)
    assert not np.array_equal(volume.image, other.image)
