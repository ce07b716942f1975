import math
from itertools import product

import pytest

from zoo import registry
from zoo.blocks.plan import (
    DETECTORS,
    HALO_UM,
    KEPT,
    LABELLING,
    LONGEST,
    PROCESS,
    SLICES_HALO_UM,
    WIDEST,
    WITHOUT,
    Plan,
    cheapest,
    describe,
    labelling_seconds,
    make_plan,
    plan_slices,
)
from zoo.blocks.view import View
from zoo.cli.blocks import plan_of
from zoo.data.boxes import grown
from zoo.errors import InputError
from zoo.forecast import bytes_needed
from zoo.recipe import change

UM = (2.0, 0.5, 0.5)
SHAPE = (200, 2000, 3000)


@pytest.fixture(scope="module")
def views():
    recipes = {name: registry.get(name).recipes["default"] for name in ("qcanet_nsn", "qcanet_ndn")}
    return {name: (View.of(SHAPE, UM, recipe), recipe) for name, recipe in recipes.items()}


def needed(plan, views):
    """What a plan takes, worked out in another way: the largest window that there is, and the block."""
    labelling, seen = LABELLING * looked_at(SHAPE, plan.block, plan.halo)[1], 0
    for name, (view, recipe) in views.items():
        sizes = [[s.stop - s.start for s in view.window(core)] for core in view.windows(plan.windows[name])]
        seen = max(seen, bytes_needed(recipe, max(sizes, key=math.prod)))
    if plan.apart:  # one after the other; this process stays
        return WITHOUT + max(PROCESS + KEPT * seen, labelling)
    return PROCESS + seen + labelling


@pytest.mark.parametrize(
    ("gigabytes", "apart"), [(2.1, False), (3, True), (4, True), (8, True), (40, True), (100, False)]
)
def test_a_plan_takes_what_it_says_and_that_is_allowed(views, gigabytes, apart):
    plan = make_plan(SHAPE, UM, views, gigabytes * 1e9)
    assert needed(plan, views) - 1 <= plan.memory <= gigabytes * 1e9
    assert plan.memory < 1.3 * needed(plan, views)
    assert bool(plan.apart) == apart  # not for two processes, then not for both steps in one, then enough
    assert plan.halo == tuple(math.ceil(HALO_UM / um) for um in UM)


@pytest.mark.parametrize(
    ("shape", "um", "memory"),
    [((1272, 279, 152), (3.0, 0.3, 0.3), 1502095257.6), ((821, 138, 463), (2.0, 0.5, 0.5), 1622509209.6)],
)
def test_the_smallest_pieces_are_taken_where_just_these_fit(shape, um, memory):
    recipes = {name: registry.get(name).recipes["default"] for name in ("qcanet_nsn", "qcanet_ndn")}
    views = {name: (View.of(shape, um, recipe), recipe) for name, recipe in recipes.items()}
    assert make_plan(shape, um, views, memory).memory <= memory
    with pytest.raises(InputError, match="may be taken"):
        make_plan(shape, um, views, memory - 1e6)


def looked_at(shape, edges, halo):
    """Voxels of all pieces with what is around them, and of the largest, each counted one by one."""
    each = [
        math.prod(s.stop - s.start for s in grown(box, halo, shape))
        for box in product_of_slices(shape, edges)
    ]
    return sum(each), max(each)


def product_of_slices(shape, edges):
    sides = [
        [slice(i, min(i + edge, n)) for i in range(0, n, edge)] for n, edge in zip(shape, edges, strict=True)
    ]
    return list(product(*sides))


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("room", [30**3, 60**3, 10**9])
def test_no_other_pieces_would_take_less_time(room, workers):
    shape, halo, step, least = (20, 90, 70), (3, 8, 8), 4, 8

    def time(edges):
        total, largest = looked_at(shape, edges, halo)
        return total + (workers - 1) * largest if largest <= room else math.inf

    axes = [[*range(least, n, step), n] for n in shape]
    best = min(time(edges) for edges in product(*axes))
    found = cheapest(shape, halo, step, least, room, workers)
    assert time(found) == pytest.approx(best, rel=0.02)  # edges between those that cut into equal parts


def test_a_volume_that_fits_is_one_piece_for_one_worker_and_several_for_two():
    assert cheapest((100, 100, 300), (10, 10, 10), 4, 8, 10**9, 1) == (100, 100, 300)
    # 300: 300 + 300; twice 160: 320 + 160; 110, 120 and 110 around thirds: 340 + 120; 360 + 95; 380 + 80; ...
    assert cheapest((100, 100, 300), (10, 10, 10), 4, 8, 10**9, 2) == (100, 100, 76)


def test_more_memory_never_means_more_to_look_at(views):
    plans = [make_plan(SHAPE, UM, views, gigabytes * 1e9) for gigabytes in (3, 6, 12, 24)]
    blocks = [looked_at(SHAPE, plan.block, plan.halo)[0] for plan in plans]
    assert blocks == sorted(blocks, reverse=True)
    assert blocks[0] > blocks[-1]
    for name, (view, _) in views.items():
        seen = [looked_at(view.padded, plan.windows[name], (view.around,) * 3)[0] for plan in plans]
        assert seen == sorted(seen, reverse=True)
        assert seen[0] > seen[-1]


def test_terabytes_are_planned_too(views):
    shape = (10_000, 25_000, 20_000)
    grids = {name: (View.of(shape, (0.5, 0.5, 0.5), recipe), recipe) for name, (_, recipe) in views.items()}
    plan = make_plan(shape, (0.5, 0.5, 0.5), grids, 16e9, workers=64)
    assert max(plan.block) <= LONGEST
    assert all(edge % 32 == 0 for edge in plan.block)


def test_a_block_is_taken_as_given_and_cut_to_the_volume(views):
    assert make_plan(SHAPE, UM, views, 8e9, (300, 100, 200)).block == (200, 100, 200)


def test_windows_are_whole_pooled_voxels(views):
    plan = make_plan(SHAPE, UM, views, 5e9)
    for name, (view, _) in views.items():
        assert all(edge % view.multiple == 0 for edge in plan.windows[name])


def test_a_pooled_voxel_of_a_deep_network_is_its_smallest_window():
    recipe = change(registry.get("qcanet_nsn").recipes["default"], {"poolings": 6, "patch": (64, 64, 64)})
    view = View.of(SHAPE, UM, recipe)
    each = bytes_needed(recipe, (1000, 1000, 1000)) / 1e9
    assert view.multiple == view.around == 64
    views = {"qcanet_nsn": (view, recipe)}
    # 64 voxels and 64 on either side are 192, and so are each half of the 256 along z and 64 beside it
    labelling = LABELLING * looked_at(SHAPE, (64, 64, 64), tuple(math.ceil(HALO_UM / um) for um in UM))[1]
    plan = make_plan(SHAPE, UM, views, PROCESS + labelling + each * 193**3, (64, 64, 64))
    assert plan.windows["qcanet_nsn"] == (128, 64, 64)
    with pytest.raises(InputError, match="windows of qcanet_nsn need"):
        make_plan(SHAPE, UM, views, PROCESS + labelling + each * 191**3, (64, 64, 64))


def test_what_another_version_cut_in_another_way_is_refused():
    told = {"block": [64, 64, 64], "halo": [8, 8, 8], "windows": {"nsn": [96] * 3}, "memory": 1, "room": 1}
    told["apart"] = 3
    assert plan_of(told) == Plan((64, 64, 64), (8, 8, 8), {"nsn": (96, 96, 96)}, 1, 1, apart=3)
    for other in ({**told, "windows": {"nsn": 96}}, {"block": [64, 64, 64]}):
        with pytest.raises(InputError, match="another version of cellzoo"):
            plan_of(other)


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
    plan = Plan((20, 20, 20), (5, 5, 5), {"qcanet_nsn": (20, 20, 32)}, 2_000_000_000, 10**6)
    lines = describe(shape, plan, {"qcanet_nsn": (view, recipe)})
    assert lines[0] == "volume: 20 x 20 x 40 voxels"
    # two blocks of 20, each with 5 voxels of the other
    assert lines[1] == "blocks: 2 of 20 x 20 x 20 voxels, halo 5 x 5 x 5: 1.25 times the volume is looked at"
    # windows of 32 and 8 along x, the halo of 24 goes to the faces: 40 and 8 + 24 of 40
    assert (
        lines[2] == "qcanet_nsn: 20 x 20 x 40 working voxels in 2 windows of 20 x 20 x 32, halo 24: "
        "1.80 times as many"
    )
    assert lines[3] == "memory: 2.0 GB a worker"
    assert lines[4] == "disk meanwhile: up to 224 kB, compressed to less"  # 14 bytes a voxel
    twice = labelling_seconds((20, 20, 40), plan) / labelling_seconds((20, 20, 20), plan)
    assert twice == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("gigabytes", "depth"), [(40, SHAPE[0]), (8, SHAPE[0]), (3.0, 64)], ids=["plenty", "enough", "z is cut"]
)
def test_slices_are_cut_in_z_only_where_the_memory_asks_for_it(gigabytes, depth):
    plan = plan_slices(SHAPE, UM, gigabytes * 1e9)
    assert plan.block[0] == depth
    assert max(plan.block[1:]) <= WIDEST
    assert plan.halo == tuple(math.ceil(SLICES_HALO_UM / um) for um in UM)
    most = LABELLING * looked_at(SHAPE, plan.block, plan.halo)[1]
    assert plan.memory == int(DETECTORS + most) <= gigabytes * 1e9
    assert plan.windows == {}


def test_blocks_of_slices_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"blocks need 2\.9 GB of memory, 2\.6 GB may be taken"):
        plan_slices(SHAPE, UM, 2.6e9)
    with pytest.raises(InputError, match=r"blocks of 200 x 500 x 500 voxels need"):
        plan_slices(SHAPE, UM, 4e9, (300, 500, 500))
    assert plan_slices(SHAPE, UM, 9e9, (300, 100, 100)).block == (200, 100, 100)
