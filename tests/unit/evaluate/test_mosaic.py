import numpy as np
import pytest

from zoo.errors import InputError
from zoo.evaluate.mosaic import (
    GAP,
    busiest_voxel,
    contact_sheet,
    first_label,
    max_projection,
    orthogonal_projections,
    orthogonal_slices,
    pixel_size,
    xy_pane,
)


def test_slices_by_hand():
    # z = 2, y = 3, x = 4, voxel value 100 z + 10 y + x; a slice is twice as thick as a pixel
    z, y, x = np.indices((2, 3, 4))
    volume = 100 * z + 10 * y + x
    mosaic = orthogonal_slices(volume, (2.0, 1.0, 1.0), at=(1, 2, 3))
    expected = np.zeros((3 + GAP + 4, 4 + GAP + 4), dtype=int)
    expected[:3, :4] = [[100, 101, 102, 103], [110, 111, 112, 113], [120, 121, 122, 123]]
    expected[:3, 4 + GAP :] = [[3, 3, 103, 103], [13, 13, 113, 113], [23, 23, 123, 123]]
    expected[3 + GAP :, :4] = [[20, 21, 22, 23], [20, 21, 22, 23], [120, 121, 122, 123], [120, 121, 122, 123]]
    np.testing.assert_array_equal(mosaic, expected)


def test_slices_go_through_the_middle_by_default():
    volume = np.random.default_rng(0).integers(0, 99, (5, 6, 7))
    spacing = (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(
        orthogonal_slices(volume, spacing), orthogonal_slices(volume, spacing, at=(2, 3, 3))
    )


def test_projections_by_hand():
    volume = np.zeros((2, 2, 3), dtype=np.uint8)
    volume[0, 0, 0], volume[1, 0, 0], volume[1, 1, 2] = 5, 9, 7
    mosaic = orthogonal_projections(volume, (1.0, 1.0, 1.0))
    expected = np.zeros((2 + GAP + 2, 3 + GAP + 2), dtype=np.uint8)
    expected[:2, :3] = [[9, 0, 0], [0, 0, 7]]  # y down, x right
    expected[:2, 3 + GAP :] = [[5, 9], [0, 7]]  # y down, z right
    expected[2 + GAP :, :3] = [[5, 0, 0], [9, 0, 7]]  # z down, x right
    np.testing.assert_array_equal(mosaic, expected)
    assert mosaic.dtype == np.uint8


@pytest.mark.parametrize("spacing", [(1.75, 0.8, 0.8), (0.3, 0.5, 0.5), (1.0, 2.0, 0.5)])
def test_panes_have_true_proportions(spacing):
    shape = (51, 120, 130)
    mosaic = orthogonal_slices(np.ones(shape, dtype=bool), spacing)
    height, width = int(mosaic[:, 0].nonzero()[0][0] + mosaic[:, 0].argmin()), int(mosaic[0].argmin())
    assert (height, width) == xy_pane(shape, spacing)
    pixel = pixel_size(shape, spacing)
    assert pixel >= min(spacing)
    assert height * pixel == pytest.approx(shape[1] * spacing[1], abs=pixel)
    assert width * pixel == pytest.approx(shape[2] * spacing[2], abs=pixel)
    depth = shape[0] * spacing[0]
    assert (mosaic.shape[0] - height - GAP) * pixel == pytest.approx(depth, abs=pixel)
    assert (mosaic.shape[1] - width - GAP) * pixel == pytest.approx(depth, abs=pixel)


def test_large_volumes_stay_within_the_limit():
    mosaic = orthogonal_slices(np.broadcast_to(np.uint8(1), (100, 3000, 1000)), (2.0, 0.5, 0.5))
    assert max(mosaic.shape) <= 600
    height, width = xy_pane((100, 3000, 1000), (2.0, 0.5, 0.5))
    assert height / width == pytest.approx(3, rel=0.02)


def test_one_slice_and_one_voxel():
    volume = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    mosaic = orthogonal_slices(volume, (1.0, 1.0, 1.0))
    assert mosaic.shape == (3 + GAP + 1, 4 + GAP + 1)
    np.testing.assert_array_equal(mosaic[:3, :4], volume[0])
    one = orthogonal_projections(np.full((1, 1, 1), 7), (3.0, 1.0, 1.0))
    assert one.shape == (1 + GAP + 3, 1 + GAP + 3)
    assert one.sum() == 7 * (1 + 3 + 3)


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4, 5), (0, 4, 4)])
def test_other_shapes_are_refused(shape):
    for draw in (orthogonal_slices, orthogonal_projections):
        with pytest.raises(InputError, match=r"\(z, y, x\).*" + str(shape).replace("(", r"\(")[:-1]):
            draw(np.zeros(shape), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("at", [(2, 0, 0), (0, -1, 0), (0, 0, 4)])
def test_slices_outside_are_refused(at):
    with pytest.raises(InputError, match="outside the volume"):
        orthogonal_slices(np.zeros((2, 3, 4)), (1.0, 1.0, 1.0), at=at)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_first_label_is_the_nearest_one(axis):
    labels = np.random.default_rng(1).choice([0, 0, 0, 3, 70_000], (3, 4, 5))
    expected = np.apply_along_axis(lambda ray: next((v for v in ray if v), 0), axis, labels)
    np.testing.assert_array_equal(first_label(labels, axis), expected)
    # the largest label would be another picture here
    assert not np.array_equal(max_projection(labels, axis), expected)


def test_busiest_voxel_by_hand():
    labels = np.zeros((3, 4, 5), dtype=int)
    labels[2, 1, :] = 4  # 5 voxels in z = 2 and y = 1
    labels[0, 3, 1] = 9  # makes x = 1 the fullest
    assert busiest_voxel(labels) == (2, 1, 1)
    assert busiest_voxel(np.zeros((3, 4, 5), dtype=int)) == (1, 2, 2)


def test_contact_sheet_places_and_scales():
    red, green = np.zeros((2, 2, 3), dtype=np.uint8), np.zeros((2, 4, 3), dtype=np.uint8)
    red[..., 0], green[..., 1] = 200, 200
    sheet = contact_sheet([red, red, green], columns=2, tile=8)
    assert sheet.shape == (8 + GAP + 8, 8 + GAP + 8, 3)
    expected = np.zeros_like(sheet)
    expected[:8, :8, 0] = expected[:8, 8 + GAP :, 0] = 200
    expected[8 + GAP + 2 : 8 + GAP + 6, :8, 1] = 200  # twice as wide as high, in the middle of its tile
    np.testing.assert_array_equal(sheet, expected)


def test_contact_sheet_of_one_has_one_tile():
    assert contact_sheet([np.zeros((3, 3, 3), dtype=np.uint8)], tile=16).shape == (16, 16, 3)
