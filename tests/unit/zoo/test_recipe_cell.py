import json

import pytest

from zoo import registry
from zoo.errors import InputError
from zoo.recipe import change
from zoo.recipe_cell import CellRecipe

PLAIN = CellRecipe()
PREPARED = {"size": [32, 32, 32], "fit": "cell", "scaling": "percentile", "seed": 3}


def test_a_step_sees_the_whole():
    assert PLAIN.patch == PLAIN.size == (32, 32, 32)
    assert PLAIN.multiple == 8


@pytest.mark.parametrize(
    "values, words",
    [
        ({"size": (32, 32, 30)}, "size=32,32,30 must be multiples of 8, as poolings=3"),
        ({"size": (0, 32, 32)}, "size=0,32,32 must be multiples of 8"),
        ({"base": 0}, "base=0 must be above 0"),
        ({"poolings": 0}, "poolings=0 must be above 0"),
        ({"epochs": 0}, "epochs=0 must be above 0"),
        ({"patience": -1}, "patience=-1 must not be negative"),
        ({"loss": "bcee"}, "bce"),
        ({"fit": "pad"}, "augment=affine .* --set augment=symmetric"),
        ({"scaling": "minmax"}, "scaling"),
    ],
)
def test_values_out_of_range(values, words):
    with pytest.raises(InputError, match=words):
        change(PLAIN, values)


def test_it_survives_json():
    recipe = CellRecipe(size=(16, 24, 32), fit="pad", augment="symmetric", loss="focal")
    assert change(PLAIN, json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_the_replication_sees_whole_frames():
    assert registry.get("cnn3d_yeast").recipes["replication"].fit == "resize"


@pytest.mark.parametrize("fit", ["cell", "resize"])
def test_cells_that_are_resized_may_be_turned_by_any_angle(fit):
    assert change(PLAIN, {"fit": fit, "augment": "affine"}).fit == fit


def test_data_that_was_prepared_likewise_is_taken():
    PLAIN.check_prepared(PREPARED, "data", "zoo prepare yeast")


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"size": [40, 64, 64]}, "prepared with size 40,64,64, the recipe says .*--set size=40,64,64"),
        ({"fit": "resize"}, "prepared with fit resize, the recipe says cell.*--set fit=resize"),
        ({"scaling": "max"}, "prepared with scaling max, the recipe says percentile.*--set scaling=max"),
    ],
)
def test_data_that_was_prepared_otherwise_is_refused(changed, words):
    with pytest.raises(InputError, match=words):
        PLAIN.check_prepared(PREPARED | changed, "data", "zoo prepare yeast")


def test_data_that_was_not_prepared_is_refused():
    with pytest.raises(InputError, match="data was not made by 'zoo prepare yeast'"):
        PLAIN.check_prepared(None, "data", "zoo prepare yeast")
