import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as theirs
from scipy import ndimage

from zoo.data.coco import Picture, annotation_file, draw, read_annotations, read_planes, read_volume
from zoo.errors import InputError

SHAPE = (7, 9)
SQUARE = [2, 1, 6, 1, 6, 4, 2, 4]


def picture(*outlines, shape=SHAPE):
    objects = tuple((f"a.json: annotations[{i}]", outline) for i, outline in enumerate(outlines))
    return Picture(path=Path("a.tif"), volume="a", z=0, shape=shape, objects=objects)


def runs(mask, compressed=False):
    """Encode a mask: by a plain loop down the columns, or by pycocotools."""
    if compressed:
        found = theirs.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": list(mask.shape), "counts": found["counts"].decode()}
    counts, last = [0], False
    for value in mask.T.ravel():
        if value != last:
            counts.append(0)
        counts[-1] += 1
        last = value
    return {"size": list(mask.shape), "counts": counts}


# drawing


def test_a_polygon_by_hand():
    expected = np.zeros(SHAPE, int)
    expected[1:4, 2:6] = 1
    labels = draw(picture([SQUARE]))
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32


def test_run_lengths_by_hand():
    # 4 x 3 pixels down the columns: two of background, three of the object, ...
    for counts in ([2, 3, 5, 1, 1], [2, 3, 5, 1, 1, 0]):
        labels = draw(picture({"size": [4, 3], "counts": counts}, shape=(4, 3)))
        np.testing.assert_array_equal(labels, [[0, 1, 0], [0, 0, 0], [1, 0, 1], [1, 0, 0]])


def test_an_object_of_several_parts_is_one():
    labels = draw(picture([SQUARE, [7, 5, 9, 5, 9, 7, 7, 7], SQUARE]))
    expected = np.zeros(SHAPE, int)
    expected[1:4, 2:6] = 1
    expected[5:, 7:] = 1
    np.testing.assert_array_equal(labels, expected)


def test_the_smaller_lies_on_top_and_of_equals_the_later():
    small, large, shifted = [3, 2, 4, 2, 4, 3, 3, 3], [0, 0, 9, 0, 9, 7, 0, 7], [3, 2, 7, 2, 7, 5, 3, 5]
    labels = draw(picture([small], [SQUARE], [large], [shifted]))
    expected = np.full(SHAPE, 3)
    expected[1:4, 2:6] = 2
    expected[2:5, 3:7] = 4
    expected[2, 3] = 1
    np.testing.assert_array_equal(labels, expected)


def test_polygons_are_cut_at_the_edge_and_may_hold_no_pixel():
    labels = draw(picture([[-5, -5, 3, -5, 3, 2, -5, 2]], [[4.6, 4.6, 4.9, 4.6, 4.9, 4.9]]))
    expected = np.zeros(SHAPE, int)
    expected[:2, :3] = 1
    np.testing.assert_array_equal(labels, expected)
    assert not draw(picture()).any()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_come_back(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    for compressed in (False, True):
        np.testing.assert_array_equal(draw(picture(runs(mask, compressed), shape=mask.shape)), mask)


def test_long_runs_come_back():
    # differences of several characters, and negative ones
    mask = np.zeros((700, 900), bool)
    mask[300:600, 20:700] = mask[2, 3] = mask[699, 899] = True
    mask[310:590, 400] = False
    np.testing.assert_array_equal(draw(picture(runs(mask, True), shape=mask.shape)), mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
@pytest.mark.parametrize("seed", range(5))
def test_polygons_are_those_of_pycocotools_but_for_their_rim(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radii = rng.uniform(10, 18, 12)
    corners = np.stack([24 + radii * np.cos(angles), 20 + radii * np.sin(angles)], axis=1).ravel().tolist()
    ours = draw(picture([corners], shape=(40, 48))) > 0
    other = theirs.decode(theirs.frPyObjects([corners], 40, 48))[..., 0] > 0
    rim = ndimage.binary_dilation(other) & ~ndimage.binary_erosion(other)
    assert ours.sum() > 150
    assert not ((ours != other) & ~rim).any()
    # no shift: pixels more and pixels less are few, and balance
    assert (ours != other).sum() < 0.1 * other.sum()
    assert abs(np.argwhere(ours).mean(axis=0) - np.argwhere(other).mean(axis=0)).max() < 0.15


@pytest.mark.parametrize(
    "outline",
    [
        None,
        [],
        "SQUARE",
        7,
        [[]],
        [[1, 1, 2, 2]],
        [[1, 1, 2, 2, 3, 3, 4]],
        SQUARE,  # a ring that is in no list
        [[*SQUARE[:-1], None]],
        [[*SQUARE[:-1], "4"]],
        [[*SQUARE[:-1], float("nan")]],
        [[*SQUARE[:-1], float("inf")]],
        [[*SQUARE[:-1], 10**400]],
        [[*SQUARE[:-1], 1e300]],
        [[*SQUARE[:-1], [4]]],
        [[SQUARE]],
        [True],
        {},
        {"size": [7, 9]},
        {"counts": [63]},
        {"size": [9, 7], "counts": [63]},
        {"size": [7, 9, 1], "counts": [63]},
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [7, 9], "counts": []},
        {"size": [7, 9], "counts": [62]},
        {"size": [7, 9], "counts": [60, 4]},
        {"size": [7, 9], "counts": [70, -7]},
        {"size": [7, 9], "counts": [2**63, 2**63, 63]},
        {"size": [7, 9], "counts": [2**64, 63]},
        {"size": [7, 9], "counts": [31.5, 31.5]},
        {"size": [7, 9], "counts": ["63"]},
        {"size": [7, 9], "counts": [[63]]},
        {"size": [7, 9], "counts": None},
        {"size": [7, 9], "counts": {"0": 63}},
        {"size": [7, 9], "counts": ""},
        {"size": [7, 9], "counts": "63"},
        {"size": [7, 9], "counts": "o"},  # says that more follows, and none does
        {"size": [7, 9], "counts": "o" * 40 + "1"},
        {"size": [7, 9], "counts": "\x00\x01"},
        {"size": [7, 9], "counts": "\ud800"},
        {"size": [7, 9], "counts": "zzz"},
    ],
)
def test_outlines_that_are_none(outline):
    with pytest.raises(InputError, match=r"^a\.json: annotations\[1\] has .{0,60}") as raised:
        draw(picture([SQUARE], outline))
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 300
    message.encode()  # it can be printed


# reading


def image(**changes):
    return {"id": 1, "file_name": "a.tif", "width": 9, "height": 7, **changes}


def annotation(**changes):
    return {"image_id": 1, "segmentation": [SQUARE], "bbox": [2, 1, 4, 3], "category_id": 3, **changes}


def write(root, images, annotations, name="annotations.json"):
    for listed in images:
        path = root / listed["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(path, np.arange(63, dtype=np.uint16).reshape(SHAPE) + listed["id"])
    (root / name).write_text(json.dumps({"images": images, "annotations": annotations}))
    return root / name


def test_which_file_holds_the_annotations(tmp_path):
    assert annotation_file(tmp_path) is None
    (tmp_path / "instances.json").touch()
    assert annotation_file(tmp_path) == tmp_path / "instances.json"
    (tmp_path / "panoptic.json").touch()
    assert annotation_file(tmp_path) is None
    (tmp_path / "annotations.json").touch()
    assert annotation_file(tmp_path) == tmp_path / "annotations.json"


def test_pictures_know_their_volume_and_place(tmp_path):
    names = ["fish_z10.tif", "fish_z9.tif", "left/fish_z9.tif", "fishz3.tif", "_z4.tif", "a.b_z1.tif"]
    images = [image(id=number, file_name=name) for number, name in enumerate(names)]
    pictures, crowds = read_annotations(write(tmp_path, images, []))
    places = [(p.volume, p.z, p.path.relative_to(tmp_path).as_posix()) for p in pictures]
    assert places == [
        ("_z4", 0, "_z4.tif"),
        ("a.b", 1, "a.b_z1.tif"),
        ("fish", 9, "fish_z9.tif"),
        ("fish", 10, "fish_z10.tif"),
        ("fishz3", 0, "fishz3.tif"),
        ("left_fish", 9, "left/fish_z9.tif"),
    ]
    assert crowds == 0


def test_crowds_are_counted_and_left_out(tmp_path):
    annotations = [
        annotation(),
        annotation(iscrowd=1, segmentation={"size": [7, 9], "counts": [63]}),
        annotation(iscrowd=0),
    ]
    (found,), crowds = read_annotations(write(tmp_path, [image()], annotations))
    assert crowds == 1
    assert found.shape == SHAPE
    path = tmp_path / "annotations.json"
    assert found.objects == ((f"{path}: annotations[0]", [SQUARE]), (f"{path}: annotations[2]", [SQUARE]))


def test_labels_are_unique_over_the_slices_of_a_volume(tmp_path):
    images = [image(id=z, file_name=f"a_z{z}.tif") for z in (1, 2, 3)]
    annotations = [annotation(image_id=z) for z in (3, 1, 1)]
    annotations[2] = annotation(image_id=1, segmentation=[[7, 5, 9, 5, 9, 7, 7, 7]])
    pictures, _ = read_annotations(write(tmp_path, images, annotations))
    stack, labels, spacing = read_volume(pictures)
    expected = np.zeros((3, *SHAPE), int)
    expected[0, 1:4, 2:6], expected[0, 5:, 7:], expected[2, 1:4, 2:6] = 1, 2, 3
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(stack[:, 0, 0], [1, 2, 3])
    assert stack.dtype == np.uint16
    assert spacing is None


def test_images_may_lie_in_a_folder_of_their_own(tmp_path):
    path = write(tmp_path / "images", [image()], []).rename(tmp_path / "annotations.json")
    assert read_annotations(path)[0][0].path == tmp_path / "images" / "a.tif"


def test_an_image_of_another_size(tmp_path):
    (found,), _ = read_annotations(write(tmp_path, [image(width=10)], []))
    with pytest.raises(InputError, match=r"a\.tif \(height and width \(7, 9\)\) must .*\(7, 10\)"):
        read_volume([found])


def test_images_that_are_none(tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 JFIF")
    with pytest.raises(InputError, match=r"b\.jpg is not a TIFF"):
        read_planes([tmp_path / "b.jpg"])
    for pixels in (np.full(SHAPE, np.nan, np.float32), np.ones(SHAPE, bool)):
        tifffile.imwrite(tmp_path / "c.tif", pixels)
        with pytest.raises(InputError, match=r"c\.tif \((float32|bool)\) must be an image of finite numbers"):
            read_planes([tmp_path / "c.tif"])
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((7, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match="RGB"):
        read_planes([tmp_path / "rgb.tif"])
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((4, 7, 9), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match="no 2-D slice"):
        read_planes([tmp_path / "stack.tif"])


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"images": ' + "9" * 5000 + "}", "is no JSON"),
        ("null", "holds no COCO instances"),
        ("[]", "holds no COCO instances"),
        ('{"images": []}', "holds no COCO instances"),
        ('{"images": {}, "annotations": []}', "holds no COCO instances"),
        ('{"images": [1], "annotations": []}', "holds no COCO instances"),
        ('{"images": [], "annotations": []}', "lists no image"),
    ],
)
def test_files_that_are_no_annotations(tmp_path, text, words):
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(InputError, match=rf"annotations\.json {words}"):
        read_annotations(tmp_path / "annotations.json")


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "annotations.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no JSON"):
        read_annotations(tmp_path / "annotations.json")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"id": None}, "id None must be a number"),
        ({"id": [1]}, r"id \[1\] must be a number"),
        ({"width": 0}, r"height and width \(7, 0\) must be"),
        ({"height": -7}, r"height and width \(-7, 9\)"),
        ({"height": "7"}, r"height and width \('7', 9\)"),
        ({"height": True}, r"height and width \(True, 9\)"),
        ({"width": 9.5}, r"height and width \(7, 9.5\)"),
        ({"width": None}, "height and width"),
        ({"file_name": None}, "file_name None must name a file in the folder"),
        ({"file_name": ""}, "file_name '' must name"),
        ({"file_name": "../a.tif"}, r"file_name '\.\./a\.tif' must name"),
        ({"file_name": "b/../../a.tif"}, "must name a file in the folder"),
        ({"file_name": "/etc/passwd"}, "must name a file in the folder"),
        ({"file_name": "b.tif"}, "file 'b.tif' is neither in"),
        ({"file_name": "a.tif/b.tif"}, "is neither in"),
        ({"file_name": "b\x00.tif"}, r"'b\\x00\.tif' is neither in"),
        ({"file_name": "b\n\ud800.tif"}, r"'b\\n\\ud800\.tif' is neither in"),
        ({"file_name": "b" * 5000}, r"\.\.\. is neither in"),
    ],
)
def test_images_that_are_not_listed_as_they_should(tmp_path, changes, words):
    path = write(tmp_path / "set", [image()], [])
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(SHAPE, np.uint8))  # there, but outside the folder
    path.write_text(json.dumps({"images": [image(**changes)], "annotations": []}))
    with pytest.raises(InputError, match=rf"annotations\.json: images\[0\]: .*{words}") as raised:
        read_annotations(path)
    assert "\n" not in str(raised.value)
    str(raised.value).encode()


@pytest.mark.parametrize("given", [2, "1", None, [1], 1.5])
def test_annotations_of_no_listed_image(tmp_path, given):
    path = write(tmp_path, [image()], [annotation(), annotation(image_id=given)])
    with pytest.raises(
        InputError, match=r"annotations\[1\]: image_id .* must be the id of one of the 1 images"
    ):
        read_annotations(path)


def test_an_id_or_a_slice_that_is_there_twice(tmp_path):
    path = write(tmp_path, [image(), image(file_name="b.tif")], [])
    with pytest.raises(InputError, match=r"images\[1\]: id 1 must be a number that no other"):
        read_annotations(path)
    path = write(tmp_path, [image(file_name="a_z1.tif"), image(id=2, file_name="a_z01.tif")], [])
    with pytest.raises(
        InputError, match=r"lists 'a_z1\.tif' and 'a_z01\.tif', which are both slice 1 of 'a'"
    ):
        read_annotations(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_annotations(tmp_path)
