"""The settings of a training, where each default comes from, and how a user changes them."""

from __future__ import annotations

import ast
import dataclasses
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from zoo.errors import InputError, unknown

_LONGEST = 16_384  # bytes of a recipe file; ours have 300
_MOST_POOLINGS = 10  # 1024 voxels a pooled one

Settings = TypeVar("Settings")  # Recipe, or the DetectorRecipe of zoo.recipe_detector


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How any network of Keras 3 is fed and fitted; the comments say where a default comes from."""

    # batches
    batch: int = 1  # ours: instance norm needs no more
    # ours; the paper: flips; the replication: none
    augment: Literal["none", "flips", "symmetric", "affine", "strong"] = "strong"

    # fitting
    optimiser: Literal["adam", "sgd"] = "adam"  # the paper, for NDN
    lr: float = 2e-3  # ours
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"  # ours
    lr_drop: float = 0.2  # the replication: 0.1 to 0.02, where schedule is "plateau"
    epochs: int = 40  # ours
    patience: int = 0  # ours: epochs without a better validation IoU before stopping; 0 never stops

    def __post_init__(self) -> None:
        self.check_positive("batch", "epochs", "lr", "lr_drop")
        self.check_not_negative("patience")

    def check_positive(self, *keys: str) -> None:
        """Refuse values that are not above 0 and finite."""
        for key in keys:
            if not 0 < getattr(self, key) < math.inf:
                raise InputError(
                    f"{key}={getattr(self, key)} must be above 0 and finite; use --set {key}=..."
                )

    def check_not_negative(self, *keys: str) -> None:
        """Refuse values below 0."""
        for key in keys:
            if getattr(self, key) < 0:
                raise InputError(f"{key}={getattr(self, key)} must not be negative")

    def check_multiple(self, key: str, multiple: int, poolings: int) -> None:
        """Refuse a size that cannot be halved as often as the network does."""
        if any(edge < 1 or edge % multiple for edge in getattr(self, key)):
            given = ",".join(map(str, getattr(self, key)))
            raise InputError(f"{key}={given} must be multiples of {multiple}, as poolings={poolings}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Fitting):
    """How a U-Net is built, fed and fitted.

    Lengths in um are of the image's space; sizes in voxels are of the working grid, cubes of ``voxel_um``.
    The comments say where a default comes from; a recipe in the registry that departs from it says so there.
    """

    # network
    poolings: int  # the paper: 2 for NSN, 4 for NDN
    base: int  # ours: compact networks train on a laptop; the paper: 16 and 12
    kernel: int = 3  # the replication; the paper: 5 for NDN
    norm: Literal["instance", "batch"] = (
        "instance"  # ours: the same in training and inference; the paper: batch
    )

    # preparation
    voxel_um: float = 1.6  # ours: half the resolution is an eighth of the work; the paper: 0.8
    scaling: Literal["percentile", "minmax"] = (
        "percentile"  # ours: a hot pixel moves no percentile; the paper: minmax
    )
    attenuation: bool = False  # ours: equalise the slices' brightness over z

    # targets
    dilate: int = 1  # ours: raw 33-voxel markers failed to train

    # batches
    patch: tuple[int, int, int] = (64, 64, 64)  # ours: a whole embryo at 1.6 um

    # fitting
    loss: Literal["dice", "ce", "weighted_ce", "focal", "dice_ce"] = (
        "dice_ce"  # ours: pure dice with Adam stalls
    )

    def __post_init__(self) -> None:
        Fitting.__post_init__(self)  # a class with slots is made twice, and super() knows the first
        self.check_positive("poolings", "base", "kernel", "voxel_um")
        self.check_not_negative("dilate")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel={self.kernel} must be odd, so that 'same' padding is symmetric")
        if self.poolings > _MOST_POOLINGS:
            raise InputError(f"poolings={self.poolings} must be at most {_MOST_POOLINGS}")
        self.check_multiple("patch", self.multiple, self.poolings)

    @property
    def multiple(self) -> int:
        """What spatial sizes must be divisible by: ``2**poolings``."""
        return int(2**self.poolings)


def change(recipe: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the recipe with some keys set.

    Parameters
    ----------
    recipe
        The one to start from.
    values
        Key to value, from Python, TOML, JSON or the command line.

    Raises
    ------
    InputError
        For an unknown key (its nearest neighbour is named) or a value of the wrong kind.
    """
    hints = get_type_hints(type(recipe))
    changed = {}
    for key, value in values.items():
        if key not in hints:
            raise unknown("recipe key", key, hints)
        changed[key] = _convert(key, value, hints[key])
    return dataclasses.replace(recipe, **changed)  # type: ignore[type-var]


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` words of the command line.

    Values are Python literals where they parse (``80``, ``1e-3``, ``True``, ``64,64,64``), text elsewhere.
    """
    values = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {setting!r} is not of the form key=value, such as --set epochs=80")
        values[key.strip()] = _literal(text.strip())
    return values


def load(recipes: Mapping[str, Settings], name_or_file: str) -> Settings:
    """Return a named recipe, or the default one changed by a TOML file.

    Raises
    ------
    InputError
        For an unknown name, a file that is not there or not TOML, or keys that a recipe does not have.
    """
    if not name_or_file.endswith(".toml"):
        if name_or_file not in recipes:
            raise unknown("recipe", name_or_file, [*recipes, "FILE.toml"])
        return recipes[name_or_file]
    try:
        values = tomllib.loads(_text(Path(name_or_file)))
    except OSError as fault:
        raise InputError(f"cannot read recipe {name_or_file}: {fault.strerror}") from None
    except (ValueError, RecursionError) as fault:  # no TOML, no UTF-8, endless numbers; nested too deep
        raise InputError(f"recipe {name_or_file} is not TOML: {fault}") from None
    base = str(values.pop("recipe", "default"))
    if base not in recipes:
        raise unknown("recipe", base, recipes)
    return change(recipes[base], values)


def _text(path: Path) -> str:
    """Read a recipe; one that no person wrote would keep the parser busy for minutes."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"recipe {path} is a pipe or a device: give a file")
    with path.open("rb") as file:
        found = file.read(_LONGEST + 1)
    if len(found) > _LONGEST:
        raise InputError(f"recipe {path} is longer than {_LONGEST:,} bytes: keep to the keys of 'zoo info'")
    return found.decode("utf-8")


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(text.lower(), text)


def _convert(key: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise unknown(f"value of {key}", str(value), get_args(kind))
        return value
    if get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis:
        if isinstance(value, (list, tuple)) and all(isinstance(one, Mapping) for one in value):
            return tuple(dict(one) for one in value)
        raise InputError(f"{key}={value!r} must be a list of tables, such as {key} = [{{backbone = 34}}]")
    if get_origin(kind) is tuple:
        if isinstance(value, (list, tuple)) and len(value) == 3 and all(type(v) is int for v in value):
            return tuple(value)
        raise InputError(f"{key}={value!r} must be three whole numbers, z,y,x, such as {key}=64,64,64")
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is kind:
        return value
    raise InputError(f"{key}={value!r} must be of type {kind.__name__}")
