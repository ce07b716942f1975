"""The settings of a detector that looks at slices, and of the ensemble that it is a member of."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import InputError
from zoo.recipe import change

LEVELS = (2, 3, 4, 5)  # of the feature pyramid: steps of 4 to 32 pixels

# the ResNets of Model Garden by their number of layers: blocks in each of the four stages, and whether these
# are bottlenecks, whose ends are four times as wide
BACKBONES = {
    10: ((1, 1, 1, 1), False),
    18: ((2, 2, 2, 2), False),
    26: ((3, 3, 3, 3), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What looks at the regions that may hold an object."""

    filters: int
    box_convs: int
    dense: int
    mask_convs: int
    candidates: int  # anchors that go into the choice of proposals
    proposals: int
    sampled: int  # regions of a patch that the heads learn from
    masks: int  # of these, those that the masks are learnt from


# lite, ours: in an early trial a fortieth of the time of Model Garden's own on a processor
HEADS = {
    "lite": Heads(
        filters=64,
        box_convs=0,
        dense=256,
        mask_convs=2,
        candidates=500,
        proposals=200,
        sampled=64,
        masks=24,
    ),
    "full": Heads(
        filters=256,
        box_convs=4,
        dense=1024,
        mask_convs=4,
        candidates=2000,
        proposals=1000,
        sampled=512,
        masks=128,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe:
    """How one Mask R-CNN is built, fed and fitted, and in what the members of an ensemble differ.

    The comments say where a default comes from; a recipe in the registry that departs from it says so there.
    """

    # ensemble
    members: tuple[Mapping[str, Any], ...] = ()  # what each member sets otherwise; empty for a single one
    bootstrap: bool = True  # ours: each member learns from its own draw of the volumes

    # network
    backbone: int = 18  # ours: a laptop trains it; the paper's configurations: ResNet-50 and 101
    width: float = 0.5  # ours: of the backbone's channels
    filters: int = 64  # ours: of the feature pyramid; Model Garden: 256
    anchor: float = 3.0  # ours: anchors of 12 pixels at the finest level; 8 misses a third of the nuclei
    scales: int = 3  # ours: anchor sizes a level
    heads: Literal["lite", "full"] = "lite"  # ours: the full ones take 40 times as long on a processor
    norm_momentum: float = 0.9  # ours: Model Garden's 0.997 is for long trainings

    # preparation
    pixel_um: float = 0.8  # ours: nuclei of 6 to 30 um are 8 to 38 pixels wide
    scaling: Literal["percentile", "minmax"] = "percentile"  # ours: a hot pixel moves no percentile
    context: int = 1  # ours: slices below and above that are seen too, as further channels; the paper: 0
    least_area: int = 12  # ours: pixels; smaller slivers are no targets

    # batches
    patch: int = 128  # ours: pixels a side
    batch: int = 2  # ours
    augment: Literal["none", "flips", "strong"] = "strong"  # ours

    # fitting
    lr: float = 1e-3  # ours: Adam with cosine decay, gradients clipped at a global norm of 10
    epochs: int = 14  # ours
    steps: int = 250  # ours: an epoch, after which validation and a checkpoint come

    # detections
    score: float = 0.5  # ours: the least score that takes part in the vote; the paper: 0.7
    nms: float = 0.5  # ours: boxes that overlap more are one; the paper: 0.3
    most: int = 100  # ours: detections a slice

    def __post_init__(self) -> None:
        for name in ("width", "filters", "anchor", "scales", "pixel_um", "batch", "lr", "epochs", "steps"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(
                    f"{name}={getattr(self, name)} must be above 0 and finite; use --set {name}=..."
                )
        for name in ("score", "nms", "norm_momentum"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must lie between 0 and 1")
        if self.backbone not in BACKBONES:
            raise InputError(f"backbone={self.backbone} must be one of {', '.join(map(str, BACKBONES))}")
        if int(64 * self.width) < 1:
            raise InputError(
                f"width={self.width} leaves no channel of the backbone's 64: 0.0625 or more will do"
            )
        if self.patch < self.multiple or self.patch % self.multiple:
            raise InputError(f"patch={self.patch} must be a multiple of {self.multiple}")
        if self.context < 0 or self.least_area < 1 or self.most < 1:
            raise InputError("context must not be negative, least_area and most must be at least 1")

    @property
    def multiple(self) -> int:
        """What the sizes of a slice must be divisible by."""
        return int(2 ** LEVELS[-1])

    @property
    def channels(self) -> int:
        """Slices that the network sees at once; three at least, as pretrained backbones want."""
        return max(3, 2 * self.context + 1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**dataclasses.asdict(self), "members": [dict(member) for member in self.members]}


def member(recipe: DetectorRecipe, index: int) -> DetectorRecipe:
    """Return the recipe of one member of an ensemble.

    Parameters
    ----------
    recipe
        Of the ensemble.
    index
        From 0.

    Raises
    ------
    InputError
        For a key that recipes do not have, or a value that is not allowed.
    """
    if "members" in recipe.members[index]:
        raise InputError(f"member {index + 1} has members of its own: list all in one members = [...]")
    return change(dataclasses.replace(recipe, members=()), recipe.members[index])
