import csv
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from zoo import registry
from zoo.data.io import Stack, read_labels
from zoo.evaluate.report import MAX_PICTURED, write_report
from zoo.movie_results import MovieTarget, write_movie
from zoo.recipe import Recipe
from zoo.results import Target, make_case, stem_of, write_results
from zoo.segment import Network, Segmentation, segment

UM = (1.75, 0.8, 0.8)


class Curve:
    """A network of a voxel: its probability is a power of the brightness."""

    def __init__(self, power):
        self.power = power

    def predict_on_batch(self, batch):
        return batch**self.power


def nuclei(shape, apart=(16, 40, 40)):
    """Pairs of touching blobs on a grid, uint16."""
    z, y, x = np.indices(apart)
    one = np.zeros(apart)
    for middle in (13.0, 25.0):
        square = ((z - 8) * 1.75) ** 2 + ((y - 20) * 0.8) ** 2 + ((x - middle) * 0.8) ** 2
        one = np.maximum(one, np.exp(-square / 40))
    times = [-(-n // step) for n, step in zip(shape, apart, strict=True)]
    return np.tile((1000 * one).astype(np.uint16), times)[tuple(map(slice, shape))]


def stack_of(frames, name="a.tif"):
    return Stack(frames, UM, tuple(range(len(frames))), len(frames) > 1, Path(name))


def test_a_run_takes_less_than_three_volumes_of_floats(tmp_path):
    image = nuclei((96, 160, 160), (48, 80, 80))
    recipe = Recipe(poolings=2, base=2, voxel_um=1.6, scaling="minmax")
    networks = {
        name: Network(registry.get(name), recipe, Curve(power), memory=2**40)
        for name, power in (("qcanet_nsn", 1), ("qcanet_ndn", 8))
    }
    found = []

    def run(frame):
        result = segment(registry.get("qcanet"), networks, frame, UM)
        found.append(int(result.labels.max()))
        return result

    target = Target(tmp_path, "a")
    tracemalloc.start()
    cases = write_results(stack_of(image[None].copy()), UM, run, target)
    write_report(tmp_path / "report.html", title="t", cases=cases, settings={})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [16]
    assert peak < 3 * 4 * image.size
    labels = read_labels(target.labels).frames[0]
    assert labels.max() == 16
    with target.criteria.open() as file:
        assert sum(int(row["voxels"]) for row in csv.DictReader(file)) == np.count_nonzero(labels)


def test_the_report_gets_the_distance_to_the_background():
    rng = np.random.default_rng(0)
    labels = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(9, 20, 21)), 1.5) > 0)[0]
    case = make_case("a", rng.normal(size=labels.shape), UM, Segmentation(labels), [])
    expected = ndimage.distance_transform_edt(labels > 0, sampling=UM)
    np.testing.assert_allclose(case.layer("Distance (µm)"), expected, rtol=1e-3)


@pytest.mark.parametrize("frames", [1, 3])
def test_labels_of_frames_are_written_when_all_are_done_in_the_smallest_type(tmp_path, frames):
    images = np.stack([nuclei((16, 40, 80)) * (frame + 1) for frame in range(frames)])
    target = Target(tmp_path, "a")
    cases = write_results(
        stack_of(images), UM, lambda frame: Segmentation(ndimage.label(frame > 700)[0]), target
    )
    names = [next(cases).name for _ in range(frames)]
    assert names == (["a.tif"] if frames == 1 else ["a.tif frame 0", "a.tif frame 1", "a.tif frame 2"])
    assert not target.labels.exists()
    assert list(cases) == []
    found = read_labels(target.labels)
    assert found.frames.dtype == np.uint8
    np.testing.assert_array_equal(found.frames, [ndimage.label(image > 700)[0] for image in images])
    assert target.frames.exists() == (frames > 1)


def test_pictures_of_a_movie_are_painted_for_the_frames_that_show_them(tmp_path, monkeypatch):
    from zoo import movie_results

    painted = []

    def paint(name):
        return lambda image, *masks: painted.append(name) or np.zeros((4, 4, 3), np.uint8)

    for name in ("contact_sheet", "max_projections"):
        monkeypatch.setattr(movie_results, name, paint(name))
    movie = np.stack([nuclei((8, 20, 20), (8, 20, 20))] * (MAX_PICTURED + 2))
    target = MovieTarget(tmp_path, "m")

    def mark(frame):
        probability = (frame / frame.max()).astype(np.float32)
        return Segmentation(ndimage.label(probability > 0.5)[0], {"probability": probability})

    cases = write_movie(stack_of(movie), UM, mark, target)
    write_report(tmp_path / "report.html", title="t", cases=cases, settings={})
    assert painted == ["max_projections", "contact_sheet"] * MAX_PICTURED
    np.testing.assert_array_equal(read_labels(target.labels).frames, movie > movie.max() / 2)
    with target.polarity.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(movie)
    inside = movie[0][movie[0] > movie.max() / 2] / movie.max()
    assert float(rows[0]["mean_probability"]) == pytest.approx(inside.mean(), rel=1e-5)


def test_results_are_called_as_a_link_is_not_as_what_it_leads_to(tmp_path, monkeypatch):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "MD5-1234.tif").touch()
    (tmp_path / "embryo.ome.tif").symlink_to(tmp_path / "store" / "MD5-1234.tif")
    assert stem_of(tmp_path / "embryo.ome.tif") == "embryo"
    monkeypatch.chdir(tmp_path / "store")
    assert stem_of(Path()) == "store"
