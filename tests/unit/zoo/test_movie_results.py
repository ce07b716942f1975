"""From a movie's file to its masks, by a network that marks what is bright."""

import numpy as np
import pytest
from rich.console import Console

from zoo import registry
from zoo.cli.predict import _read, _segmenter
from zoo.data.cell import find_cell
from zoo.data.io import read_labels
from zoo.data.resample import resample
from zoo.data.write import write_image
from zoo.movie_results import MovieTarget, inside, write_movie
from zoo.recipe_cell import CellRecipe
from zoo.segment import Network, Segmentation

UM = (0.2, 0.1, 0.1)
SHAPE = (20, 40, 50)
ENTRY = registry.get("cnn3d_yeast")


class Bright:
    """A network that is sure of what is above 0.6 in a scaled image, and keeps what it saw."""

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, batch):
        self.seen.append(batch[0, ..., 0])
        return (batch > 0.6).astype(np.float32)


def write_movie_of_a_cell(path):
    """Write 4 frames of a large cell off the centre, its patch and, elsewhere, a spot that is as bright."""
    image = np.random.default_rng(0).integers(95, 105, (4, *SHAPE))
    patch = np.zeros(image.shape, bool)
    for time in range(4):
        image[time, 4:16, 8 + time : 30 + time, 20:46] += 300
        patch[time, 6:12, 10 + time : 16 + time, 24:30] = True
    image += 2000 * patch
    image[:, 15:19, 34:38, 2:6] = 2400
    write_image(path, image.astype(np.uint16), UM)
    return image, patch


def run(path, out, recipe, frames=None):
    """Predict as the command does; return the masks, the probability of each frame and what was seen."""
    model = Bright()
    networks = {ENTRY.name: Network(ENTRY, recipe, model)}
    opened = _read(ENTRY, None, None, frames, False, lambda: networks, Console(quiet=True), path)
    target = MovieTarget(out, "m")
    segment = _segmenter(ENTRY, lambda: networks, {}, opened)
    cases = list(write_movie(opened.stack, opened.um, segment, target))
    (name,) = cases[0].layers
    return read_labels(target.labels).frames, [case.layer(name) for case in cases], model.seen


def test_the_mask_is_where_the_patch_is(tmp_path):
    image, patch = write_movie_of_a_cell(tmp_path / "m.tif")
    box = find_cell(image, UM)
    recipe = CellRecipe(size=(32, 32, 32))
    masks, maps, seen = run(tmp_path / "m.tif", tmp_path / "o", recipe)
    assert masks.shape == patch.shape
    for mask, probability, truth in zip(masks > 0, maps, patch, strict=True):
        assert (mask & truth).sum() / (mask | truth).sum() > 0.7
        np.testing.assert_array_equal(probability >= 0.5, mask)
    assert not masks[:, 15:19, 34:38, 2:6].any()  # beyond the box
    cut = image[(slice(None), *box)]
    low, high = np.percentile(cut, (1, 99.8))
    for frame, shown in zip(cut, seen, strict=True):
        np.testing.assert_allclose(shown, resample((frame - low) / (high - low), (32, 32, 32)), atol=1e-5)


def test_the_box_is_that_of_all_frames(tmp_path):
    image, _ = write_movie_of_a_cell(tmp_path / "m.tif")
    assert find_cell(image[2:], UM) != find_cell(image, UM)
    masks, maps, seen = run(tmp_path / "m.tif", tmp_path / "o", CellRecipe())
    some, some_maps, some_seen = run(tmp_path / "m.tif", tmp_path / "s", CellRecipe(), "2,3")
    np.testing.assert_array_equal(some, masks[2:])
    np.testing.assert_array_equal(some_maps, maps[2:])
    np.testing.assert_array_equal(some_seen, seen[2:])


def test_a_network_of_whole_frames_sees_them_whole(tmp_path):
    """So did those that were trained before frames could be cut."""
    image, _ = write_movie_of_a_cell(tmp_path / "m.tif")
    masks, _, seen = run(tmp_path / "m.tif", tmp_path / "o", CellRecipe(fit="resize"))
    assert masks[:, 15:19, 34:38, 2:6].mean() > 0.5  # the spot elsewhere is marked too
    low, high = np.percentile(image, (1, 99.8))
    np.testing.assert_allclose(seen[1], resample((image[1] - low) / (high - low), (32, 32, 32)), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_what_is_outside_of_the_box_is_background(dtype):
    box = (slice(1, 3), slice(0, 4), slice(2, 7))
    frame = np.random.default_rng(0).random((4, 5, 8))

    def mark(part):
        probability = part.astype(np.float32)
        return Segmentation((part > 0.5).astype(dtype), {"map": probability}, probability=probability)

    result = inside(box, mark)(frame)
    there = np.zeros(frame.shape, bool)
    there[box] = True
    assert result.labels.dtype == dtype
    np.testing.assert_array_equal(result.labels, (frame > 0.5) & there)
    for found in (result.layers["map"], result.probability):
        np.testing.assert_array_equal(found, np.where(there, frame, 0).astype(np.float32))
    assert inside(box, lambda part: Segmentation(part > 0.5))(frame).probability is None
