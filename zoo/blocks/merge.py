"""From identifiers block by block to numbered labels: sums over blocks, a number each, and the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.blocks.job import Job
from zoo.blocks.labels import IDS, MARKERS, MOST_HALOS, OBJECTS
from zoo.data.boxes import Shape
from zoo.data.write import smallest_unsigned
from zoo.errors import InputError
from zoo.evaluate.criteria import Nucleus

NUMBERS, WRITTEN = "numbers", "written"
AGAIN = "give the command again without --merge, and it is done anew"
LABELS = "labels.ome.zarr"  # beside the folders of the frames, until it is whole


def add_up(job: Job, done: Sequence[int], min_volume: float) -> tuple[list[Nucleus], int]:
    """Add up the objects of all blocks, and give those that are large enough a number each.

    Parameters
    ----------
    job
        What was run.
    done
        The blocks that have labels.
    min_volume
        Least volume that stays, um^3.

    Returns
    -------
    nuclei, smaller
        Nuclei in the order of their numbers, which is that of their markers through the volume; the surface
        is not measured, nor what follows from it. And how many objects were too small.
    """
    tables = [_objects(job, number) for number in done]
    parts = {
        key: np.concatenate([table[key] for table in tables])
        for key in ("id", "voxels", "places", "box", "intensity", "probability", "centre")
    }
    identifiers, owner = np.unique(parts["id"], return_inverse=True)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(identifiers)))

    def total(key: str, how: np.ufunc = np.add) -> np.ndarray:
        values = parts[key][order]
        return how.reduceat(values, starts, axis=0) if len(values) else values

    voxels, places = total("voxels"), total("places")
    low, high = total("box", np.minimum)[:, :, 0], total("box", np.maximum)[:, :, 1]
    stays = voxels * np.prod(job.spacing) >= max(min_volume, 1e-9)
    numbers = np.where(stays, np.cumsum(stays), 0)
    _keep_numbers(job, {k: table["id"] for k, table in zip(done, tables, strict=True)}, identifiers, numbers)
    border = ((low == 0) | (high == job.volume.shape)).any(axis=1)
    z, y, x = (places / np.maximum(voxels, 1)[:, None] * job.spacing).T
    intensity, probability = (total(key) / np.maximum(voxels, 1) for key in ("intensity", "probability"))
    centre = total("centre", np.maximum)
    nuclei = [
        Nucleus(
            frame=job.time or 0,
            label=int(numbers[i]),
            voxels=int(voxels[i]),
            volume_um3=float(voxels[i] * np.prod(job.spacing)),
            surface_um2=np.nan,
            z_um=float(z[i]),
            y_um=float(y[i]),
            x_um=float(x[i]),
            sphericity=np.nan,
            mean_intensity=float(intensity[i]),
            touches_border=bool(border[i]),
            mean_probability=float(probability[i]),
            centre_probability=float(centre[i]),
        )
        for i in np.flatnonzero(stays)
    ]
    return nuclei, len(stays) - len(nuclei)


def _objects(job: Job, number: int) -> dict[str, np.ndarray]:
    table = job.store.table(OBJECTS, number)
    if table is None:
        raise InputError(f"the objects of block {number} are lost: {AGAIN}")
    return table


def _keep_numbers(
    job: Job, blocks: Mapping[int, np.ndarray], identifiers: np.ndarray, numbers: np.ndarray
) -> None:
    """Keep the numbers of each block's objects; what was written by others is not done, and known first."""
    forgotten = False
    for number, own in blocks.items():
        order = np.argsort(own)
        table = {"id": own[order], "number": numbers[np.searchsorted(identifiers, own[order])]}
        before = job.store.table(NUMBERS, number)
        if before is None or not all(np.array_equal(before[key], table[key]) for key in table):
            if not forgotten:
                job.store.forget(WRITTEN)
                forgotten = True
            job.store.put_table(NUMBERS, number, table)


def unread_in(job: Job, done: Sequence[int]) -> list[str]:
    """Return what could not be read of the volume, whoever did the blocks."""
    return list(dict.fromkeys(str(line) for number in done for line in _objects(job, number)["unread"]))


def _marked_larger(job: Job, number: int) -> bool:
    table = job.store.table(MARKERS, number)
    return table is not None and bool(table["larger"])


def cut_objects(job: Job, done: Sequence[int]) -> list[str]:
    """Name the blocks that hold something larger than the widest halo, whose labels may end at a border."""
    larger = [number for number in done if _objects(job, number)["larger"] or _marked_larger(job, number)]
    if not larger:
        return []
    where = ", ".join(f"{side.start} to {side.stop - 1}" for side in job.blocks[larger[0]])
    return [
        f"{len(larger)} blocks hold an object that needs more than {MOST_HALOS} halos, or than the memory "
        f"allows, the first z, y, x "
        f"{where}: its label may be cut at a border"
    ]


def type_for(count: int) -> np.dtype:
    """Return the smallest type that numbers up to a count fit in; 64 bits where 32 are too few."""
    return smallest_unsigned(count) if count < 2**32 else np.dtype("uint64")


def write_block(job: Job, number: int) -> list[str]:
    """Write a block of the labels with their final numbers."""
    block, out = job.blocks[number], f"../{LABELS}/0"
    place = block if job.time is None else (job.time, *block)
    if job.store.has(out, place, WRITTEN, number):
        return []
    table = job.store.table(NUMBERS, number)
    assert table is not None, "numbers come first"
    found = job.store.get(IDS, block, IDS, number)
    if found is None:
        raise InputError(f"the labels of block {number} are lost: {AGAIN}")
    values = np.zeros(found.shape, job.store.array(out).dtype)
    for plane, new in zip(found, values, strict=True):
        held, flat = np.unique(plane, return_inverse=True)
        numbers = np.zeros(len(held), np.int64)
        known = held > 0
        numbers[known] = table["number"][np.searchsorted(table["id"], held[known])]
        new[...] = numbers[flat].reshape(plane.shape)
    job.store.put(out, place, values, WRITTEN, number)
    return []


def chunk_for(block: Shape) -> Shape:
    """Return chunks that a block is made of whole ones of: as large as 128 voxels allow."""
    z, y, x = (max((c for c in range(32, 129) if edge % c == 0), default=edge) for edge in block)
    return z, y, x
