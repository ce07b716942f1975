import numpy as np
import pytest

from zoo.data.normalise import correct_attenuation, minmax, percentile
from zoo.data.resample import resample
from zoo.prepare import isotropic
from zoo.recipe import Recipe


@pytest.mark.parametrize("scaling, scaled", [("percentile", percentile), ("minmax", minmax)])
@pytest.mark.parametrize("attenuation", [False, True])
def test_corrects_then_resamples_then_scales(scaling, scaled, attenuation):
    rng = np.random.default_rng(1)
    decay = np.exp(-0.2 * np.arange(7))[:, None, None]
    image = (100 + 1000 * decay * (rng.random((7, 12, 12)) < 0.2)).astype(np.uint16)
    recipe = Recipe(poolings=1, base=1, voxel_um=1.0, scaling=scaling, attenuation=attenuation)
    out = isotropic(image, (2, 0.5, 0.5), recipe)
    corrected = correct_attenuation(image) if attenuation else image
    assert out.shape == (14, 6, 6)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, scaled(resample(corrected, (14, 6, 6))), atol=1e-6)


def test_the_input_is_not_changed():
    image = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    before = image.copy()
    isotropic(image, (1, 1, 1), Recipe(poolings=1, base=1, voxel_um=1.0, scaling="minmax", attenuation=True))
    np.testing.assert_array_equal(image, before)
