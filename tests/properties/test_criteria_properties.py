"""What holds for measurements whatever the nuclei."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import POWERS, SEEDS, SPACINGS, labels, masks, renumbered

from zoo.evaluate.criteria import measure, per_frame, surface_area

FIELDS = ("voxels", "volume_um3", "surface_um2", "z_um", "y_um", "x_um", "sphericity", "mean_intensity")


def rows(nuclei, names=FIELDS):
    return [[getattr(nucleus, name) for name in names] for nucleus in nuclei]


@given(labels(), SPACINGS, SEEDS)
def test_measurements_are_those_of_a_loop_over_labels(volume, spacing, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 4096, volume.shape).astype(np.uint16)
    sure = rng.random(volume.shape).astype(np.float32)
    found = measure(volume, spacing, image, 7, sure, (255 * sure).astype(np.uint8))
    assert [nucleus.label for nucleus in found] == np.unique(volume[volume > 0]).tolist()
    for nucleus in found:
        own = volume == nucleus.label
        at = np.argwhere(own)
        assert (nucleus.frame, nucleus.voxels) == (7, len(at))
        assert nucleus.volume_um3 == len(at) * math.prod(spacing)
        assert (nucleus.z_um, nucleus.y_um, nucleus.x_um) == pytest.approx(at.mean(axis=0) * spacing)
        assert nucleus.mean_intensity == pytest.approx(image[own].mean())
        assert nucleus.mean_probability == pytest.approx(sure[own].mean(), abs=1e-6)
        assert nucleus.centre_probability == pytest.approx(sure[own].max(), abs=1 / 255)
        assert nucleus.touches_border == bool(((at == 0) | (at == np.array(volume.shape) - 1)).any())


@given(labels(side=4), SPACINGS, POWERS, st.permutations([2, 9, 4, 30]))
def test_neither_unit_nor_numbers_nor_room_matter(volume, spacing, unit, numbers):
    before = rows(measure(volume, spacing), FIELDS[:-1])
    scaled = rows(measure(volume, tuple(unit * um for um in spacing)), FIELDS[:-1])
    powers = np.array([0, 3, 2, 1, 1, 1, 0])
    assert scaled == [pytest.approx((np.array(row) * unit**powers).tolist(), rel=1e-4) for row in before]
    other = measure(renumbered(volume, numbers), spacing)
    order = np.argsort([numbers[label - 1] for label in np.unique(volume[volume > 0])])
    assert rows(other, FIELDS[:-1]) == [before[i] for i in order]
    padded = measure(np.pad(volume, 1), spacing)
    assert not any(nucleus.touches_border for nucleus in padded)
    shift = np.array([0, 0, 0, *spacing, 0])
    assert rows(padded, FIELDS[:-1]) == [pytest.approx((np.array(row) + shift).tolist()) for row in before]


@given(masks(side=6).filter(np.any), SPACINGS)
def test_nothing_is_rounder_than_a_ball(mask, spacing):
    area = surface_area(mask, spacing)
    volume = mask.sum() * math.prod(spacing)
    assert area * (1 + 1e-4) >= math.pi ** (1 / 3) * (6 * volume) ** (2 / 3)


@given(st.lists(labels(side=3), max_size=3), SPACINGS)
def test_frames_sum_up_their_nuclei_as_a_loop_does(volumes, spacing):
    nuclei = [n for frame, volume in enumerate(volumes) for n in measure(volume, spacing, frame=frame)]
    found = per_frame(nuclei[::-1], range(len(volumes) + 1))
    assert [summary.frame for summary in found] == list(range(len(volumes) + 1))
    for summary in found:
        own = [n for n in nuclei if n.frame == summary.frame]
        assert summary.count == len(own)
        assert summary.total_volume_um3 == pytest.approx(sum(n.volume_um3 for n in own))
        assert summary.total_surface_um2 == pytest.approx(sum(n.surface_um2 for n in own))
        if own:
            mean = sum(n.volume_um3 for n in own) / len(own)
            spread = math.sqrt(sum((n.volume_um3 - mean) ** 2 for n in own) / len(own))
            assert summary.mean_volume_um3 == pytest.approx(mean)
            assert summary.std_volume_um3 == pytest.approx(spread, abs=1e-9)
            assert summary.mean_sphericity == pytest.approx(sum(n.sphericity for n in own) / len(own))
        else:
            assert math.isnan(summary.mean_volume_um3)
            assert math.isnan(summary.mean_sphericity)
