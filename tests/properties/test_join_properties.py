"""What holds for the join of slices into nuclei, and for its steps."""

from itertools import pairwise

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi
from strategies import SEEDS, SPACINGS, boxes, same_parts, shapes

from zoo.fusion.detections import Detections, from_labels
from zoo.fusion.gaps import chains, fill, mutual, overlaps
from zoo.fusion.slices import MOST_MISSING, join
from zoo.fusion.waists import part_at_waists

METHODS = st.sampled_from(["cluster", "blob"])


def sliced(labels):
    return [from_labels(plane) for plane in labels]


@given(shapes(6).flatmap(lambda shape: boxes(shape, 6)), METHODS, SPACINGS, SEEDS)
def test_no_voxel_is_lost_and_a_nucleus_has_one_segment_a_slice(truth, method, spacing, seed):
    slices = sliced(truth)
    found = join(slices, truth.shape, spacing, method=method)
    assert (found[truth > 0] > 0).all()
    for z, part in enumerate(slices):
        own = [
            set(np.unique(found[z][box][mask])) for box, mask in zip(part.boxes(), part.masks, strict=True)
        ]
        assert all(len(numbers) == 1 for numbers in own)
        assert len(set().union(*own)) == len(own)
    first = [np.flatnonzero(found == n)[0] for n in range(1, found.max() + 1)]
    assert first == sorted(first)
    rng = np.random.default_rng(seed)
    shuffled = [part.take(rng.permutation(len(part))) for part in slices]
    np.testing.assert_array_equal(join(shuffled, truth.shape, spacing, method=method), found)


@given(shapes(6).flatmap(lambda shape: boxes(shape, 6)), METHODS, st.tuples(*[st.integers(0, 3)] * 3))
def test_empty_room_around_the_nuclei_changes_nothing(truth, method, room):
    widths = [(n, n) for n in room]
    inside = tuple(slice(n, n + edge) for n, edge in zip(room, truth.shape, strict=True))
    wide = np.pad(truth, widths)
    found = join(sliced(wide), wide.shape, (1, 1, 1), method=method)
    np.testing.assert_array_equal(found[inside], join(sliced(truth), truth.shape, (1, 1, 1), method=method))


@st.composite
def pillars(draw):
    """Nuclei of one section each, apart in the plane, with slices missing in their middles."""
    height, across = draw(st.integers(1, 7)), draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    truth = np.zeros((height, 5 * across[0], 5 * across[1]), np.int32)
    seen = np.ones(truth.shape, bool)
    for number, (row, column) in enumerate(np.ndindex(across), start=1):
        ends = sorted(draw(st.tuples(*[st.integers(0, height)] * 2)))
        place = (slice(5 * row, 5 * row + 4), slice(5 * column, 5 * column + draw(st.integers(1, 4))))
        truth[(slice(*ends), *place)] = number
        missing = draw(st.integers(0, min(MOST_MISSING, max(ends[1] - ends[0] - 2, 0))))
        seen[(slice(ends[0] + 1, ends[0] + 1 + missing), *place)] = False
    return truth, np.where(seen, truth, 0)


@given(pillars(), SPACINGS, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_pillars_come_back_whole_however_mirrored(case, spacing, mirrored):
    axes = [axis for axis in range(3) if mirrored[axis]]
    truth, seen = (np.flip(volume, axes) for volume in case)
    assert same_parts(join(sliced(seen), seen.shape, spacing), truth)
    assert same_parts(join(sliced(truth), truth.shape, spacing, method="blob"), truth)


@given(pillars(), st.floats(0, 100))
def test_small_nuclei_are_left_out_by_their_volume(case, least):
    truth, _ = case
    found = join(sliced(truth), truth.shape, (1, 1, 1), min_volume=least)
    sizes = np.bincount(truth.ravel())
    assert same_parts(found, np.where(sizes[truth] >= least, truth, 0))


@st.composite
def priced_pairs(draw):
    pairs = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), unique=True, max_size=12))
    costs = draw(arrays(float, (2, len(pairs)), elements=st.integers(0, 2).map(float), fill=st.nothing()))
    return np.array(pairs, int).reshape(-1, 2), costs


@given(priced_pairs(), SEEDS)
def test_mutual_pairs_are_those_of_a_loop_in_any_order(case, seed):
    pairs, costs = case
    keys = [(*cost, *pair) for cost, pair in zip(costs.T.tolist(), pairs.tolist(), strict=True)]
    expected = [
        all(key <= other for other in keys if other[-2] == key[-2])
        and all(key <= other for other in keys if other[-1] == key[-1])
        for key in keys
    ]
    assert mutual(pairs, *costs).tolist() == expected
    order = np.random.default_rng(seed).permutation(len(pairs))
    assert mutual(pairs[order], *costs[:, order]).tolist() == np.array(expected, bool)[order].tolist()


@st.composite
def segments_of_slices(draw):
    """A volume of segments numbered from 1, slice by slice, and their masks."""
    planes = draw(shapes(5).flatmap(lambda shape: boxes(shape, 5)))
    volume, parts = np.zeros_like(planes), []
    for z, plane in enumerate(planes):
        for number in np.unique(plane[plane > 0]):
            part = from_labels(plane == number)
            parts.append((np.array([z, *part.starts[0]]), part.masks[0][None]))
            volume[z][plane == number] = len(parts)
    starts = np.array([start for start, _ in parts], int).reshape(-1, 3)
    return volume, Detections(starts, tuple(mask for _, mask in parts), np.ones(len(parts), np.float32))


@given(segments_of_slices(), st.integers(1, 3))
def test_shared_pixels_are_counted_as_in_a_loop(case, step):
    volume, segments = case
    pairs, shared = overlaps(volume, segments, np.arange(len(segments)), step)
    found = dict(zip(map(tuple, pairs.tolist()), shared.tolist(), strict=True))
    expected = {}
    for z in range(len(volume) - step):
        for a, b in zip(volume[z].ravel().tolist(), volume[z + step].ravel().tolist(), strict=True):
            if a and b:
                expected[a - 1, b - 1] = expected.get((a - 1, b - 1), 0) + 1
    assert found == expected


@given(segments_of_slices(), st.integers(1, 3))
def test_only_empty_voxels_between_linked_segments_are_filled(case, step):
    volume, segments = case
    pairs, shared = overlaps(volume, segments, np.arange(len(segments)), step)
    links = pairs[mutual(pairs, -shared)]
    before = volume.copy()
    kept = {tuple(link) for link in fill(volume, segments, links).tolist()}
    np.testing.assert_array_equal(volume[before > 0], before[before > 0])
    assert kept <= {tuple(link) for link in links.tolist()}
    for lower, upper in links:
        z = segments.starts[lower, 0]
        both = (before[z] == lower + 1) & (before[z + step] == upper + 1)
        filled = volume[z + 1 : z + step] == lower + 1
        if (lower, upper) in kept:
            column = np.concatenate([both[None], filled, both[None]])
            assert (column[:-1] & column[1:]).any(axis=(1, 2)).all()
            np.testing.assert_array_equal(filled, both & (before[z + 1 : z + step] == 0))
        else:
            assert not filled.any()


@st.composite
def links_and_areas(draw):
    """Segments in rising order, each at most once below and once above another."""
    count = draw(st.integers(1, 12))
    areas = draw(arrays(int, count, elements=st.integers(1, 12), fill=st.nothing()))
    chain_of = draw(arrays(int, count, elements=st.integers(0, 2), fill=st.nothing()))
    links = []
    for chain in range(3):
        members = np.flatnonzero(chain_of == chain)
        links += list(pairwise(members))
    return np.array(links, int).reshape(-1, 2), areas, chain_of


@given(links_and_areas())
def test_chains_are_what_hangs_together_in_the_order_of_the_first(case):
    links, areas, chain_of = case
    found = chains(len(areas), links)
    assert same_parts(found + 1, chain_of + 1)
    assert np.unique(found, return_index=True)[1].tolist() == sorted(
        np.unique(chain_of, return_index=True)[1]
    )


@given(links_and_areas())
def test_no_part_of_a_chain_has_a_waist_left_and_turning_it_over_parts_it_there(case):
    links, areas, _ = case
    kept = part_at_waists(links, areas)
    rows = {tuple(link) for link in links.tolist()}
    assert [link for link in links.tolist() if link in kept.tolist()] == kept.tolist()
    assert {tuple(link) for link in kept.tolist()} <= rows
    np.testing.assert_array_equal(part_at_waists(kept, areas), kept)
    part = chains(len(areas), kept)
    for number in range(part.max() + 1):
        own = areas[part == number]
        for at in range(1, len(own) - 1) if len(own) >= 5 else ():
            assert own[at] >= 0.7 * min(own[:at].max(), own[at + 1 :].max())


@given(shapes(5).flatmap(lambda shape: boxes(shape, 6)), METHODS)
def test_every_nucleus_hangs_together_from_slice_to_slice(truth, method):
    found = join(sliced(truth), truth.shape, (1, 1, 1), method=method)
    assume(found.any())
    for number in range(1, found.max() + 1):
        own = found == number
        levels = np.flatnonzero(own.any(axis=(1, 2)))
        assert (np.diff(levels) == 1).all()
        assert (own[:-1] & own[1:]).any(axis=(1, 2))[levels[:-1]].all()
        # a segment may be in pieces, so the object has no more pieces than its segments have
        assert ndi.label(own)[1] <= sum(ndi.label(plane)[1] for plane in own)
