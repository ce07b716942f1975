import math

import numpy as np
import pytest

from zoo import registry
from zoo.blocks.plan import (
    BLOCKS,
    HALO_UM,
    LABELLING,
    PROCESS,
    WINDOWS,
    Plan,
    describe,
    labelling_seconds,
    make_plan,
)
from zoo.blocks.view import View
from zoo.errors import InputError
from zoo.forecast import bytes_needed

UM = (2.0, 0.5, 0.5)
SHAPE = (200, 2000, 3000)


@pytest.fixture(scope="module")
def views():
    recipes = {name: registry.get(name).recipes["default"] for name in ("qcanet_nsn", "qcanet_ndn")}
    return {name: (View.of(SHAPE, UM, recipe), recipe) for name, recipe in recipes.items()}


def needed(plan, views):
    """What a plan takes, worked out in another way: the largest window that there is, and the block."""
    most = LABELLING * math.prod(
        min(b + 2 * h, n) for b, h, n in zip(plan.block, plan.halo, SHAPE, strict=True)
    )
    for name, (view, recipe) in views.items():
        sizes = [[s.stop - s.start for s in view.window(core)] for core in view.windows(plan.windows[name])]
        most = max(most, bytes_needed(recipe, max(sizes, key=math.prod)))
    return PROCESS + most


@pytest.mark.parametrize("gigabytes", [3, 4, 8, 40])
def test_a_plan_takes_what_it_says_and_that_is_allowed(views, gigabytes):
    plan = make_plan(SHAPE, UM, views, gigabytes * 1e9)
    assert needed(plan, views) - 1 <= plan.memory <= gigabytes * 1e9
    assert plan.memory < 1.3 * needed(plan, views)
    assert plan.halo == tuple(math.ceil(HALO_UM / um) for um in UM)


def test_more_memory_means_larger_pieces_and_the_next_larger_would_not_fit(views):
    plans = [make_plan(SHAPE, UM, views, gigabytes * 1e9) for gigabytes in (3, 6, 12, 24)]
    assert plans == sorted(plans, key=lambda plan: plan.block[1])
    assert plans[0].block[1] < plans[-1].block[1]
    assert plans[-1].block[0] == min(plans[-1].block[1], SHAPE[0])
    for name in views:
        edges = [plan.windows[name] for plan in plans]
        assert edges == sorted(edges)
        assert edges[0] < edges[-1]
    plan, allowed = plans[1], 6e9
    if plan.block[1] < max(BLOCKS):
        larger = min(edge for edge in BLOCKS if edge > plan.block[1])
        with pytest.raises(InputError, match="blocks of "):
            make_plan(SHAPE, UM, views, allowed, (larger,) * 3)
    view, recipe = views["qcanet_nsn"]
    larger = min(edge for edge in WINDOWS if edge > plan.windows["qcanet_nsn"])
    core = max(view.windows(larger), key=lambda core: math.prod(s.stop - s.start for s in view.window(core)))
    shape = [s.stop - s.start for s in view.window(core)]
    assert PROCESS + bytes_needed(recipe, shape) > allowed


def test_a_block_is_taken_as_given_and_cut_to_the_volume(views):
    assert make_plan(SHAPE, UM, views, 8e9, (300, 100, 200)).block == (200, 100, 200)


def test_windows_are_whole_pooled_voxels(views):
    plan = make_plan(SHAPE, UM, views, 5e9)
    for name, (view, _) in views.items():
        assert plan.windows[name] % view.multiple == 0


def test_too_little_memory_is_refused_with_what_is_needed(views):
    with pytest.raises(InputError, match=r"need (\d\.\d) GB of memory, 1\.0 GB may be taken") as fault:
        make_plan(SHAPE, UM, views, 1e9)
    told = float(str(fault.value).split(" need ")[1].split(" ")[0])
    with pytest.raises(InputError):
        make_plan(SHAPE, UM, views, (told - 0.1) * 1e9)


def test_a_halo_is_never_more_than_the_volume():
    shape = (10, 12, 2000)
    recipe = registry.get("qcanet_nsn").recipes["default"]
    views = {"qcanet_nsn": (View.of(shape, (1.0, 1.0, 1.0), recipe), recipe)}
    assert make_plan(shape, (1.0, 1.0, 1.0), views, 8e9).halo == (10, 12, math.ceil(HALO_UM))


def test_what_is_looked_at_is_counted_by_hand():
    recipe = registry.get("qcanet_nsn").recipes["default"]
    shape = (20, 20, 40)
    view = View.of(shape, (recipe.voxel_um,) * 3, recipe)
    plan = Plan((20, 20, 20), (5, 5, 5), {"qcanet_nsn": 32}, 2_000_000_000, 10**6)
    lines = describe(shape, plan, {"qcanet_nsn": (view, recipe)})
    assert lines[0] == "volume: 20 x 20 x 40 voxels"
    # two blocks of 20, each with 5 voxels of the other
    assert lines[1] == "blocks: 2 of 20 x 20 x 20 voxels, halo 5 x 5 x 5: 1.25 times the volume is looked at"
    # windows of 32 and 8, the halo of 24 goes to the faces: 40 and 8 + 24 of 40
    assert (
        lines[2] == "qcanet_nsn: 20 x 20 x 40 working voxels in 2 windows of 32, halo 24: 1.80 times as many"
    )
    assert lines[3] == "memory: 2.0 GB a worker"
    assert lines[4] == f"disk meanwhile: up to {14 * np.prod(shape) / 1e9:.1f} GB, compressed to less"
    twice = labelling_seconds((20, 20, 40), plan) / labelling_seconds((20, 20, 20), plan)
    assert twice == pytest.approx(2.5)
