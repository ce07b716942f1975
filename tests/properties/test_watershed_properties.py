"""What holds for the parts of a mask whatever its shape."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage as ndi
from scipy.spatial.distance import cdist
from strategies import POWERS, SEEDS, SPACINGS, labels, masks, renumbered, shapes

from zoo.fusion.classical import segment
from zoo.fusion.depth import depth, depth_of_objects
from zoo.fusion.landscape import find_markers, flood_from, split_by_vote
from zoo.fusion.peaks import find_peaks, keep_apart
from zoo.fusion.watershed import components, distance_markers, remove_small, split_touching

FACES = ndi.generate_binary_structure(3, 1)


@st.composite
def masks_and_centres(draw):
    shape = draw(shapes(6))
    mask = draw(arrays(bool, shape, elements=st.sampled_from([True, True, True, False])))
    return mask, draw(arrays(bool, shape, elements=st.sampled_from([True, False, False])))


def numbers(volume):
    return np.unique(volume[volume > 0]).tolist()


def is_dense(volume):
    return numbers(volume) == list(range(1, int(volume.max(initial=0)) + 1))


@given(masks_and_centres(), SPACINGS)
def test_labels_partition_the_mask_and_markers_keep_their_own(case, spacing):
    mask, centres = case
    found = split_touching(mask, centres, spacing)
    np.testing.assert_array_equal(found > 0, mask)
    assert is_dense(found)
    markers, pieces = ndi.label(centres)[0], ndi.label(mask)[0]
    seeds = mask & centres
    # one label a marker, one marker a label
    couples = set(zip(markers[seeds].tolist(), found[seeds].tolist(), strict=True))
    assert len(couples) == len({m for m, _ in couples}) == len({n for _, n in couples})
    for piece in range(1, pieces.max() + 1):
        inside = pieces == piece
        own = set(found[inside & seeds].tolist())
        assert set(found[inside].tolist()) == own or (not own and len(numbers(found[inside])) == 1)
        for label in own:  # all of it hangs together with a seed
            parts, count = ndi.label(inside & (found == label))
            assert set(parts[seeds & inside & (found == label)].tolist()) == set(range(1, count + 1))


@given(masks_and_centres(), SPACINGS)
def test_unmarked_pieces_are_dropped_or_numbered_after_the_others(case, spacing):
    kept, dropped = (split_touching(*case, spacing, unmarked) for unmarked in ("keep", "drop"))
    marked = ndi.binary_propagation(case[0] & case[1], FACES, case[0])
    np.testing.assert_array_equal(dropped > 0, marked)
    np.testing.assert_array_equal(np.where(marked, kept, 0), dropped)
    assert (kept[~marked & case[0]] > dropped.max()).all()


@given(masks_and_centres(), SPACINGS, POWERS)
def test_a_change_of_unit_changes_no_label(case, spacing, unit):
    other = tuple(unit * um for um in spacing)
    np.testing.assert_array_equal(split_touching(*case, other), split_touching(*case, spacing))


@given(masks(), SPACINGS, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 1.0, 2.5]))
def test_every_piece_has_a_peak_and_no_two_are_close(mask, spacing, smoothing, distance):
    found = distance_markers(mask, spacing, distance, smoothing)
    pieces = ndi.label(mask)[0]
    assert not (found & ~mask).any()
    for piece in range(1, pieces.max() + 1):
        at = np.argwhere(found & (pieces == piece)) * spacing
        assert len(at)
        apart = cdist(at, at)[~np.eye(len(at), dtype=bool)]
        assert (apart > distance).all()


@given(masks(), SPACINGS, POWERS)
def test_a_change_of_unit_changes_no_peak(mask, spacing, unit):
    other = distance_markers(mask, tuple(unit * um for um in spacing), 2.0 * unit, 1.0 * unit)
    np.testing.assert_array_equal(other, distance_markers(mask, spacing, 2.0, 1.0))


@given(masks(side=5), SPACINGS)
def test_depth_is_the_distance_to_the_nearest_background_voxel(mask, spacing):
    padded = np.pad(mask, 1) if mask.all() else mask
    inside, outside = (np.argwhere(side) * spacing for side in (padded, ~padded))
    expected = np.zeros(mask.shape)
    expected[mask] = cdist(inside, outside).min(axis=1)
    np.testing.assert_allclose(depth(mask, spacing), expected)


@given(labels(side=7), SPACINGS)
def test_depth_object_by_object_is_that_of_all_together(volume, spacing):
    found = depth_of_objects(volume, spacing)
    np.testing.assert_array_equal(found, depth(volume > 0, spacing).astype(np.float16))


@given(masks())
def test_components_hang_together_and_are_apart(mask):
    found = components(mask)
    np.testing.assert_array_equal(found > 0, mask)
    assert is_dense(found)
    for axis in range(3):
        one, other = (np.delete(found, end, axis) for end in (0, -1))
        assert (one == other)[(one > 0) & (other > 0)].all()
    assert all(ndi.label(found == n)[1] == 1 for n in numbers(found))


@given(labels(), st.sampled_from([0, 1, 2, 3, 5, 9.5, 1000]), SPACINGS)
def test_small_labels_go_as_in_a_loop(volume, least, spacing):
    expected = np.zeros_like(volume)
    for label in numbers(volume):
        inside = volume == label
        if inside.sum() * np.prod(spacing) >= least:
            expected[inside] = expected.max() + 1
    np.testing.assert_array_equal(remove_small(volume, least, spacing), expected)
    np.testing.assert_array_equal(remove_small(volume, least, spacing, out=volume), expected)


@given(
    shapes().flatmap(lambda s: st.tuples(arrays(np.float32, s, elements=st.integers(0, 3)), arrays(bool, s)))
)
def test_each_plateau_without_a_higher_neighbour_has_one_peak(case):
    height, inside = case
    at = find_peaks(height, inside)
    found = np.zeros(inside.shape, bool)
    found[tuple(at.T)] = True
    tops = np.zeros(inside.shape, bool)
    for voxel in np.argwhere(inside):
        around = [voxel + side * step for side in (1, -1) for step in np.eye(3, dtype=int)]
        near = [tuple(n) for n in around if (n >= 0).all() and (n < inside.shape).all() and inside[tuple(n)]]
        tops[tuple(voxel)] = all(height[n] <= height[tuple(voxel)] for n in near)
    plateaus, count = ndi.label(tops)
    assert sorted(plateaus[found].tolist()) == list(range(1, count + 1))
    assert len(at) == count


@st.composite
def rated_points(draw):
    count = draw(st.integers(1, 8))
    points = draw(arrays(float, (count, 3), elements=st.integers(0, 4).map(float), fill=st.nothing()))
    heights = draw(arrays(float, count, elements=st.integers(0, 3).map(float), fill=st.nothing()))
    return points, heights, draw(arrays(int, count, elements=st.integers(0, 1), fill=st.nothing()))


@given(rated_points(), st.sampled_from([0.0, 1.0, 2.0]))
def test_points_are_kept_apart_as_in_a_loop(case, distance):
    points, heights, groups = case
    chosen = []
    for i in sorted(range(len(points)), key=lambda i: (-heights[i], i)):
        rivals = [j for j in chosen if groups[j] == groups[i]]
        if all(np.linalg.norm(points[i] - points[j]) > distance for j in rivals):
            chosen.append(i)
    assert keep_apart(points, heights, groups, distance).tolist() == sorted(chosen)


@st.composite
def landscapes(draw):
    shape = draw(shapes(5))
    mask = draw(arrays(bool, shape, elements=st.sampled_from([True, True, False])))
    return mask, np.random.default_rng(draw(SEEDS)).random(shape).astype(np.float32)


@given(landscapes(), SPACINGS)
def test_a_vote_partitions_the_mask_and_each_part_holds_its_marker(case, spacing):
    found = split_by_vote(*case, spacing)
    np.testing.assert_array_equal(found > 0, case[0])
    assert is_dense(found)
    markers, _ = find_markers(*case, spacing)
    assert sorted(found[tuple(markers.T)].tolist()) == numbers(found)
    assert all(ndi.label(found == n)[1] == 1 for n in numbers(found))


@given(landscapes(), st.integers(1, 6), SEEDS)
def test_the_order_of_markers_numbers_the_parts_and_changes_none(case, count, seed):
    mask, centres = case
    rng = np.random.default_rng(seed)
    markers = np.argwhere(rng.permutation(mask.size).reshape(mask.shape) < count)
    order = rng.permutation(len(markers))
    found, shuffled = (flood_from(mask, centres, chosen) for chosen in (markers, markers[order]))
    np.testing.assert_array_equal(renumbered(shuffled, (order + 1).tolist()), found)
    inside = mask[tuple(markers.T)]
    np.testing.assert_array_equal(found[tuple(markers.T)], np.where(inside, np.arange(len(markers)) + 1, 0))


@given(SEEDS, shapes(12), st.sampled_from([1, 3, 40, 60_000]))
@example(seed=0, shape=(1, 1, 3), top=3)  # scikit-image took it for a coloured row
def test_the_classical_baseline_knows_no_type_and_leaves_no_small_nucleus(seed, shape, top):
    image = np.random.default_rng(seed).integers(0, top + 1, shape).astype(np.uint16)
    spacing = (4.0, 2.0, 2.0)
    found = segment(image, spacing)
    np.testing.assert_array_equal(segment(image.astype(np.float64), spacing), found)
    assert is_dense(found)
    assert (np.bincount(found.ravel())[1:] * 16.0 >= 200).all()
