"""Runs by blocks, most of them with maps that are given, so that no network is needed."""

from functools import partial

import numpy as np

from zoo.blocks import labels as steps
from zoo.blocks.job import Job
from zoo.blocks.run import make_arrays
from zoo.blocks.store import Store, open_store
from zoo.data.volumes import open_volume

UM = (2.0, 1.0, 1.0)


def maps(shape=(20, 48, 44), seed=0, pressed=True):
    """Draw balls, some of which touch: mask, centres and probability (255 stands for 1), and an image."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[tuple(slice(0, n) for n in shape)], axis=-1) * UM
    extent = np.array(shape) * UM
    mask, centres = np.zeros(shape, bool), np.zeros(shape, np.uint8)
    for _ in range(40):
        radius = rng.uniform(3.0, 6.0)
        away = np.linalg.norm(grid - rng.uniform(0, extent), axis=-1)
        if pressed or not (mask & (away < radius + 3)).any():
            mask |= away < radius
            centres[away < 2.0] = 250
    centres[~mask] = 0
    probability = np.where(mask, rng.integers(128, 255, shape), rng.integers(0, 100, shape)).astype(np.uint8)
    return mask, centres, probability, rng.integers(0, 4000, shape).astype(np.uint16)


def silently(step, total, outcomes):
    return outcomes


def begin(folder, volume, spacing, block, halo, windows, time=None, name="t0000"):
    """Begin a run with the weights that come along, and windows for those networks that are to be asked."""
    job = Job(
        room=10**9,
        name="qcanet",
        weights=(),
        volume=volume,
        spacing=spacing,
        store=Store(folder / "run" / name),
        block=block,
        halo=halo,
        windows=windows,
        threshold=0.5,
        time=time,
    )
    arrays = {network: (job.view(network).padded, edges) for network, edges in windows.items()}
    fill = partial(make_arrays, block, volume.shape, arrays)
    open_store(job.store.path, {"block": block, "windows": windows}, fill)
    return job


def make_job(folder, image, block, halo=(8, 16, 16), time=None, name="t0000"):
    """Make a job without networks, of an image that is saved as .npy."""
    path = folder / "image.npy"
    if not path.exists():
        np.save(path, image)
    volume = open_volume(path)
    volume = volume if time is None else volume.at(time)
    return begin(folder, volume, UM, block, halo, {}, time, name)


def show(monkeypatch, mask, centres, probability):
    """Let all blocks see these maps; a job of a frame sees those of its frame."""

    def seen(job, box):
        at = box if job.time is None else (job.time, *box)
        return mask[at], centres[at], probability[at]

    monkeypatch.setattr(steps, "_maps", seen)


def label_all(job, order=None):
    """Mark and label all blocks."""
    for number in order or range(len(job.blocks)):
        steps.mark_block(job, number)
        steps.label_block(job, number)
