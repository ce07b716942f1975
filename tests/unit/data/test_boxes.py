import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.boxes import cut, grown, inside, moved, size

edges = st.tuples(*[st.integers(1, 9)] * 3)


@given(shape=st.tuples(*[st.integers(1, 20)] * 3), edge=edges)
def test_boxes_cover_each_voxel_once(shape, edge):
    seen = np.zeros(shape, int)
    for box in cut(shape, edge):
        assert all(n <= most for n, most in zip(size(box), edge, strict=True))
        seen[box] += 1
    assert (seen == 1).all()


def test_a_box_grows_up_to_the_faces():
    box = (slice(4, 8), slice(0, 5), slice(8, 10))
    assert grown(box, (2, 3, 4), (9, 20, 11)) == (slice(2, 9), slice(0, 8), slice(4, 11))


def test_a_box_in_another_one_is_the_same_voxels():
    volume = np.arange(1000).reshape(10, 10, 10)
    box = (slice(4, 8), slice(2, 5), slice(8, 10))
    around = grown(box, (3, 3, 3), volume.shape)
    np.testing.assert_array_equal(volume[around][inside(box, around)], volume[box])
    assert moved(inside(box, around), [side.start for side in around]) == box
