from functools import partial

import numpy as np
import pytest

from zoo import registry
from zoo.blocks.run import REPLACED
from zoo.cli import blocks as module
from zoo.cli.block_options import Blocks
from zoo.cli.block_places import Places, begin_anew, check_places, locked
from zoo.data.omezarr import create
from zoo.errors import InputError


def test_an_image_is_never_replaced_and_labels_are_when_asked(tmp_path):
    image, labels = tmp_path / "image.ome.zarr", tmp_path / "labels.ome.zarr"
    create(image, (8, 8, 8), np.uint16, (1, 1, 1))
    create(labels, (8, 8, 8), np.uint8, (1, 1, 1), labels=True)
    with pytest.raises(InputError, match="not a label image in OME-Zarr, so it is not replaced"):
        check_places(Places.of(image), [], overwrite=True)
    check_places(Places.of(labels), [image], overwrite=True)
    with pytest.raises(InputError, match="give --overwrite to replace it"):
        check_places(Places.of(labels), [image], overwrite=False)


def test_a_folder_that_is_no_run_and_a_file_of_its_name_are_refused(tmp_path):
    places = Places.of(tmp_path / "labels.ome.zarr")
    places.home.write_text("mine")
    with pytest.raises(InputError, match="is no folder"):
        check_places(places, [], overwrite=True)
    places.home.unlink()
    (places.home / ".1234").mkdir(parents=True)  # of a command that was killed as it began
    check_places(places, [], overwrite=False)
    (places.home / "mine").mkdir()
    with pytest.raises(InputError, match="is no unfinished run"):
        check_places(places, [], overwrite=True)


def test_a_second_command_is_kept_out_and_shards_let_each_other_in(tmp_path):
    home = tmp_path / "run"
    refused = partial(pytest.raises, InputError, match="another command works in")
    with locked(home, share=True), locked(home, share=True), refused(), locked(home, share=False):
        pass
    with locked(home, share=False), refused(), locked(home, share=True):
        pass


def test_labels_that_were_about_to_be_replaced_come_back(tmp_path):
    places = Places.of(tmp_path / "labels.ome.zarr")
    create(places.home / REPLACED, (8, 8, 8), np.uint8, (1, 1, 1), labels=True)
    (places.home / "t0000").mkdir()
    with locked(places.home, share=False):
        begin_anew(places)
        with pytest.raises(InputError, match="another command works in"), locked(places.home, share=False):
            pass  # the lock is not among what is removed
    assert (places.out / "zarr.json").is_file()
    assert [path.name for path in places.home.iterdir()] == [".lock"]


def test_networks_that_ran_elsewhere_are_not_said_to_have_run_on_this_machine():
    def told(dask=None, merge=False):
        options = Blocks(None, None, dask, None, merge, False, 0)
        return module._device(registry.get("qcanet"), options)

    assert told(dask="tcp://far:8786") == "workers of Dask, tcp://far:8786"
    assert told(merge=True) == "of the shards"
