import numpy as np
import pytest
import tifffile
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

from zoo.data.phantom import embryo
from zoo.errors import InputError
from zoo.fusion.classical import segment

SPACING = (1.75, 0.8, 0.8)


@pytest.mark.parametrize("seed", range(3))
def test_each_nucleus_of_an_easy_phantom_is_found_once(seed):
    phantom = embryo(seed, nuclei=8, gap=4, mitotic=0, debris=0)
    labels = segment(phantom.image, phantom.spacing)
    assert labels.max() == 8
    found = labels[
        tuple(np.rint(ndi.center_of_mass(phantom.mask, phantom.labels, range(1, 9))).astype(int).T)
    ]
    assert sorted(found) == list(range(1, 9))
    overlap = ((labels > 0) & phantom.mask).sum() / ((labels > 0) | phantom.mask).sum()
    assert overlap > 0.7


def test_scale_and_offset_of_the_intensities_do_not_matter():
    image = embryo(1, nuclei=4, shape=(32, 64, 64)).image
    plain = segment(image, SPACING)
    scaled = segment(image * 2.5 + 1000, SPACING)
    assert plain.max() > 0
    assert (plain != scaled).mean() < 1e-4


def test_the_dim_nucleus_beside_a_bright_one_is_found():
    image = np.full((24, 48, 64), 100.0)
    z, y, x = np.ogrid[:24, :48, :64]
    for column, light in [(16, 1000), (48, 400)]:
        image += light * (((z - 12) * 1.75) ** 2 + ((y - 24) * 0.8) ** 2 + ((x - column) * 0.8) ** 2 < 49)
    assert ndi.label(image > threshold_otsu(image))[1] == 1
    assert segment(image, SPACING).max() == 2


def test_small_objects_are_measured_in_um3():
    image = np.zeros((20, 40, 40))
    image[4:16, 10:30, 10:30] = 1
    image[8:11, 33:37, 33:37] = 1  # 48 voxels
    assert segment(image, (1, 1, 1)).max() == 1
    assert segment(image, (4, 2, 2)).max() == 2


@pytest.mark.parametrize("image", [np.full((5, 6, 7), 3, np.uint16), np.zeros((0, 6, 7))])
def test_nothing_to_see(image):
    labels = segment(image, SPACING)
    assert (labels.shape, labels.dtype, labels.any()) == (image.shape, np.int32, False)


@pytest.mark.parametrize(
    "image, spacing, message",
    [
        (np.zeros((4, 4)), SPACING, "2-D"),
        (np.zeros((4, 4, 4), complex), SPACING, "real numbers"),
        (np.full((4, 4, 4), np.nan), SPACING, "NaN"),
        (np.zeros((4, 4, 4)), (1, 1), "spacing"),
    ],
)
def test_bad_input_is_refused(image, spacing, message):
    with pytest.raises(InputError, match=message):
        segment(image, spacing)


@pytest.mark.real
def test_the_16_cell_example(real_data):
    folder = real_data / "qcanet_example"
    truth = ndi.label(tifffile.imread(folder / "images_nsn" / "16_cell_stage.tif") > 0)[0]
    labels = segment(tifffile.imread(folder / "images_raw" / "16_cell_stage.tif"), SPACING)
    assert labels.max() == truth.max() == 16
    assert ((labels > 0) & (truth > 0)).sum() / ((labels > 0) | (truth > 0)).sum() > 0.76
    pairs = np.zeros((17, 17))
    np.add.at(pairs, (truth, labels), 1)
    joint = pairs[1:, 1:]
    iou = joint / (pairs[1:].sum(axis=1)[:, None] + pairs[:, 1:].sum(axis=0) - joint)
    covered = joint > 0.5 * pairs[1:].sum(axis=1)[:, None]
    assert np.where(covered, iou, 0).max(axis=1).mean() > 0.75
