"""Data sets of whole volumes, found by how their folders are laid out."""

import numpy as np
import pytest
from scipy import ndimage
from tiny_sets import UM, image, labels, names, put

from zoo.data.datasets import BBBC050_UM
from zoo.data.layouts import _group, find
from zoo.data.targets import markers_from_labels
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError

# BBBC050


def bbbc050(root, names=("Emb01_t001", "Emb01_t051", "Emb02_t001"), masks=True, markers=True):
    for seed, name in enumerate(names):
        put(root / "Images" / f"{name}.tif", image(seed))
        put(root / "GroundTruth_QCANet" / f"{name}.tif", labels())
        if masks:
            put(root / "GroundTruth_NSN" / f"{name}.tif", (labels() == 3) * np.uint8(255))
        if markers:
            put(root / "GroundTruth_NDN" / f"{name}.tif", (labels() == 8) * np.uint8(255))
    return root


def test_bbbc050(tmp_path):
    dataset = find(bbbc050(tmp_path))
    assert dataset.layout == "BBBC050"
    assert names(dataset.samples) == ["Emb01_t001", "Emb01_t051", "Emb02_t001"]
    assert dataset.groups == ("Emb01", "Emb02")
    assert dataset.validation == frozenset()
    volume = dataset.samples[1].load()
    assert (volume.name, volume.group) == ("Emb01_t051", "Emb01")
    np.testing.assert_array_equal(volume.image, image(1))
    np.testing.assert_array_equal(volume.labels, labels())
    # the data set's own masks and markers are taken as they are
    np.testing.assert_array_equal(volume.mask, labels() == 3)
    np.testing.assert_array_equal(volume.markers, labels() == 8)
    assert volume.mask.dtype == volume.markers.dtype == bool
    assert volume.spacing == BBBC050_UM == (1.75, 0.8, 0.8)


def test_masks_and_markers_are_derived_from_instances(tmp_path):
    volume = find(bbbc050(tmp_path, masks=False, markers=False)).samples[0].load()
    np.testing.assert_array_equal(volume.mask, labels() > 0)
    np.testing.assert_array_equal(volume.markers, markers_from_labels(labels()))


def test_given_spacing_goes_before_that_of_the_paper(tmp_path):
    assert find(bbbc050(tmp_path), (2.0, 0.4, 0.3)).samples[0].load().spacing == (2.0, 0.4, 0.3)


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    bbbc050(tmp_path)
    (tmp_path / "Images" / "Emb01_t051.tif").write_text("not a TIFF")
    dataset = find(tmp_path)
    dataset.samples[0].load()
    with pytest.raises(InputError, match="Emb01_t051"):
        dataset.samples[1].load()


def test_a_file_missing_from_a_folder_of_masks_is_named(tmp_path):
    bbbc050(tmp_path)
    (tmp_path / "GroundTruth_NSN" / "Emb02_t001.tif").unlink()
    with pytest.raises(InputError, match=r"GroundTruth_NSN/Emb02_t001\.tif is missing"):
        find(tmp_path)


@pytest.mark.parametrize("folder", ["Images", "GroundTruth_QCANet"])
def test_a_file_without_a_partner_is_named(tmp_path, folder):
    bbbc050(tmp_path)
    put(tmp_path / folder / "Emb09_t001.tif", image())
    with pytest.raises(InputError, match=rf"1 files .* no partner .*: {folder}/Emb09_t001"):
        find(tmp_path)


# QCANet


def qcanet(root, markers=True):
    for seed, name in enumerate(("8_cell", "16_cell")):
        put(root / "images_raw" / f"{name}.tif", image(seed))
        put(root / "images_nsn" / f"{name}.tif", (labels() > 0) * np.uint8(255))
        if markers:
            put(root / "images_ndn" / f"{name}.tif", (labels() == 1) * np.uint8(255))
    return root


def test_qcanet_layout_takes_components_of_the_mask_for_instances(tmp_path):
    dataset = find(qcanet(tmp_path))
    assert dataset.layout == "QCANet"
    assert names(dataset.samples) == ["16_cell", "8_cell"]
    assert dataset.groups == ("16_cell", "8_cell")
    volume = dataset.samples[1].load()
    np.testing.assert_array_equal(volume.image, image(0))
    expected, count = ndimage.label(labels() > 0)
    assert count == 2  # the two that touch are one
    np.testing.assert_array_equal(volume.labels, expected)
    np.testing.assert_array_equal(volume.markers, labels() == 1)
    assert volume.spacing == BBBC050_UM


def test_qcanet_layout_without_markers_derives_them(tmp_path):
    volume = find(qcanet(tmp_path, markers=False)).samples[0].load()
    np.testing.assert_array_equal(volume.markers, markers_from_labels(volume.labels))


def test_qcanet_split_lists(tmp_path):
    qcanet(tmp_path)
    (tmp_path / "split_list").mkdir()
    (tmp_path / "split_list" / "validation.txt").write_text("16_cell.tif\n\n")
    dataset = find(tmp_path)
    assert dataset.validation == {"16_cell"}
    assert dataset.without(["16_cell"]).validation == frozenset()
    (tmp_path / "split_list" / "validation.txt").write_text("16_cell.tif\n32_cell.tif\n")
    with pytest.raises(InputError, match=r"validation\.txt names 32_cell: no such image"):
        find(tmp_path)


# pairs


def test_pairs_know_their_voxel_size_and_group(tmp_path):
    for name in ("mouse_1_t000", "mouse_1_t001", "fish"):
        write_image(tmp_path / "images" / f"{name}.tif", image(), UM)
        write_labels(tmp_path / "labels" / f"{name}.tif", labels(), UM)
    dataset = find(tmp_path)
    assert dataset.layout == "pairs"
    assert dataset.groups == ("fish", "mouse_1")
    volume = dataset.samples[0].load()
    assert volume.spacing == pytest.approx(UM)
    np.testing.assert_array_equal(volume.mask, labels() > 0)
    np.testing.assert_array_equal(volume.markers, markers_from_labels(labels()))
    assert find(tmp_path, (1, 1, 1)).samples[0].load().spacing == (1, 1, 1)


def test_pairs_of_ome_tiffs_keep_the_time_points_of_an_animal_together(tmp_path):
    for name in ("mouse_1_t000", "mouse_1_t001", "mouse_2_t000"):
        write_image(tmp_path / "images" / f"{name}.OME.tif", image(), UM)
        write_labels(tmp_path / "labels" / f"{name}.tif", labels(), UM)
    dataset = find(tmp_path)
    assert names(dataset.samples) == ["mouse_1_t000", "mouse_1_t001", "mouse_2_t000"]
    assert dataset.groups == ("mouse_1", "mouse_2")


def test_pairs_of_npy(tmp_path):
    for folder, array in (("images", image()), ("labels", labels())):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", array)
    volume = find(tmp_path).samples[0].load()
    np.testing.assert_array_equal(volume.labels, labels())
    assert volume.spacing == (1.75, 0.8, 0.8)


def test_labels_of_another_shape(tmp_path):
    put(tmp_path / "images" / "a.tif", image())
    put(tmp_path / "labels" / "a.tif", labels()[1:])
    with pytest.raises(InputError, match=r"labels/a\.tif \(shape \(5, 10, 12\)\) must .* \(6, 10, 12\)"):
        find(tmp_path).samples[0].load()


def test_masks_and_markers_of_another_shape(tmp_path):
    bbbc050(tmp_path)
    put(tmp_path / "GroundTruth_NDN" / "Emb01_t001.tif", labels()[:, 1:])
    with pytest.raises(InputError, match=r"GroundTruth_NDN/Emb01_t001\.tif \(shape \(6, 9, 12\)\)"):
        find(tmp_path).samples[0].load()


def test_a_time_series_is_no_volume(tmp_path):
    write_image(tmp_path / "images" / "a.tif", np.stack([image(), image(1)]), UM)
    write_labels(tmp_path / "labels" / "a.tif", np.stack([labels(), labels()]), UM)
    with pytest.raises(InputError, match=r"a\.tif holds 2 frames"):
        find(tmp_path).samples[0].load()


@pytest.mark.parametrize(
    "stem, group",
    [
        ("mouse_3_t012", "mouse_3"),
        ("Emb01-T5", "Emb01"),
        ("Emb01t5", "Emb01"),
        ("fish_frame_07", "fish"),
        ("fish_time7", "fish"),
        ("fish_7", "fish_7"),
        ("fish_z007", "fish"),
        ("fish_t3_z007", "fish"),
        ("_z7", "_z7"),
        ("rat1", "rat1"),
        ("t000", "t"),
        ("t12", "t"),
        ("frame3", "frame"),
    ],
)
def test_groups_are_names_without_a_time_point(stem, group):
    assert _group(stem) == group


# Cell Tracking Challenge


def tracking(root, slices_alone=False):
    for sequence, time in (("01", "000"), ("01", "007"), ("02", "003")):
        put(root / sequence / f"t{time}.tif", image(int(time)))
        put(root / sequence / "t009.tif", image())  # not annotated
        name = f"man_seg_{time}_002.tif" if slices_alone else f"man_seg{time}.tif"
        put(root / f"{sequence}_GT" / "SEG" / name, labels()[2] if slices_alone else labels())
    return root


def test_cell_tracking_challenge(tmp_path):
    tracking(tmp_path)
    put(tmp_path / "01_GT" / "SEG" / "man_seg_009_002.tif", labels()[2])
    dataset = find(tmp_path, UM)
    assert dataset.layout == "Cell Tracking Challenge"
    assert names(dataset.samples) == ["01_t000", "01_t007", "02_t003"]
    assert dataset.groups == ("01", "02")
    volume = dataset.samples[1].load()
    np.testing.assert_array_equal(volume.image, image(7))
    np.testing.assert_array_equal(volume.labels, labels())
    assert volume.spacing == UM


def test_annotated_slices_are_no_volumes(tmp_path):
    with pytest.raises(InputError, match="no whole annotated volume"):
        find(tracking(tmp_path, slices_alone=True))


def test_an_annotation_without_its_image_is_named(tmp_path):
    tracking(tmp_path)
    (tmp_path / "01" / "t007.tif").unlink()
    with pytest.raises(InputError, match=r"01/t007\.tif is missing"):
        find(tmp_path)


# what is no data set


def test_a_folder_of_no_layout_says_which_there_are(tmp_path):
    (tmp_path / "scans").mkdir()
    with pytest.raises(
        InputError, match=r"(?s)no layout that is known.*BBBC050.*QCANet.*pairs.*Cell Tracking.*EMR-CNN.*COCO"
    ):
        find(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        find(tmp_path / "none")


def test_empty_folders(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match="images is an empty folder"):
        find(tmp_path)


# the real ones


@pytest.mark.real
def test_the_real_bbbc050(real_data):
    dataset = find(real_data / "bbbc050" / "train")
    assert dataset.layout == "BBBC050"
    assert len(dataset.samples) == 121
    assert dataset.groups == tuple(f"Emb{n:02d}" for n in range(1, 12))
    volume = next(s for s in dataset.samples if s.name == "Emb04_t301").load()
    assert volume.image.dtype == np.uint16
    assert volume.image.shape == volume.labels.shape == volume.mask.shape == volume.markers.shape
    assert ndimage.label(volume.markers)[1] == len(np.unique(volume.labels)) - 1


@pytest.mark.real
def test_the_real_qcanet_example(real_data):
    dataset = find(real_data / "qcanet_example")
    assert dataset.layout == "QCANet"
    assert dataset.validation == {"16_cell_stage"}
    counts = {sample.name: len(np.unique(sample.load().labels)) - 1 for sample in dataset.samples}
    assert counts == {"8_cell_stage": 8, "16_cell_stage": 16}
