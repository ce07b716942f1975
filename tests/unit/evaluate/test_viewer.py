import base64
import re
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from zoo.evaluate.pictures import label_colours
from zoo.evaluate.viewer import MAX_VOXELS, hex_colours, make_sheet, make_viewer, pack_labels, shrink


def unpacked(text, size, shape):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), f"<u{size}").reshape(shape)


@pytest.mark.parametrize(
    "ids, kind, size",
    [
        ([1, 2, 3], np.uint8, 1),
        ([7, 300, 65535], np.uint16, 1),
        ([3, 2**31], np.uint32, 1),
        (range(1, 301), np.int64, 2),
        (range(5, 5 * 256, 5), np.int32, 1),
        (range(5, 5 * 257, 5), np.int32, 2),
    ],
)
def test_labels_come_out_exactly(ids, kind, size):
    rng = np.random.default_rng(0)
    labels = rng.choice(np.array([0, *ids], kind), (6, 31, 45))
    labels.flat[: len(ids)] = list(ids)
    found, text, bytes_each = pack_labels(labels)
    assert found.tolist() == list(ids)
    assert bytes_each == size
    dense = unpacked(text, size, labels.shape)
    np.testing.assert_array_equal(np.concatenate([[0], found])[dense], labels)


def test_no_label_is_no_number():
    found, text, size = pack_labels(np.zeros((2, 3, 4), np.uint16))
    assert found.tolist() == []
    assert not unpacked(text, size, (2, 3, 4)).any()


@pytest.mark.parametrize("shape", [(1, 5, 9), (7, 20, 13), (13, 8, 64), (51, 30, 31)])
def test_each_slice_lies_in_its_tile(shape):
    depth, height, width = shape
    # a grey for each slice, a ramp within: JPEG keeps both to a few levels
    levels = np.linspace(10, 200, depth)[:, None, None] + np.linspace(0, 40, width)[None, None, :]
    levels = np.broadcast_to(levels, shape)
    sheet = make_sheet(levels.astype(np.uint8))
    picture = np.asarray(Image.open(BytesIO(sheet.jpeg)), dtype=float)
    high, wide = sheet.tile
    assert (high % 8, wide % 8) == (0, 0)
    assert picture.shape == (-(-depth // sheet.columns) * high, sheet.columns * wide)
    for z in range(depth):
        top, left = z // sheet.columns * high, z % sheet.columns * wide
        tile = picture[top : top + height, left : left + width]
        np.testing.assert_allclose(tile, levels[z] * 255 / 254, atol=6)


def test_a_slice_does_not_shine_into_the_next():
    levels = np.zeros((9, 11, 11), np.uint8)
    levels[4] = 254
    sheet = make_sheet(levels)
    picture = np.asarray(Image.open(BytesIO(sheet.jpeg)))
    high, wide = sheet.tile
    top, left = 4 // sheet.columns * high, 4 % sheet.columns * wide
    assert picture[top : top + 11, left : left + 11].min() > 250
    picture = picture.copy()
    picture[top : top + high, left : left + wide] = 0
    assert picture.max() < 5


def test_large_volumes_keep_their_slices_and_lose_rows_and_columns():
    volume = np.arange(3 * 1000 * 1500, dtype=np.int32).reshape(3, 1000, 1500)
    small = shrink(volume)
    assert small.shape == (3, 341, 512)
    # the voxel under the middle of the first and of the last pixel
    assert small[0, 0, 0] == 1 * 1500 + 1
    assert small[2, -1, -1] == 2 * 1500000 + 998 * 1500 + 1498
    deep = np.zeros((4000, 64, 64), np.uint8)
    assert shrink(deep).shape[0] == 4000
    assert shrink(deep).size <= MAX_VOXELS
    whole = np.zeros((51, 225, 225), np.uint8)
    assert shrink(whole) is whole


def test_colours_are_those_of_the_pictures():
    ids = np.array([1, 2, 77, 65535])
    given = [tuple(int(text[k : k + 2], 16) for k in (1, 3, 5)) for text in hex_colours(ids)]
    assert given == [tuple(row) for row in label_colours(ids).tolist()]


def test_the_viewer_names_shape_scale_and_labels():
    labels = np.zeros((4, 10, 20), np.uint16)
    labels[1:3, 2:5, 2:5], labels[2, 7:, 7:] = 5, 1000
    levels = np.zeros(labels.shape, np.uint8)
    text = make_viewer(3, 'a"<b>', levels, labels, labels > 0, (2.0, 1.0, 0.5), 2, "nucleus")
    data = dict(re.findall(r'data-(\w+)="([^"]*)"', text.split('class="truth"')[0]))
    assert (data["case"], data["shape"], data["step"], data["ids"]) == ("3", "4 10 20", "2", "5 1000")
    assert data["aspect"] == "1"  # 20 x 0.5 um wide, 10 x 1 um high
    assert data["bar"] == "0.2"  # 2 of 10 um
    assert "2 µm</span>" in text
    dense = unpacked(data["voxels"], int(data["bytes"]), labels.shape)
    np.testing.assert_array_equal(np.array([0, 5, 1000])[dense], labels)
    assert 'max="3" step="1" value="2"' in text
    assert 'name="truth"' in text
    assert "<b>" not in text
    assert 'name="truth"' not in make_viewer(3, "a", levels, labels, None, (2.0, 1.0, 0.5), 2, "nucleus")
