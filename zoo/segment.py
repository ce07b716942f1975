"""From an image to labels by any entry of the registry: networks, resampling, watershed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from zoo import forecast, progress, registry
from zoo.data.movies import unfit
from zoo.data.resample import resample
from zoo.data.sizes import diameters
from zoo.data.tiles import blend, pad_to, pad_to_multiple
from zoo.defaults import RADIUS_UM, SLICE_FUSION, THRESHOLD, UNMARKED
from zoo.entry import Entry
from zoo.errors import InputError
from zoo.familiar import left_out, magnification, other_sizes, other_voxels, rescaled
from zoo.fusion.landscape import split_by_vote
from zoo.fusion.watershed import remove_small
from zoo.recipe import Recipe
from zoo.recipe_cell import CellRecipe


@dataclass(frozen=True, slots=True)
class Network:
    """A network with weights, and the entry and recipe it was made by.

    The model of an ensemble is a list of names and detectors, of those members that have weights.

    Parameters
    ----------
    entry, recipe, model
        What it is.
    origin
        Where a network on a server is, for reports.
    threshold
        What suited the validation volumes of its training best, as the server tells it.
    memory
        Bytes that a pass may take where the network is on another computer; ``None`` for what is free here.
    objects
        What it was trained on, as :func:`zoo.data.sizes.describe_sizes` says; ``None`` where nobody tells.
    """

    entry: Entry
    recipe: Any
    model: Any
    origin: str = ""
    threshold: float | None = None
    memory: int | None = None
    objects: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What came out, and the steps on the way for the report.

    Parameters
    ----------
    labels : (Z, Y, X) int32
        0 is background.
    layers
        Name to (Z, Y, X) map, in the order of the steps: float32, or uint8 where 255 stands for 1.
    panels
        Name to (Y, X, 3) uint8 picture.
    notes
        What a user should know of.
    probability, centres
        Those of `layers` that tell how likely a voxel is foreground and a centre, where networks say so.
    """

    labels: np.ndarray
    layers: Mapping[str, np.ndarray] = field(default_factory=dict)
    panels: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    probability: np.ndarray | None = None
    centres: np.ndarray | None = None


def predict_probability(
    network: Network,
    image: np.ndarray,
    spacing: Sequence[float],
    window: Sequence[int] | None = None,
    in_flight: int = 1,
) -> np.ndarray:
    """Return the foreground probability of each voxel of an image.

    The whole volume goes through the network in one pass where the memory forecast allows: that is both the
    fastest and the most exact. Else overlapping windows are blended by Gaussian weights.

    Parameters
    ----------
    network
        Network and recipe.
    image : (Z, Y, X)
        At the microscope's voxels; a frame of a movie that was scaled as a whole, where the network is of
        movies.
    spacing
        Voxel size (z, y, x) in um.
    window
        Working voxels (z, y, x) a pass, multiples of ``2**poolings``; ``None`` leaves it to the forecast,
        which falls back to the recipe's patch.
    in_flight
        Windows that are predicted at once.

    Returns
    -------
    (Z, Y, X) float32
        In 0..1, at the image's voxels.

    Raises
    ------
    InputError
        For a window that is no multiple; or where a server does not answer.
    """
    assert network.entry.prepare is not None, f"{network.entry.name} has no way to prepare its images"
    scaled = network.entry.prepare.load()(image, spacing, network.recipe)
    if isinstance(network.recipe, CellRecipe):
        return unfit(_forward(network.model, scaled), image.shape, network.recipe.fit)
    recipe: Recipe = network.recipe
    if window is not None and any(edge % recipe.multiple for edge in window):
        raise InputError(
            f"tiles of {' '.join(map(str, window))} voxels: {network.entry.name} needs multiples of "
            f"{recipe.multiple} on each axis, as poolings={recipe.poolings}"
        )
    padded, inside = pad_to_multiple(scaled, recipe.multiple)
    if window is None and not forecast.fits(recipe, padded.shape, network.memory):
        window = recipe.patch
    if window is not None:
        padded, inside = pad_to(scaled, window)
    del scaled
    forward = partial(_forward, network.model)
    probability = forward(padded) if window is None else blend(padded, forward, window, in_flight=in_flight)
    del padded  # before the image's own size is taken
    return resample(probability[inside], image.shape)


def segment(
    entry: Entry,
    networks: Mapping[str, Network],
    image: np.ndarray,
    spacing: Sequence[float],
    *,
    unmarked: str = UNMARKED,
    min_volume: float | None = None,
    threshold: float = THRESHOLD,
    slice_fusion: str = SLICE_FUSION,
    radius_um: float = RADIUS_UM,
    tile: Sequence[int] | None = None,
    in_flight: int = 1,
    diameter: float | None = None,
    flips: bool = False,
) -> Segmentation:
    """Segment an image by an entry of the registry.

    Parameters
    ----------
    entry
        A pipeline, or a network, whose mask falls into its connected components.
    networks
        Entry name to network, for the entry or all that it needs.
    image : (Z, Y, X)
    spacing
        Voxel size (z, y, x) in um.
    unmarked
        What becomes of nuclei without a centre marker: ``vote``, see
        :func:`zoo.fusion.landscape.split_by_vote`, or ``keep`` or ``drop``, see
        :func:`zoo.fusion.watershed.split_touching`.
    min_volume
        Least volume of an object that stays, um^3; ``None`` for what suits the entry, scaled as the cube of
        `diameter` where that is given. Centre markers and the
        baseline, which has a least volume of its own, are left alone.
    threshold
        Probability from which on a voxel is nucleus, and share of the scores above which an ensemble takes a
        pixel for an object's. Centre markers are cut at 0.5 whatever it is.
    slice_fusion, radius_um
        How the objects of an ensemble's slices are joined: :func:`zoo.fusion.slices.join`.
    tile, in_flight
        ``window`` and ``in_flight`` of :func:`predict_probability`.
    diameter
        Of the image's objects, um: the networks are shown the image at the size they were trained on, and
        measures and least volumes stay as they are.
    flips
        Average what the networks say of the image and of its mirror images along y, x and both.

    Returns
    -------
    Segmentation
        At the image's voxels.
    """
    assert entry.fuse is not None, f"{entry.name} has no fuse"
    fuse = entry.fuse.load()
    if not entry.needs and not entry.trainable:
        return Segmentation(fuse(image, spacing))
    if min_volume is None:
        min_volume = entry.subject.min_volume
        if diameter is not None:  # nuclei of another size have debris of another size
            first = networks[next(iter(entry.needs.values()), entry.name)]
            min_volume /= magnification(diameter, first.objects) ** 3
    if entry.task == "instances_2d":
        return _by_vote(networks[entry.name], image, spacing, threshold, fuse)
    if "ensemble" in entry.needs:
        if len(image) == 1:
            min_volume = 0.0  # a slice has no volume to speak of
        join = partial(fuse, spacing=spacing, method=slice_fusion, radius_um=radius_um, min_volume=min_volume)
        return _by_vote(networks[entry.needs["ensemble"]], image, spacing, threshold, join)
    shown = {
        name: spacing if diameter is None else rescaled(spacing, diameter, networks[name].objects)
        for name in entry.needs.values() or (entry.name,)
    }
    layers, masks = _maps(entry, networks, image, shown, threshold, (tile, in_flight), flips, unmarked)
    if not entry.needs:
        labels, seen = fuse(masks.pop(entry.name)), layers[entry.name]
        maps = {f"{entry.name} (probability)": seen}
        if entry.task == "centres":
            return Segmentation(labels, maps, probability=seen)
        objects = networks[entry.name].objects if diameter is None else None
        labels, notes = _without_small(labels, min_volume, spacing, objects)
        return Segmentation(labels, maps, notes=notes, probability=seen)
    nsn, ndn = entry.needs["nsn"], entry.needs["ndn"]
    progress.stage("nuclei")
    if unmarked == "vote":  # in the networks' eyes, in which all nuclei are of the size trained on
        labels = split_by_vote(masks.pop(nsn), layers[ndn], shown[nsn])
    else:
        labels = fuse(masks.pop(nsn), masks.pop(ndn), spacing, unmarked)  # popped: it frees them when it can
    objects = networks[nsn].objects if diameter is None else None
    labels, notes = _without_small(labels, min_volume, spacing, objects)
    return Segmentation(
        labels,
        {"NSN (nucleus probability)": layers[nsn], "NDN (centre probability)": layers[ndn]},
        notes=notes,
        probability=layers[nsn],
        centres=layers[ndn],
    )


def _without_small(
    labels: np.ndarray, min_volume: float, spacing: Sequence[float], objects: Mapping[str, Any] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Leave small objects out, in place, and say what a user should know of the sizes there were."""
    found = diameters(labels, spacing)
    notes = other_voxels(spacing, objects) + other_sizes(found, objects)
    labels = remove_small(labels, min_volume, spacing, out=labels)
    return labels, notes + ((left_out(min_volume),) if labels.max(initial=0) < len(found) else ())


def _maps(
    entry: Entry,
    networks: Mapping[str, Network],
    image: np.ndarray,
    shown: Mapping[str, Sequence[float]],
    threshold: float,
    how: tuple[Sequence[int] | None, int],
    flips: bool,
    unmarked: str,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Have each network map the image; return the maps for the report, and the masks that are needed."""
    layers: dict[str, np.ndarray] = {}
    masks: dict[str, np.ndarray] = {}
    predict = _predict_mirrored if flips else predict_probability
    # the last one first: the NDN's padding is the wider, so it comes while no map of the other is held
    for name in reversed(list(shown)):
        progress.stage(name)
        probability = predict(networks[name], image, shown[name], *how)
        centres = registry.get(name).task == "centres"
        if not (centres and entry.needs and unmarked == "vote"):
            masks[name] = probability >= (THRESHOLD if centres else threshold)
        # a movie's is measured and its frames are small; of others a byte is enough
        layers[name] = probability if entry.subject.prepared else as_bytes(probability)
        del probability  # before the next one comes
    return layers, masks


def _predict_mirrored(network: Network, image: np.ndarray, *how: Any) -> np.ndarray:
    total = np.zeros(image.shape, np.float32)
    for axes in ((), (1,), (2,), (1, 2)):
        total += np.flip(predict_probability(network, np.flip(image, axes), *how), axes)
    total /= 4
    return total


def _by_vote(
    ensemble: Network,
    image: np.ndarray,
    spacing: Sequence[float],
    threshold: float,
    join: Callable[..., np.ndarray],
) -> Segmentation:
    from zoo.vote import missing_members, vote

    voted = vote(ensemble.model, image, spacing, threshold)
    progress.stage("joining slices")
    labels = join([fused.detections for fused in voted.fused], image.shape)
    notes = missing_members(ensemble.recipe, ensemble.model) + voted.notes
    if len(image) == 1:
        notes += ("one slice only: the result is 2-D, and no least volume is asked",)
    seen = voted.probability
    return Segmentation(labels, {"Ensemble (share of the scores)": seen}, voted.panels, notes, seen)


def as_bytes(probability: np.ndarray) -> np.ndarray:
    """Round a map of 0 to 1 to 255 steps, a quarter of the memory; plane by plane, as for all at once."""
    rounded = np.empty(probability.shape, np.uint8)
    for plane, new in zip(probability, rounded, strict=True):
        np.rint(plane * 255, out=new, casting="unsafe")
    return rounded


def _forward(model: Any, image: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict_on_batch(image[None, ..., None].astype(np.float32, copy=False)))[
        0, ..., -1
    ]
