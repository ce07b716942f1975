"""Data sets that may be of single slices: EMR-CNN's and COCO."""

import json
import shutil

import imagecodecs
import numpy as np
import pytest
from tiny_sets import UM, image, labels, names, put

from zoo.data.datasets import BBBC050_UM
from zoo.data.layouts import find
from zoo.errors import InputError

# EMR-CNN


def emrcnn(root, test="syn"):
    """Two slices of one stack, one of them a PNG, and a stack; to test on a slice and what has no truth."""
    put(root / "train" / "syn" / "a_z001.tif", image(1)[1])
    (root / "train" / "syn" / "a_z002.png").write_bytes(imagecodecs.png_encode(image(1)[2]))
    put(root / "train" / "syn" / "b.tif", image(2))
    put(root / "train" / "gt" / "a_z001.tif", labels()[1])
    put(root / "train" / "gt" / "a_z002.tif", labels()[2])
    put(root / "train" / "gt" / "b.tif", labels())
    put(root / "test" / test / "a_z001.tif", image(4)[4])
    put(root / "test" / test / "unknown.tif", image(5))
    put(root / "test" / "gt" / "a_z001.tif", labels()[4])
    return root


@pytest.mark.parametrize("test", ["syn", "images", "img"])
def test_emrcnn_of_slices_and_stacks(tmp_path, test):
    dataset = find(emrcnn(tmp_path, test))
    assert dataset.layout == "EMR-CNN"
    assert names(dataset.samples) == ["test_a_z001", "train_a_z001", "train_a_z002", "train_b"]
    assert [sample.group for sample in dataset.samples] == ["a", "a", "a", "b"]
    assert dataset.validation == {"test_a_z001"}
    expected = (image(4)[4:5], labels()[4:5]), *((image(1)[z : z + 1], labels()[z : z + 1]) for z in (1, 2))
    for sample, (pixels, truth) in zip(dataset.samples, (*expected, (image(2), labels())), strict=True):
        volume = sample.load()
        np.testing.assert_array_equal(volume.image, pixels)
        np.testing.assert_array_equal(volume.labels, truth)
        np.testing.assert_array_equal(volume.mask, truth > 0)
        assert set(volume.labels[volume.markers]) == set(truth[truth > 0])
        assert volume.spacing == BBBC050_UM


def test_emrcnn_needs_nothing_to_test_on(tmp_path):
    shutil.rmtree(emrcnn(tmp_path) / "test" / "gt")
    dataset = find(tmp_path)
    assert dataset.validation == frozenset()
    assert names(dataset.samples) == ["train_a_z001", "train_a_z002", "train_b"]
    shutil.rmtree(tmp_path / "test")
    assert names(find(tmp_path).samples) == names(dataset.samples)


def test_emrcnn_whose_test_names_do_not_agree(tmp_path):
    (emrcnn(tmp_path) / "test" / "gt" / "a_z001.tif").rename(tmp_path / "test" / "gt" / "a_gt.tif")
    with pytest.raises(InputError, match=r"no file of .*test/syn has a partner .*test/gt: rename"):
        find(tmp_path)


def test_emrcnn_training_slice_without_truth_is_named(tmp_path):
    (emrcnn(tmp_path) / "train" / "gt" / "a_z002.tif").unlink()
    with pytest.raises(InputError, match=r"1 files of .*train have no partner .*: syn/a_z002"):
        find(tmp_path)


@pytest.mark.parametrize(
    "truth, words",
    [
        (labels()[1][1:], r"gt/a_z001\.tif \(shape \(1, 9, 12\)\) must have the shape of .* \(1, 10, 12\)"),
        (labels()[1] - np.int16(3), r"gt/a_z001\.tif \(int16\) must hold labels, integers of 0 or more"),
        (labels()[1] * np.float32(0.5), r"gt/a_z001\.tif \(float32\) must hold labels"),
    ],
)
def test_emrcnn_truths_that_are_none(tmp_path, truth, words):
    put(emrcnn(tmp_path) / "train" / "gt" / "a_z001.tif", truth)
    with pytest.raises(InputError, match=words):
        find(tmp_path).samples[1].load()


def test_slices_are_volumes_in_no_other_layout(tmp_path):
    put(tmp_path / "images" / "a.tif", image()[1])
    put(tmp_path / "labels" / "a.tif", labels()[1])
    with pytest.raises(InputError, match="no partner"):
        find(tmp_path)


# COCO


def square(image_id, left, top, edge, **more):
    corners = [left, top, left + edge, top, left + edge, top + edge, left, top + edge]
    return {"image_id": image_id, "segmentation": [corners], **more}


def coco(root):
    """Slices 2 and 10 of one stack, and a picture of its own."""
    for name, z in (("fish_z002.tif", 2), ("fish_z010.tif", 3), ("alone.tif", 4)):
        put(root / "images" / name, image()[z])
    listed = [
        {"id": number, "file_name": name, "width": 12, "height": 10}
        for number, name in enumerate(("fish_z010.tif", "alone.tif", "fish_z002.tif"))
    ]
    objects = [square(0, 1, 2, 3), square(2, 1, 2, 4), square(2, 6, 5, 2), square(0, 5, 5, 4, iscrowd=1)]
    (root / "annotations.json").write_text(json.dumps({"images": listed, "annotations": objects}))
    return root


def test_coco(tmp_path):
    dataset = find(coco(tmp_path))
    assert dataset.layout == "COCO (1 crowd regions left out)"
    assert names(dataset.samples) == ["alone", "fish"]
    assert dataset.groups == ("alone", "fish")
    alone, fish = (sample.load() for sample in dataset.samples)
    np.testing.assert_array_equal(alone.image, image()[4:5])
    assert alone.labels.shape == (1, 10, 12)
    assert not alone.labels.any()
    # by z, not by their order in the list; objects of one place in two slices are two
    np.testing.assert_array_equal(fish.image, image()[2:4])
    expected = np.zeros((2, 10, 12), int)
    expected[0, 2:6, 1:5], expected[0, 5:7, 6:8], expected[1, 2:5, 1:4] = 1, 2, 3
    np.testing.assert_array_equal(fish.labels, expected)
    np.testing.assert_array_equal(fish.mask, expected > 0)
    assert set(fish.labels[fish.markers]) == {1, 2, 3}
    assert fish.spacing == BBBC050_UM
    assert find(tmp_path, UM).samples[0].load().spacing == UM


def test_a_faulty_coco_file_is_named_before_any_image_is_read(tmp_path):
    (coco(tmp_path) / "images" / "alone.tif").write_text("not a TIFF")
    alone, fish = find(tmp_path).samples
    fish.load()
    with pytest.raises(InputError, match=r"alone\.tif is not a TIFF"):
        alone.load()
    (tmp_path / "images" / "alone.tif").unlink()
    with pytest.raises(InputError, match=r"annotations\.json: images\[1\]: file 'alone\.tif' is neither"):
        find(tmp_path)


def test_coco_without_crowds_says_nothing_of_them(tmp_path):
    text = (coco(tmp_path) / "annotations.json").read_text()
    (tmp_path / "annotations.json").write_text(text.replace('"iscrowd": 1', '"iscrowd": 0'))
    assert find(tmp_path).layout == "COCO"
