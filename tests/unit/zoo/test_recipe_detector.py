import dataclasses
import json
import math

import pytest

from zoo import registry
from zoo.errors import InputError
from zoo.recipe import change
from zoo.recipe_detector import BACKBONES, HEADS, DetectorRecipe, Heads, member

PLAIN = DetectorRecipe()
MEMBERS = ({"backbone": 34, "lr": 0.5}, {}, {"context": 2, "heads": "full"})


@pytest.mark.parametrize(
    "name", ["width", "filters", "anchor", "scales", "pixel_um", "batch", "lr", "epochs", "steps"]
)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_what_must_be_above_nought_and_finite(name, value):
    with pytest.raises(InputError, match=rf"^{name}={value} must be above 0 and finite; use --set {name}="):
        DetectorRecipe(**{name: value})


@pytest.mark.parametrize("name", ["score", "nms", "norm_momentum"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 1.5, math.nan])
def test_what_must_lie_between_nought_and_one(name, value):
    with pytest.raises(InputError, match=rf"^{name}={value} must lie between 0 and 1"):
        DetectorRecipe(**{name: value})


@pytest.mark.parametrize(
    "values, words",
    [
        ({"backbone": 20}, "backbone=20 must be one of 10, 18, 26, 34, 50, 101, 152"),
        ({"patch": 0}, "patch=0 must be a multiple of 32"),
        ({"patch": -32}, "patch=-32 must be a multiple of 32"),
        ({"patch": 48}, "patch=48 must be a multiple of 32"),
        ({"context": -1}, "context must not be negative"),
        ({"least_area": 0}, "least_area and most must be at least 1"),
        ({"most": 0}, "least_area and most must be at least 1"),
    ],
)
def test_values_out_of_range(values, words):
    with pytest.raises(InputError, match=words):
        change(PLAIN, values)


def test_the_least_that_is_allowed():
    recipe = DetectorRecipe(patch=32, context=0, least_area=1, most=1, batch=1, epochs=1, steps=1)
    assert recipe.patch == recipe.multiple == 32  # the coarsest level has a step of 2**5 pixels


@pytest.mark.parametrize("context, channels", [(0, 3), (1, 3), (2, 5), (3, 7)])
def test_channels_hold_the_context_and_are_three_at_least(context, channels):
    assert DetectorRecipe(context=context).channels == channels


@pytest.mark.parametrize(
    "layers, convolutions", [(10, 2), (18, 2), (26, 2), (34, 2), (50, 3), (101, 3), (152, 3)]
)
def test_backbones_have_the_layers_of_their_name(layers, convolutions):
    blocks, bottleneck = BACKBONES[layers]
    # the first convolution and the classifier of the network for photographs count
    assert 2 + convolutions * sum(blocks) == layers
    assert bottleneck == (convolutions == 3)


def test_lite_heads_are_smaller_in_all():
    lite, full = (dataclasses.asdict(HEADS[name]) for name in ("lite", "full"))
    assert set(lite) == {field.name for field in dataclasses.fields(Heads)}
    assert all(lite[name] < full[name] for name in lite)


def test_it_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.batch = 4


# through JSON and the command line


def test_through_json_and_back():
    recipe = DetectorRecipe(members=MEMBERS, bootstrap=False, width=0.25, heads="full", patch=64)
    plain = json.loads(json.dumps(recipe.to_dict()))
    assert plain["members"] == [{"backbone": 34, "lr": 0.5}, {}, {"context": 2, "heads": "full"}]
    assert change(PLAIN, plain) == recipe


def test_plain_values_are_a_copy():
    recipe = DetectorRecipe(members=({"backbone": 34},))
    recipe.to_dict()["members"][0]["backbone"] = 10
    assert recipe.members == ({"backbone": 34},)


@pytest.mark.parametrize("value", [4, "all", [34, 18], {"backbone": 34}, [[("backbone", 34)]]])
def test_members_are_a_list_of_tables(value):
    with pytest.raises(InputError, match="must be a list of tables, such as members = "):
        change(PLAIN, {"members": value})


def test_members_of_the_command_line_and_of_a_file():
    assert change(PLAIN, {"members": [{"backbone": 34}, {}]}).members == ({"backbone": 34}, {})
    assert change(PLAIN, {"members": []}).members == ()


# member


def test_a_member_sets_what_it_lists_and_takes_over_the_rest():
    recipe = DetectorRecipe(members=MEMBERS, lr=0.25, batch=7)
    assert [member(recipe, index) for index in range(3)] == [
        DetectorRecipe(backbone=34, lr=0.5, batch=7),
        DetectorRecipe(lr=0.25, batch=7),
        DetectorRecipe(lr=0.25, batch=7, context=2, heads="full"),
    ]
    assert recipe.members == MEMBERS


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"bakcbone": 34}, "unknown recipe key 'bakcbone': did you mean 'backbone'"),
        ({"backbone": 34.0}, r"backbone=34\.0 must be of type int"),
        ({"heads": "ful"}, "unknown value of heads 'ful': did you mean 'full'"),
        ({"width": 0}, r"width=0\.0 must be above 0"),
    ],
)
def test_a_members_bad_settings_are_named(wrong, words):
    with pytest.raises(InputError, match=words):
        member(DetectorRecipe(members=(wrong,)), 0)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_the_catalogues_members_are_eight_that_differ(name):
    recipe = registry.get("mrcnn_ensemble").recipes[name]
    members = [member(recipe, index) for index in range(len(recipe.members))]
    assert len({repr(one) for one in members}) == 8
