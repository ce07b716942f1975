import os

import pytest

from zoo.errors import InputError
from zoo.train import device
from zoo.train.device import Device, check_devices, choose_precision, configure, missing_for_gpu


def gpus(*capabilities):
    return [Device(f"GPU {n}", capability) for n, capability in enumerate(capabilities)]


H100, A100, T4, P100, UNKNOWN = (9, 0), (8, 0), (7, 5), (6, 0), None


@pytest.mark.parametrize(
    "found, policy",
    [
        ([], "float32"),
        ([H100], "mixed_bfloat16"),
        ([A100], "mixed_bfloat16"),
        ([(8, 9)], "mixed_bfloat16"),
        ([(10, 0)], "mixed_bfloat16"),
        ([T4], "mixed_float16"),
        ([(7, 0)], "mixed_float16"),
        ([P100], "float32"),
        ([H100, T4], "mixed_float16"),  # all of them must be able to
        ([H100, P100], "float32"),
        ([UNKNOWN], "float32"),
    ],
)
def test_auto_goes_by_the_weakest_gpu(found, policy):
    assert choose_precision("auto", gpus(*found)) == policy


@pytest.mark.parametrize("asked", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("found", [H100, P100, UNKNOWN])
def test_what_is_asked_for_is_taken_on_a_gpu(asked, found):
    assert choose_precision(asked, gpus(found)) == asked


def test_float16_needs_a_gpu():
    with pytest.raises(InputError, match=r"mixed_float16 needs a GPU and none was found.*take float32"):
        choose_precision("mixed_float16", [])
    assert choose_precision("mixed_bfloat16", []) == "mixed_bfloat16"


@pytest.mark.parametrize("asked, found", [(1, 0), (1, 1), (1, 4), (4, 4)])
def test_as_many_devices_as_there_are(asked, found):
    check_devices(asked, gpus(*[H100] * found), batch=4)


@pytest.mark.parametrize("asked, found, allowed", [(0, 4, 4), (-1, 0, 1), (2, 0, 1), (2, 1, 1), (5, 4, 4)])
def test_more_devices_than_there_are(asked, found, allowed):
    with pytest.raises(InputError, match=f"--devices {asked}: {found} GPUs .* from 1 to {allowed}"):
        check_devices(asked, gpus(*[H100] * found), batch=1)


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(InputError, match="batch=3 equally: --set batch=2"):
        check_devices(2, gpus(H100, H100), batch=3)


def test_configure_leaves_what_the_user_set(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    configure()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_missing_for_gpu_names_each_cause(monkeypatch):
    monkeypatch.setattr(device.os.path, "exists", lambda path: False)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert [fault.split(":")[0] for fault in missing_for_gpu()] == [
        "no NVIDIA driver is loaded",
        "the CUDA libraries are not installed",
        "CUDA_VISIBLE_DEVICES hides all GPUs",
    ]


def test_nothing_is_missing_where_all_is_there(monkeypatch):
    monkeypatch.setattr(device.os.path, "exists", lambda path: True)
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert missing_for_gpu() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert missing_for_gpu() == []
