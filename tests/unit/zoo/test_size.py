from dataclasses import replace

import pytest

from zoo import registry
from zoo.models.size import unet_parameters
from zoo.recipe import Recipe


@pytest.mark.parametrize(
    "name, recipe, parameters",
    [
        ("qcanet_nsn", "paper", 1_148_674),
        ("qcanet_ndn", "paper", 44_454_170),
        ("qcanet_ndn", "replication", 10_838_210),
        ("unet3d", "paper", 4_772_994),
    ],
)
def test_published_networks(name, recipe, parameters):
    assert unet_parameters(registry.get(name).recipes[recipe]) == parameters


def test_one_pooling_by_hand():
    pair = 27 * 1 * 2 + 2 + 4, 27 * 2 * 4 + 4 + 8  # convolution, its bias, scale and offset: 1 -> 2 -> 4
    bottom = 27 * 4 * 4 + 4 + 8, 27 * 4 * 8 + 8 + 16  # 4 -> 4 -> 8
    grow = 8 * 8 * 8 + 8
    up = 27 * (8 + 4) * 4 + 4 + 8, 27 * 4 * 4 + 4 + 8  # joined with the skip of 4
    classes = 4 * 2 + 2
    total = sum(pair) + sum(bottom) + grow + sum(up) + classes
    assert unet_parameters(Recipe(poolings=1, base=2)) == total


def test_batch_norm_keeps_a_mean_and_a_variance_more_a_channel():
    recipe = Recipe(poolings=2, base=4)
    channels = (4 + 8) + (8 + 16) + (16 + 32) + (16 + 16) + (8 + 8)
    more = unet_parameters(replace(recipe, norm="batch")) - unet_parameters(recipe)
    assert more == 2 * channels
