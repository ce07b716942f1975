"""BioImage.IO's own steps before a network give what ours give; the network is a stand-in."""

import zipfile

import numpy as np
import pytest

from zoo import registry
from zoo.prepare import HIGHEST
from zoo.recipe import change
from zoo.segment import Network

core = pytest.importorskip("bioimageio.core")

# the library leaves to Python to close what it reads
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

CASES = {
    "percentile": ("qcanet_nsn", {}),
    "minmax": ("unet3d", {"scaling": "minmax"}),
    "attenuation": ("qcanet_ndn", {"attenuation": True}),
    "movie": ("cnn3d_yeast", {}),
    "movie by its largest": ("cnn3d_yeast_unet", {"fit": "pad", "scaling": "max", "augment": "none"}),
}


class Standin:
    """A network that says how bright its image is."""

    def predict_on_batch(self, images):
        return np.clip(images, 0, 1)


@pytest.mark.parametrize("name", CASES)
def test_what_it_scales_is_what_we_scale(name, tmp_path):
    from bioimageio.core.digest_spec import create_sample_for_model
    from bioimageio.core.proc_setup import get_pre_and_postprocessing
    from bioimageio.spec import ValidationContext

    from zoo.data.write import write_image
    from zoo.serving import bioimageio_rdf as rdf
    from zoo.serving.bioimageio_sample import make_sample

    entry_name, changed = CASES[name]
    entry = registry.get(entry_name)
    recipe = change(entry.recipes["default"], {**entry.tiny, **changed})
    sample = make_sample(Network(entry, recipe, Standin()))
    assert sample.image.shape == recipe.patch
    assert sample.probability.max() > 0.5 > sample.probability.min()
    for file, array in ((rdf.TEST_INPUT, sample.image), (rdf.TEST_OUTPUT, sample.probability)):
        np.save(tmp_path / file, array[None, ..., None])
    for file, array in ((rdf.SAMPLE_INPUT, sample.image), (rdf.SAMPLE_OUTPUT, sample.probability)):
        write_image(tmp_path / file, array, (1.0, 1.0, 1.0))
    (tmp_path / rdf.PAGE).write_text("page")
    (tmp_path / rdf.COVER).write_bytes(b"cover")
    with zipfile.ZipFile(tmp_path / "weights.zip", "w"):
        pass
    with ValidationContext(perform_io_checks=True, log_warnings=False):
        described = rdf.describe(entry, recipe, {}, sample, tmp_path / "weights.zip")

    image, expected = sample.image.copy(), sample.prepared.copy()
    if sample.voxel_um is None:  # a hot pixel of a scaled movie is cut off
        image[0, 0, 0], expected[0, 0, 0] = 1000, HIGHEST
    shown = create_sample_for_model(described, inputs={"image": image[None, ..., None]})
    get_pre_and_postprocessing(described, dataset_for_initial_statistics=()).pre(shown)
    found = shown.members["image"].data.to_numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, ..., 0], expected, rtol=0, atol=1e-6)
    assert "um" in sample.wanted or "movie" in sample.wanted
    assert (sample.voxel_um is None) == name.startswith("movie")
