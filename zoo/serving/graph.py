"""The steps before and after a network, inside the graph: the same numbers as zoo.data's, for any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from zoo.data.movies import Fit
from zoo.data.normalise import HIGH, LOW
from zoo.serving.packed import CHUNK

# of a volume, such as 256 x 256 x 256: a message of a few bytes may hold one, and a network takes hundreds of
# bytes a voxel
MOST_VOXELS = 2**24
MOST_EDGE = 1_000_000  # pixels a side, the PNG library's
SLACK = 1024  # bytes that compression may add to a piece of noise
_GREYS = 2**16
_TINY = float(np.finfo(np.float32).tiny)


def refuse_empty(images: tf.Tensor) -> tf.Tensor:
    """Return volumes (N, Z, Y, X, C), and refuse those without a voxel."""
    shape = tf.shape(images)
    return _checked(images, tf.reduce_all(shape > 0), "image must have a voxel on each axis, has", shape)


def pad_to_multiple(images: tf.Tensor, multiple: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Mirror volumes as :func:`zoo.data.tiles.pad_to_multiple` does.

    Parameters
    ----------
    images : (N, Z, Y, X, C)
    multiple
        In voxels.

    Returns
    -------
    padded : (N, Z', Y', X', C)
    before : (3,) int32
        Where the original begins in it.
    """
    befores = []
    for axis in (1, 2, 3):
        edge = tf.shape(images)[axis]
        missing = tf.math.floormod(-edge, multiple)
        before = missing // 2
        # mirrored again and again, where more is missing than there is
        at = tf.math.floormod(tf.range(edge + missing) - before, 2 * edge)
        images = tf.gather(images, tf.minimum(at, 2 * edge - 1 - at), axis=axis)
        befores.append(before)
    return images, tf.stack(befores)


def cut(images: tf.Tensor, before: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Cut volumes (N, Z, Y, X, C) to ``shape`` (z, y, x), from ``before`` on."""
    begin = tf.concat([[0], before, [0]], 0)
    return tf.slice(images, begin, tf.concat([[-1], shape, [-1]], 0))


def resample(images: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Resample volumes (N, Z, Y, X, C) as :func:`zoo.data.resample.resample` does, to ``shape`` (z, y, x)."""
    for axis in (1, 2, 3):
        old, new = tf.shape(images)[axis], shape[axis - 1]
        # in float64, as large volumes need, and scipy does
        ratio = tf.cast(old, tf.float64) / tf.cast(new, tf.float64)
        at = (tf.range(tf.cast(new, tf.float64), dtype=tf.float64) + 0.5) * ratio - 0.5
        at = tf.clip_by_value(at, 0, tf.cast(old - 1, tf.float64))
        low = tf.cast(at, tf.int32)
        share = tf.cast(at - tf.floor(at), tf.float32)
        share = tf.reshape(share, [-1 if a == axis else 1 for a in range(5)])
        above = tf.gather(images, tf.minimum(low + 1, old - 1), axis=axis)
        images = tf.gather(images, low, axis=axis) * (1 - share) + above * share
    return images


def fit(images: tf.Tensor, size: Sequence[int], how: Fit) -> tf.Tensor:
    """Bring volumes (N, Z, Y, X, 1) to one size, as :func:`zoo.data.movies.fit_image` does."""
    if how != "pad":
        fitted = resample(images, tf.constant(size))
    else:
        room = " x ".join(map(str, size))
        shape = tf.shape(images)[1:4]
        small = tf.reduce_all(shape <= size)
        shape = _checked(shape, small, f"a volume must be no larger than the network's {room}, it has", shape)
        before = _before(shape, size)
        margins = tf.pad(tf.stack([before, size - shape - before], axis=1), [[1, 1], [0, 0]])
        inside = tf.pad(tf.ones_like(images, tf.bool), margins)
        floor = tf.reduce_min(images, axis=(1, 2, 3, 4), keepdims=True)
        fitted = tf.where(inside, tf.pad(images, margins), floor)
    return tf.ensure_shape(fitted, (None, *size, 1))


def unfit(images: tf.Tensor, shape: tf.Tensor, how: Fit) -> tf.Tensor:
    """Bring volumes (N, Z, Y, X, 1) back, as :func:`zoo.data.movies.unfit` does, to ``shape`` (z, y, x)."""
    if how != "pad":
        return resample(images, shape)
    return cut(images, _before(shape, tf.shape(images)[1:4]), shape)


def levels(volume: tf.Tensor, scaling: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the values of a volume that become 0 and 1.

    Parameters
    ----------
    volume : (Z, Y, X) int32
        0 to 65,535.
    scaling
        ``percentile``, ``minmax`` or ``max``, as recipes have it.

    Returns
    -------
    low, high : () float64
    """
    least, most = (tf.cast(f(volume), tf.float64) for f in (tf.reduce_min, tf.reduce_max))
    if scaling == "minmax":
        return least, most
    if scaling == "max":
        most = _checked(most, most > 0, "scaling by 'max' divides by the largest value, which is", most)
        return tf.zeros_like(most), most
    # a histogram holds the order of all values, whatever their number
    counts = tf.math.bincount(tf.reshape(volume, [-1]), minlength=_GREYS, maxlength=_GREYS, dtype=tf.int64)
    upto = tf.cumsum(counts)
    low, high = _percentile(upto, LOW), _percentile(upto, HIGH)
    alike = high <= low
    return tf.where(alike, least, low), tf.where(alike, most, high)


def scale(volume: tf.Tensor, scaling: str) -> tf.Tensor:
    """Scale a volume (Z, Y, X) int32 to float32, as :mod:`zoo.data.normalise` does."""
    low, high = levels(volume, scaling)
    width = tf.maximum(tf.cast(high - low, tf.float32), _TINY)
    return (tf.cast(volume, tf.float32) - tf.cast(low, tf.float32)) / width


def unpack(data: tf.Tensor, shape: tf.Tensor, dtype: tf.Tensor) -> tf.Tensor:
    """Unpack what :func:`zoo.serving.packed.pack` packed; lies are refused before they cost memory.

    Nothing is inflated before shape, number and compressed sizes of the pieces agree, and each piece is
    checked before the next is inflated; deflate's best is 1 to 1032, so a lie costs 69 MB at most.

    Parameters
    ----------
    data : (K,) string
    shape : (3,) int64
    dtype : () string

    Returns
    -------
    (Z, Y, X) int32
    """
    data = tf.reshape(data, [-1])
    shape, total = _check_shape(shape, dtype)
    pieces = (total + CHUNK - 1) // CHUNK
    count = tf.size(data, tf.int64)
    data = _checked(data, count == pieces, "data must have so many pieces, has", pieces, count)
    longest = tf.reduce_max(tf.strings.length(data))
    data = _checked(data, longest <= CHUNK + SLACK, f"a piece may have {CHUNK + SLACK} bytes, has", longest)

    def inflate(number: tf.Tensor) -> tf.Tensor:
        piece = tf.io.decode_compressed(data[number], compression_type="ZLIB")
        length = tf.strings.length(piece)
        want = tf.cast(tf.minimum(tf.constant(CHUNK, tf.int64), total - number * CHUNK), tf.int32)
        return _checked(piece, length == want, "a piece must inflate to so many bytes, is", want, length)

    inflated = tf.map_fn(
        inflate, tf.range(pieces), fn_output_signature=tf.TensorSpec((), tf.string), parallel_iterations=1
    )
    raw = tf.strings.reduce_join(inflated)
    octets = tf.io.decode_raw(raw, tf.uint8)
    half = tf.size(octets) // 2
    voxels = tf.cond(
        dtype == "uint16",
        lambda: tf.cast(octets[:half], tf.int32) + 256 * tf.cast(octets[half:], tf.int32),
        lambda: tf.cast(octets, tf.int32),
    )
    return tf.reshape(voxels, shape)


def to_png(mask: tf.Tensor) -> tf.Tensor:
    """Write a mask (Z, Y, X) uint8 as a PNG, its slices below each other."""
    picture = tf.reshape(mask, [-1, tf.shape(mask)[2], 1])
    return tf.io.encode_png(picture, compression=9)


def _check_shape(shape: tf.Tensor, dtype: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Refuse a shape or type that is not allowed; else return the shape and its bytes, () int64."""
    right = (tf.size(shape) == 3) & tf.reduce_all((shape > 0) & (shape < 2**32))
    shape = _checked(shape, right, "shape must be three positive numbers, z y x, is", shape)
    # not reshaped to (3,): from that TensorFlow would conclude that it always has three, and drop the check
    shape = tf.stack([shape[0], shape[1], shape[2]])
    known = (dtype == "uint8") | (dtype == "uint16")
    shape = _checked(shape, known, "dtype must be uint8 or uint16, is", dtype)
    # in float64, as a product of three may be beyond int64
    voxels = tf.reduce_prod(tf.cast(shape, tf.float64))
    shape = _checked(shape, voxels <= MOST_VOXELS, f"a volume may have {MOST_VOXELS} voxels, shape is", shape)
    low = (shape[0] * shape[1] <= MOST_EDGE) & (shape[2] <= MOST_EDGE)
    shape = _checked(shape, low, f"z times y may be {MOST_EDGE}, and x, for a PNG; shape is", shape)
    with tf.control_dependencies([shape]):
        return shape, tf.cast(voxels, tf.int64) * tf.where(dtype == "uint16", tf.constant(2, tf.int64), 1)


def _percentile(upto: tf.Tensor, percent: float) -> tf.Tensor:
    """Return a percentile as numpy does; ``upto`` (values,) int64 counts the voxels up to each value."""
    rank = percent / 100 * tf.cast(upto[-1] - 1, tf.float64)
    low = tf.cast(rank, tf.int64)
    share = rank - tf.floor(rank)
    ranks = tf.stack([low, tf.minimum(low + 1, upto[-1] - 1)])
    values = tf.cast(tf.searchsorted(upto, ranks + 1), tf.float64)
    return values[0] + (values[1] - values[0]) * share


def _before(shape: tf.Tensor, size: tf.Tensor | Sequence[int]) -> tf.Tensor:
    return (size - shape) // 2


def _checked(value: tf.Tensor, ok: tf.Tensor, text: str, *said: tf.Tensor) -> tf.Tensor:
    """Return a value that nothing can be made of before the check has passed."""
    with tf.control_dependencies([tf.debugging.Assert(ok, [text, *said], summarize=8)]):
        return tf.identity(value)
