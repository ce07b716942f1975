"""Labels of a large volume, block by block: markers that a block owns, and the floods from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from scipy import ndimage as ndi

from zoo.blocks.job import Job
from zoo.blocks.maps import probability_in
from zoo.blocks.reader import Reader
from zoo.data.boxes import Box, inside
from zoo.fusion.landscape import find_markers, flood_from
from zoo.segment import as_bytes

MARKERS, IDS, OBJECTS = "markers", "ids", "objects"  # steps of the run, and the array of identifiers
DEEP = 0.75  # of a halo, um: where the landscape is higher, more is looked at
MOST_HALOS = 4  # a block is looked at again with 2 and 4 times the halo where an object reaches its rim


def mark_block(job: Job, number: int) -> list[str]:
    """Find the markers whose voxel lies in a block, and keep them.

    Returns
    -------
    list of str
        Nothing to tell.
    """
    if job.store.table(MARKERS, number) is None:
        block = job.blocks[number]
        for times in (1, 2, MOST_HALOS):
            window = job.around(block, times)
            mask, centres, _ = _maps(job, window)
            at, highest = find_markers(mask, centres, job.spacing)
            # a depth that is measured across the rim, or rivals beyond it, would be others in the whole
            larger = not job.is_whole(window) and highest > DEEP * times * job.halo_um
            if not larger or not job.has_room(block, 2 * times):
                break
        at += [side.start for side in window]
        own = np.all(
            [(side.start <= p) & (p < side.stop) for p, side in zip(at.T, block, strict=True)], axis=0
        )
        job.store.put_table(MARKERS, number, {"at": at[own], "larger": np.array(larger)})
    return []


def label_block(job: Job, number: int) -> list[str]:
    """Give each voxel of a block the identifier of its nucleus, and measure what of each lies in the block.

    The identifier is where the nucleus' marker is, counted through the volume from 1: all blocks know it
    without asking.

    Returns
    -------
    list of str
        What could not be read.
    """
    block = job.blocks[number]
    if job.store.table(OBJECTS, number) is not None and job.store.has(IDS, block, IDS, number):
        return []
    job.store.unmark(OBJECTS, number)  # a torn table is none, should this fail
    window, flooded, larger = _flood_with_room(job, block)
    labels, identifiers, _, probability, centres = flooded
    core = inside(block, window)
    reader = Reader(job.volume, dark=0)
    table = measure_parts(labels[core], identifiers, block, reader(block), probability[core], centres[core])
    job.store.put(IDS, block, identifiers[labels[core]], IDS, number)
    told = {"larger": np.array(larger), "unread": np.array(reader.faults, np.str_)}
    job.store.put_table(OBJECTS, number, table | told)
    return reader.faults


def _maps(job: Job, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mask of a box, where centres are, and the probability that the mask was cut from."""
    needs = job.entry.needs
    centres = as_bytes(probability_in(job, needs["ndn"], box))
    probability = probability_in(job, needs["nsn"], box)
    return probability >= job.threshold, centres, as_bytes(probability)


def _flood_with_room(job: Job, block: Box) -> tuple[Box, tuple[np.ndarray, ...], bool]:
    """Flood a block with as many halos as its objects need; say in the end whether one needs still more."""
    for times in (1, 2, MOST_HALOS):
        window = job.around(block, times)
        flooded = _flood(job, window)
        larger = _reaches_rim(flooded[0], flooded[2], inside(block, window), window, job.volume.shape)
        if not larger or times == MOST_HALOS or not job.has_room(block, 2 * times):
            return window, flooded, larger
        del flooded  # before larger ones come
    raise AssertionError("not reached")


def _flood(job: Job, window: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of a window, the identifier of each, and the maps."""
    mask, centres, probability = _maps(job, window)
    at = _markers_in(job, window)
    identifiers = np.concatenate([[0], 1 + np.ravel_multi_index(tuple(at.T), job.volume.shape)])
    labels = flood_from(mask, centres, at - [side.start for side in window], job.spacing)
    return labels, identifiers, mask, probability, centres


def _markers_in(job: Job, window: Box) -> np.ndarray:
    """Gather the markers of all blocks that a window has a part in; where nobody looked, look."""
    found = [np.empty((0, 3), np.int64)]
    for number in job.blocks.touching(window):
        at = job.store.made(MARKERS, number, partial(mark_block, job, number))["at"]
        held = [(side.start <= p) & (p < side.stop) for p, side in zip(at.T, window, strict=True)]
        found.append(at[np.all(held, axis=0)])
    return np.concatenate(found)


def _reaches_rim(labels: np.ndarray, mask: np.ndarray, core: Box, window: Box, shape: Sequence[int]) -> bool:
    """Tell whether something in the core goes on beyond the window, or has its marker there."""
    if (mask[core] & (labels[core] == 0)).any():
        return True
    rims = []
    for axis, (side, n) in enumerate(zip(window, shape, strict=True)):
        if side.start > 0:
            rims.append(labels.take(0, axis).ravel())
        if side.stop < n:
            rims.append(labels.take(-1, axis).ravel())
    if not rims:
        return False
    reaching = np.zeros(int(labels.max()) + 1, bool)
    reaching[np.concatenate(rims)] = True
    reaching[0] = False
    return bool(reaching[labels[core]].any())


def measure_parts(
    labels: np.ndarray,
    identifiers: np.ndarray,
    block: Box,
    image: np.ndarray,
    probability: np.ndarray,
    centres: np.ndarray,
) -> dict[str, np.ndarray]:
    """Sum up each object's part in a block, plane by plane: what can be added to its other parts.

    Parameters
    ----------
    labels : (Z, Y, X) int
        Of the block; 0 is background.
    identifiers
        Of each label, from that of the background on.
    block
        Where it lies.
    image, probability : (Z, Y, X)
        Intensities; and bytes, of which 255 stands for 1.
    centres : (Z, Y, X) uint8
        Whose largest values are wanted.

    Returns
    -------
    dict
        A row an object.
    """
    count = np.zeros(len(identifiers), np.int64)
    places, (intensity, likely) = np.zeros((len(identifiers), 3)), np.zeros((2, len(identifiers)))
    highest = np.zeros(len(identifiers), np.uint8)
    y, x = np.mgrid[block[1], block[2]].reshape(2, -1)
    for z, plane, light, sure, centre in zip(
        range(block[0].start, block[0].stop), labels, image, probability, centres, strict=True
    ):
        here = np.flatnonzero(plane)
        own = plane.ravel()[here]

        def total(values: np.ndarray, own: np.ndarray = own) -> np.ndarray:
            return np.bincount(own, values, len(identifiers))

        found = np.bincount(own, minlength=len(identifiers))
        count += found
        places += np.stack([z * found, total(y[here]), total(x[here])], axis=1)
        intensity += total(light.ravel()[here])
        likely += total(sure.ravel()[here])
        np.maximum.at(highest, own, centre.ravel()[here])
    kept = np.flatnonzero(count)
    boxes = [box for box in ndi.find_objects(labels, len(identifiers) - 1) if box is not None]
    ends = [[(s.start + b.start, s.stop + b.start) for s, b in zip(box, block, strict=True)] for box in boxes]
    return {
        "id": identifiers[kept],
        "voxels": count[kept],
        "places": places[kept],
        "box": np.array(ends, np.int64).reshape(-1, 3, 2),
        "intensity": intensity[kept],
        "probability": likely[kept] / 255,
        "centre": highest[kept] / 255,
    }
