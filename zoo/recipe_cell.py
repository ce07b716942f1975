"""The settings of a network that looks at a whole cell, brought to one size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import InputError
from zoo.recipe import Fitting


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRecipe(Fitting):
    """How a network of one fixed size is built, fed and fitted.

    The comments say where a default comes from; "the reproduction" is the public study of polarity patches in
    yeast. A recipe in the registry that departs from it says so there.
    """

    # network
    base: int = 32  # the reproduction: 32, 64, 128 filters
    poolings: int = 3  # the reproduction

    # preparation: what 'zoo prepare' did to the data
    size: tuple[int, int, int] = (32, 32, 32)  # the reproduction; voxels (z, y, x)
    # ours: the cell fills the network's few voxels, not its surroundings; the reproduction: resize
    fit: Literal["cell", "resize", "pad"] = "cell"
    scaling: Literal["percentile", "max"] = "percentile"  # ours; the reproduction: max; of the whole movie

    # batches
    batch: int = 4  # ours: twice the steps of 8
    # ours: a cell from any side, as mirrored alone it overfitted; changes of brightness kept the dense
    # network from learning for many epochs; the reproduction: none
    augment: Literal["none", "flips", "symmetric", "affine", "strong"] = "affine"

    # fitting
    loss: Literal["dice", "bce", "weighted_bce", "focal", "dice_bce"] = "dice"  # the reproduction
    lr: float = 5e-4  # ours: Keras' default for Adam, 1e-3, learnt nothing in batches of 2

    def __post_init__(self) -> None:
        Fitting.__post_init__(self)  # a class with slots is made twice, and super() knows the first
        self.check_positive("base", "poolings")
        self.check_multiple("size", self.multiple, self.poolings)
        if self.fit == "pad" and self.augment == "affine":
            raise InputError(
                "augment=affine turns cells by any angle; the voxels of padded frames are no cubes for it: "
                "--set augment=symmetric, or prepare with --fit cell"
            )

    @property
    def multiple(self) -> int:
        """What the size must be divisible by: ``2**poolings``."""
        return int(2**self.poolings)

    def check_prepared(self, settings: Mapping[str, Any] | None, data: str, command: str) -> None:
        """Check that a data set was prepared as this recipe says.

        Parameters
        ----------
        settings
            Of the preparation; ``None`` where there was none.
        data
            What the data set is called.
        command
            What prepares one.

        Raises
        ------
        InputError
            Where it was not.
        """
        if settings is None:
            raise InputError(
                f"{data} was not made by '{command}', which brings movies to one size and brightness: "
                "run it, and give its --out"
            )
        for key in ("size", "fit", "scaling"):
            mine, its = _plain(getattr(self, key)), _plain(settings.get(key))
            if mine != its:
                raise InputError(
                    f"{data} was prepared with {key} {its}, the recipe says {mine}: train with "
                    f"--set {key}={its}, or prepare the data anew"
                )

    @property
    def patch(self) -> tuple[int, int, int]:
        """What a step of the training sees: the whole."""
        return self.size


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
