import dataclasses
import json
import os

import pytest

from zoo import registry
from zoo.errors import InputError
from zoo.recipe import Recipe, change, load, parse_settings

PLAIN = Recipe(poolings=2, base=8)


# the recipe


def test_sizes_must_be_divisible_by_two_to_the_poolings():
    assert PLAIN.multiple == 4
    assert Recipe(poolings=4, base=4).multiple == 16
    with pytest.raises(InputError, match=r"patch=64,64,56 must be multiples of 16, as poolings=4"):
        Recipe(poolings=4, base=4, patch=(64, 64, 56))


@pytest.mark.parametrize(
    "values, words",
    [
        ({"poolings": 0}, "poolings=0 must be above 0"),
        ({"base": -1}, "base=-1 must be above 0"),
        ({"epochs": 0}, "epochs=0 must be above 0.*--set epochs="),
        ({"lr": 0.0}, r"lr=0\.0 must be above 0"),
        ({"lr": float("nan")}, "lr=nan must be above 0"),
        ({"voxel_um": float("inf")}, "voxel_um=inf must be above 0 and finite"),
        ({"dilate": -1}, "dilate=-1 must not be negative"),
        ({"patience": -5}, "patience=-5 must not be negative"),
        ({"kernel": 4}, "kernel=4 must be odd"),
        ({"patch": (64, 0, 64)}, "patch=64,0,64 must be multiples of 4"),
        ({"patch": (-64, 64, 64)}, "patch=-64,64,64 must be multiples of 4"),
    ],
)
def test_values_out_of_range(values, words):
    with pytest.raises(InputError, match=words):
        change(PLAIN, values)


def test_it_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.base = 4


def test_through_json_and_back():
    recipe = Recipe(poolings=3, base=4, patch=(8, 16, 24), norm="batch", lr=1e-3, attenuation=True)
    plain = json.loads(json.dumps(recipe.to_dict()))
    assert plain["patch"] == [8, 16, 24]
    assert change(PLAIN, plain) == recipe


# change


def test_change_leaves_the_rest_and_the_first_recipe_alone():
    changed = change(PLAIN, {"epochs": 80, "patch": [32, 32, 32], "lr": 1, "augment": "none"})
    assert changed == dataclasses.replace(PLAIN, epochs=80, patch=(32, 32, 32), lr=1.0, augment="none")
    assert type(changed.lr) is float
    assert Recipe(poolings=2, base=8) == PLAIN


def test_keys_that_only_fit_together_are_changed_together():
    deeper = change(PLAIN, {"patch": (16, 16, 16), "poolings": 4})
    assert change(deeper, {"poolings": 2, "patch": (4, 4, 4)}).patch == (4, 4, 4)


@pytest.mark.parametrize(
    "key, nearest", [("epoch", "epochs"), ("optimizer", "optimiser"), ("augmnt", "augment")]
)
def test_an_unknown_key_names_its_nearest(key, nearest):
    with pytest.raises(InputError, match=f"unknown recipe key '{key}': did you mean '{nearest}'"):
        change(PLAIN, {key: 1})


@pytest.mark.parametrize("key", ["multiple", "to_dict", "__class__"])
def test_what_is_no_setting_cannot_be_set(key):
    with pytest.raises(InputError, match="unknown recipe key"):
        change(PLAIN, {key: 1})


@pytest.mark.parametrize(
    "values, words",
    [
        ({"loss": "dicee"}, "unknown value of loss 'dicee': did you mean 'dice'"),
        ({"norm": None}, "unknown value of norm 'None'.*batch, instance"),
        ({"norm": ["batch"]}, "unknown value of norm"),
        ({"epochs": 80.0}, r"epochs=80\.0 must be of type int"),
        ({"epochs": "80"}, "epochs='80' must be of type int"),
        ({"epochs": True}, "epochs=True must be of type int"),
        ({"attenuation": 1}, "attenuation=1 must be of type bool"),
        ({"lr": "fast"}, "lr='fast' must be of type float"),
        ({"lr": True}, "lr=True must be of type float"),
        ({"patch": 64}, "patch=64 must be three whole numbers, z,y,x, such as patch=64,64,64"),
        ({"patch": (64, 64)}, "three whole numbers"),
        ({"patch": (64, 64, 64.0)}, "three whole numbers"),
    ],
)
def test_values_of_the_wrong_kind(values, words):
    with pytest.raises(InputError, match=words):
        change(PLAIN, values)


# parse_settings


@pytest.mark.parametrize(
    "word, key, value",
    [
        ("epochs=80", "epochs", 80),
        ("lr=1e-3", "lr", 1e-3),
        (" lr = 0.5 ", "lr", 0.5),
        ("attenuation=True", "attenuation", True),
        ("attenuation=true", "attenuation", True),
        ("attenuation=false", "attenuation", False),
        ("patch=64,80,96", "patch", (64, 80, 96)),
        ("patch=[8,8,8]", "patch", [8, 8, 8]),
        ("optimiser=sgd", "optimiser", "sgd"),
        ("loss='dice'", "loss", "dice"),
        ("loss=a=b", "loss", "a=b"),
        ("loss=", "loss", ""),
    ],
)
def test_words_of_the_command_line(word, key, value):
    parsed = parse_settings([word])
    assert parsed == {key: value}
    assert type(parsed[key]) is type(value)


def test_of_two_words_for_a_key_the_last_counts():
    assert parse_settings(["base=4", "epochs=1", "base=8"]) == {"base": 8, "epochs": 1}
    assert parse_settings([]) == {}


@pytest.mark.parametrize("word", ["epochs", "=80", " =80", ""])
def test_words_that_are_no_settings(word):
    with pytest.raises(InputError, match="is not of the form key=value, such as --set epochs=80"):
        parse_settings([word])


# load

RECIPES = {"default": PLAIN, "paper": Recipe(poolings=2, base=16, norm="batch")}


def toml(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_named_recipes():
    assert load(RECIPES, "paper") is RECIPES["paper"]
    with pytest.raises(InputError, match=r"unknown recipe 'papr': did you mean 'paper'\? .*FILE\.toml"):
        load(RECIPES, "papr")


def test_a_file_changes_the_default_or_the_recipe_it_names(tmp_path):
    assert load(RECIPES, toml(tmp_path, "epochs = 7\npatch = [8, 8, 8]")) == change(
        PLAIN, {"epochs": 7, "patch": (8, 8, 8)}
    )
    assert load(RECIPES, toml(tmp_path, 'recipe = "paper"\nlr = 1')) == change(RECIPES["paper"], {"lr": 1.0})
    assert load(RECIPES, toml(tmp_path, "")) == PLAIN


@pytest.mark.parametrize(
    "text, words",
    [
        ("epochs = ", r"mine\.toml is not TOML"),
        ("epoch = 7", "unknown recipe key 'epoch'"),
        ('recipe = "papers"', "unknown recipe 'papers': did you mean 'paper'"),
        ("recipe = [1]", r"unknown recipe '\[1\]'"),
        ("[epochs]\nnumber = 7", "epochs=.* must be of type int"),
        ("lr = inf", "lr=inf must be above 0 and finite"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        load(RECIPES, toml(tmp_path, text))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"cannot read recipe .*none\.toml: No such file"):
        load(RECIPES, str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.toml is not TOML"):
        load(RECIPES, str(tmp_path / "binary.toml"))


@pytest.mark.parametrize(
    "text",
    [
        f"epochs = {'9' * 5000}",
        "epochs = " + "[" * 10_000,
        "a" + ".a" * 20_000 + " = 1",
        "poolings = 1000000000000",
    ],
    ids=["endless digits", "nested lists", "longer than a recipe", "endless poolings"],
)
def test_a_file_made_to_keep_the_parser_busy(tmp_path, text):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError):
        load(registry.get("qcanet_nsn").recipes, str(tmp_path / "r.toml"))


def test_a_pipe_is_no_recipe(tmp_path):
    os.mkfifo(tmp_path / "r.toml")
    with pytest.raises(InputError, match="pipe"):
        load(registry.get("qcanet_nsn").recipes, str(tmp_path / "r.toml"))
