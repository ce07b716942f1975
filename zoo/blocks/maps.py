"""The networks' maps of a large volume: what is bright in it, what norms see, and window by window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from zoo.blocks.apart import apart, end
from zoo.blocks.grid import Grid
from zoo.blocks.job import Job
from zoo.blocks.reader import Reader, Unreadable
from zoo.blocks.view import View
from zoo.data.boxes import Box, Shape, inside, moved, size
from zoo.data.normalise import HIGH, LOW
from zoo.data.tally import Tally
from zoo.errors import InputError

STEPS = 65535  # of a probability on the disk: resampled ones are cut at a threshold later
CUBE = 64  # edge of the cubes that levels are taken from, working voxels
MOST_CUBES = 4096  # a billion voxels; of a larger volume so many of them, drawn
WHOLE = 2**21  # working voxels up to which norms see the whole volume at once
SAMPLE = 8  # cubes that they see of a larger one


def measure_levels(job: Job, name: str) -> list[str]:
    """Measure what scales a network's image, and the moments that its norms take, and keep both.

    Percentiles are of all of the resampled volume, or of 4,096 cubes of it. The moments are what instance
    norms see in the whole of it, or in eight cubes: of all cubes in the order of their brightness those in
    the middle of each eighth, so that they hold as much dark and light as the volume does.

    Returns
    -------
    list of str
        What could not be read.
    """
    step = f"levels-{name}"
    if job.store.table(step, 0) is not None:
        return []
    network, view, reader = job.network(name), job.view(name), Reader(job.volume)
    from zoo.models.frozen import measure_moments  # after what sets up its framework

    tally, means = tally_cubes(lambda cube: view.read(reader, moved(cube, view.before)), view.shape, reader)
    low, high = levels_of(job, tally, network.recipe.scaling)
    if np.prod(view.padded) <= WHOLE:
        boxes = [(slice(0, view.padded[0]), slice(0, view.padded[1]), slice(0, view.padded[2]))]
    else:
        full = [one for one in means if size(one[0]) == (CUBE,) * 3]
        order = sorted(full or means, key=itemgetter(1))
        places = (np.arange(SAMPLE) + 0.5) * len(order) / SAMPLE
        boxes = [moved(order[int(place)][0], view.before) for place in places]
    sample = [scaled(view.read(reader, box), low, high) for box in boxes]
    moments = measure_moments(network.model, np.stack(sample)[..., None])
    table = {"levels": np.array([low, high])}
    for layer, (mean, variance) in moments.items():
        table |= {f"mean {layer}": mean, f"variance {layer}": variance}
    job.store.put_table(step, 0, table)
    return reader.faults


def tally_cubes(
    read: Callable[[Box], np.ndarray], shape: Shape, reader: Reader
) -> tuple[Tally, list[tuple[Box, float]]]:
    """Count the values of all cubes of a volume, or of 4,096 of them.

    Parameters
    ----------
    read
        Takes a box (z, y, x) of the resampled volume.
    shape
        Of that.
    reader
        Names what could not be read.

    Returns
    -------
    tally, means
        Of all values; and each cube that could be read with its mean.
    """
    tally, means = Tally(), []
    for cube in _some(Grid(shape, (CUBE,) * 3)):
        try:
            values = read(cube)
        except Unreadable:  # it is among the reader's faults
            continue
        tally.add(values)
        means.append((cube, float(values.mean())))
    if not means:
        raise Unreadable(reader.faults[0])
    return tally, means


def levels_of(job: Job, tally: Tally, scaling: str) -> tuple[float, float]:
    """Return what becomes 0 and 1, as a recipe's scaling says.

    Raises
    ------
    InputError
        For a volume of one single value.
    """
    low, high = tally.percentiles(LOW, HIGH) if scaling == "percentile" else (0.0, 0.0)
    if high <= low:
        low, high = tally.low, tally.high
    if high <= low:
        raise InputError(f"{job.volume.source} has one single value, {low:g}: nothing can be found in it")
    return low, high


def _some(cubes: Grid) -> Iterator[Box]:
    """Yield all cubes, or so many as are enough, drawn by a fixed seed: every n-th would lie in one plane."""
    numbers: Iterable[int] = range(len(cubes))
    if len(cubes) > MOST_CUBES:
        numbers = np.sort(np.random.default_rng(0).choice(len(cubes), MOST_CUBES, replace=False)).tolist()
    return (cubes[number] for number in numbers)


def map_window(job: Job, name: str, number: int) -> list[str]:
    """Map a window of a network's grid, and keep the map of its core.

    Returns
    -------
    list of str
        What could not be read.
    """
    view, step = job.view(name), f"maps-{name}"
    core = job.all_windows(name)[number]
    if job.store.has(step, core, step, number):
        return []
    reader = Reader(job.volume)
    found = _map(job, name, view, core, reader)
    found *= STEPS
    job.store.put(step, core, np.rint(found, out=found).astype(np.uint16), step, number)
    return reader.faults


def probability_in(job: Job, name: str, box: Box) -> np.ndarray:
    """Return what a network says of a box of the volume; windows that nobody mapped yet are mapped.

    Returns
    -------
    (Z, Y, X) float32
        In 0 to 1.
    """
    view, step = job.view(name), f"maps-{name}"
    for number in job.all_windows(name).touching(view.needed(box)):
        if not job.store.marked(step, number):
            work = partial(map_window, job, name)
            apart(work, number, job.apart) if job.apart else work(number)
    if job.apart:
        end()  # its memory is needed here
    array = job.store.array(step)
    found = view.back(lambda part: array[part], box)
    found /= STEPS
    return found


def probability_of_piece(job: Job, name: str, box: Box) -> np.ndarray:
    """Return what `probability_in` does, by a single window that is as large as the box needs."""
    view = job.view(name)
    z, y, x = (
        slice(side.start // view.multiple * view.multiple, -(-side.stop // view.multiple) * view.multiple)
        for side in view.needed(box)
    )
    found = _map(job, name, view, (z, y, x), Reader(job.volume))
    return view.back(lambda part: found[inside(part, (z, y, x))], box)


def _map(job: Job, name: str, view: View, core: Box, reader: Reader) -> np.ndarray:
    """Return a network's map of a cube of its padded grid, seen with what is around it."""
    window = view.window(core)
    model, low, high = _frozen(job, name)
    image = scaled(view.read(reader, window), low, high)
    probability = np.asarray(model.predict_on_batch(image[None, ..., None]))[0, ..., -1]
    return np.array(probability[inside(core, window)])


_ready: dict[tuple[str, str], tuple[Any, float, float]] = {}  # in this process, by run and network
MOST_READY = 4  # so that those of a long series do not pile up


def _frozen(job: Job, name: str) -> tuple[Any, float, float]:
    """Return a network with the norms of a run, and the levels that become 0 and 1."""
    key = job.store.token, name
    if key not in _ready:
        table = job.store.table(f"levels-{name}", 0)
        if table is None:
            raise InputError(f"{job.store.path} has lost its levels: start the command again")
        layers = [text.removeprefix("mean ") for text in table if text.startswith("mean ")]
        moments = {layer: (table[f"mean {layer}"], table[f"variance {layer}"]) for layer in layers}
        low, high = (float(value) for value in table["levels"])
        # windows at faces have shapes of their own: that each is traced once more is no news to users
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        while len(_ready) >= MOST_READY:
            del _ready[next(iter(_ready))]
        model = job.network(name).model
        from zoo.models.frozen import freeze  # after what sets up its framework

        _ready[key] = freeze(model, moments), low, high
    return _ready[key]


def scaled(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Scale an image in its place, to 0 where it has the lower level and 1 where it has the higher."""
    image -= np.float32(low)
    image /= np.float32(high - low)
    return image
