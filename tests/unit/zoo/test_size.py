from dataclasses import replace

import numpy as np
import pytest

from zoo import registry
from zoo.models.size import ensemble_parameters, unet_parameters
from zoo.recipe import Recipe
from zoo.recipe_detector import DetectorRecipe


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


# detectors

SMALL = DetectorRecipe(backbone=10, width=1 / 64, filters=2, scales=2, heads="lite")


def test_a_small_detector_by_hand():
    norm = 4  # scale, offset, mean and variance a channel
    first = 7 * 7 * 3 * 1 + norm
    stages = (
        (9 * 1 * 1 + norm) + (9 * 1 * 1 + norm) + (1 * 1 + norm),  # two convolutions, and one past them
        (9 * 1 * 2 + 2 * norm) + (9 * 2 * 2 + 2 * norm) + (1 * 2 + 2 * norm),
        (9 * 2 * 4 + 4 * norm) + (9 * 4 * 4 + 4 * norm) + (2 * 4 + 4 * norm),
        (9 * 4 * 8 + 8 * norm) + (9 * 8 * 8 + 8 * norm) + (4 * 8 + 8 * norm),
    )
    pyramid = (
        (1 * 2 + 2) + (2 * 2 + 2) + (4 * 2 + 2) + (8 * 2 + 2),  # from each stage to 2 filters, with bias
        4 * (9 * 2 * 2 + 2 + 2 * norm),
    )
    # one convolution for all levels, but a norm for each; of 2 anchors the score and the box
    proposals = 9 * 2 * 2 + 2, 4 * 2 * norm, 2 * 2 + 2, 2 * 8 + 8
    # 7 x 7 samples of a region; of 2 classes the score and the box
    boxes = 7 * 7 * 2 * 256 + 256 + 256 * norm, 256 * 2 + 2, 256 * 8 + 8
    masks = (
        9 * 2 * 64 + 64 + 64 * norm,
        9 * 64 * 64 + 64 + 64 * norm,
        4 * 64 * 64 + 64 + 64 * norm,  # twice enlarged
        64 * 2 + 2,
    )
    total = first + sum(map(sum, (stages, pyramid, proposals, boxes, masks)))
    assert total == 86_276
    assert ensemble_parameters(SMALL) == total


@pytest.mark.parametrize(
    "shallow, deep, parameters, statistics",
    [
        # parameters of torchvision's networks, and the channels of their norms: 2 statistics each
        (18, 34, (11_689_512, 21_797_672), (4_800, 8_512)),
        (50, 101, (25_557_032, 44_549_160), (26_560, 52_672)),
        (101, 152, (44_549_160, 60_192_808), (52_672, 75_712)),
    ],
)
def test_deeper_backbones_grow_as_published_ones_do(shallow, deep, parameters, statistics):
    one, other = (ensemble_parameters(DetectorRecipe(backbone=b, width=1.0)) for b in (shallow, deep))
    assert other - one == np.diff(parameters)[0] + 2 * np.diff(statistics)[0]


def test_a_further_slice_of_context_costs_the_first_convolution_alone():
    more = ensemble_parameters(replace(SMALL, context=2)) - ensemble_parameters(replace(SMALL, context=1))
    assert more == 7 * 7 * 2 * 1
    assert ensemble_parameters(replace(SMALL, context=0)) == ensemble_parameters(SMALL)


def test_an_ensemble_is_the_sum_of_its_members():
    members = ({"filters": 4}, {}, {"backbone": 18, "scales": 1})
    parts = [replace(SMALL, filters=4), SMALL, replace(SMALL, backbone=18, scales=1)]
    total = ensemble_parameters(replace(SMALL, members=members))
    assert total == sum(map(ensemble_parameters, parts))
    assert len(set(map(ensemble_parameters, parts))) == 3
