"""Which device trains, in which precision, and what TensorFlow needs to be told before it is imported."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Literal

from zoo.errors import InputError

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
BFLOAT16_FROM = (8, 0)  # compute capability of Ampere, the first GPUs with bfloat16


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU that the framework sees."""

    name: str
    capability: tuple[int, int] | None


def configure() -> None:
    """Set what must stand in the environment before TensorFlow is imported; a user's own values stay.

    oneDNN's convolutions are on by default only on processors with AVX512-VNNI. On an AMD processor with AVX2
    they made a training step of the compact NSN 5 times faster (8.3 to 1.6 CPU-s; docs/models/qcanet.md).
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # faults still arrive as exceptions
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def be_deterministic(seed: int) -> None:
    """Have this process compute the same bits from the same seed each time, on the same machine.

    Random numbers of Python, numpy and both Keras begin with the seed; TensorFlow takes operations whose sums
    have one order, and does one operation at a time: with two, the same training step of the compact NSN on
    two cores ended in three different sets of weights (docs/reproducible.md). It stays so until the process
    ends; TensorFlow must not have begun to compute before.

    Raises
    ------
    InputError
        Under another Keras backend, which makes no such promise.
    """
    configure()
    os.environ["TF_NUM_INTEROP_THREADS"] = "1"  # read when TensorFlow first computes
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"--deterministic needs Keras on TensorFlow, and the backend is {keras.backend.backend()}: unset "
            "KERAS_BACKEND, or leave it out"
        )
    import tensorflow as tf

    keras.utils.set_random_seed(seed)  # tf_keras draws from the same generators
    tf.config.experimental.enable_op_determinism()


def gpus() -> list[Device]:
    """List the GPUs that TensorFlow sees; under another Keras backend, those that it would use."""
    import keras

    if keras.backend.backend() != "tensorflow":
        from keras.distribution import list_devices

        try:
            return [Device(name, None) for name in list_devices("gpu")]
        except (
            AttributeError,
            RuntimeError,
        ):  # torch's backend has no list, JAX's raises where there is none
            return []
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        found.append(Device(details.get("device_name", device.name), details.get("compute_capability")))
    return found


def choose_precision(asked: str, found: list[Device]) -> str:
    """Return the Keras dtype policy for what the user asked.

    Parameters
    ----------
    asked
        ``auto`` takes ``mixed_bfloat16`` on GPUs from compute capability 8.0, ``mixed_float16`` on GPUs from
        7.0, else ``float32``.
    found
        The GPUs.

    Raises
    ------
    InputError
        For ``mixed_float16`` without a GPU: TensorFlow has no 3-D pooling in float16 on a CPU.
    """
    if asked == "mixed_float16" and not found:
        raise InputError(
            "precision mixed_float16 needs a GPU and none was found (no 3-D pooling in float16 on a CPU): "
            "take float32 or mixed_bfloat16; 'zoo doctor' shows the devices"
        )
    if asked != "auto":
        return asked
    capabilities = [d.capability for d in found if d.capability]
    if capabilities and min(capabilities) >= BFLOAT16_FROM:
        return "mixed_bfloat16"
    if capabilities and min(capabilities) >= (7, 0):
        return "mixed_float16"
    return "float32"


def check_devices(asked: int, found: list[Device], batch: int) -> None:
    """Check that there are as many GPUs as asked for, and a volume for each; one device is always there.

    Raises
    ------
    InputError
        For fewer than one, more than there are, or a batch that cannot be shared equally.
    """
    if asked < 1 or asked > max(1, len(found)):
        raise InputError(
            f"--devices {asked}: {len(found)} GPUs were found; give a number from 1 to {max(1, len(found))}"
        )
    if batch % asked:
        raise InputError(f"--devices {asked} cannot share batch={batch} equally: --set batch={asked}")


def missing_for_gpu() -> list[str]:
    """Name what stands between TensorFlow and a GPU; empty where nothing is known to be missing."""
    faults = []
    if not os.path.exists("/proc/driver/nvidia/version"):
        faults.append("no NVIDIA driver is loaded: install the driver, or run the container with --gpus all")
    if importlib.util.find_spec("nvidia") is None:
        faults.append("the CUDA libraries are not installed: pip install 'cellzoo[gpu]'")
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        faults.append("CUDA_VISIBLE_DEVICES hides all GPUs: unset it")
    return faults
