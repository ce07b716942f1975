"""Slices of a stack, and the check that no stack is made of a file."""

import imagecodecs
import pytest
import tifffile

from zoo.data.io import read_image
from zoo.errors import InputError

SHAPE = (3, 5, 10, 12)  # t, z, y, x; no z of 3 or 4, which tifffile writes as RGB


def refused(path, *words, read=read_image, **options):
    """See that a file is refused in one line which names it and says `words`."""
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message
    return message


def write_slices(folder, planes, suffix=".tif", start=8):
    folder.mkdir(exist_ok=True)
    for number, plane in enumerate(planes, start):
        path = folder / f"z{number}{suffix}"
        if suffix == ".png":
            path.write_bytes(imagecodecs.png_encode(plane))
        else:
            tifffile.imwrite(path, plane)
