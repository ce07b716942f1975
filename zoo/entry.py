"""What the registry knows about a model or a pipeline; nothing heavy is imported before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from zoo.defaults import MIN_VOLUME

Task = Literal["semantic", "centres", "instances_2d", "instances_3d"]


@dataclass(frozen=True, slots=True)
class Ref:
    """A function named ``"module:function"``, imported at first use.

    Parameters
    ----------
    target
        Such as ``"zoo.models.qcanet:build_ndn"``.
    """

    target: str

    def __post_init__(self) -> None:
        module, colon, function = self.target.partition(":")
        if not (module and colon and function.isidentifier()):
            raise ValueError(f"a Ref is 'module:function', not {self.target!r}")

    def load(self) -> Callable[..., Any]:
        """Import the module and return the function."""
        module, _, function = self.target.partition(":")
        return getattr(import_module(module), function)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One input or output of a model.

    Parameters
    ----------
    name
        Key of the tensor, also in exported models.
    axes
        One letter an axis, such as ``"NZYXC"``.
    dtype
        numpy's name of the type.
    spacing_um
        Voxel size (z, y, x) in um of the data the model was made for; ``None`` where it is of no matter.
    multiple_of
        What the spatial sizes must be divisible by; the caller pads.
    """

    name: str
    axes: str
    dtype: str
    spacing_um: tuple[float, float, float] | None = None
    multiple_of: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a method comes from and how ours differs."""

    paper: str
    licence: str
    differs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the objects of an entry are, and what follows from it.

    Parameters
    ----------
    objects
        What they are called, in the plural.
    min_volume
        Least volume of an object, um^3, where nobody says otherwise.
    metrics
        What is scored where nobody says otherwise.
    baseline
        Name of the entry that scores are compared with; ``None`` for none.
    synthetic
        Function of a count and a seed that returns the built-in data set.
    prepared
        The ``zoo prepare`` that makes its data sets of movies, whose frames are scaled together and may be
        empty; ``None`` where single volumes are taken as they are.
    """

    objects: str
    min_volume: float
    metrics: tuple[str, ...]
    baseline: str | None
    synthetic: Ref
    prepared: str | None = None


NUCLEI = Subject(
    objects="nuclei",
    min_volume=MIN_VOLUME,
    metrics=("iou", "seg", "mucov"),
    baseline="classical",
    synthetic=Ref("zoo.data.datasets:synthetic"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model (it has ``build``) or a pipeline of models (it has ``needs``) of the zoo.

    Parameters
    ----------
    name
        Also the name on the command line, of the docs page and of an exported model.
    task
        ``semantic`` (foreground mask), ``centres`` (a marker in each nucleus), ``instances_2d`` (the objects
        of each slice) or ``instances_3d`` (labels).
    summary
        The line in ``zoo list``.
    inputs, outputs
        What goes in and comes out.
    build
        Function of a recipe that returns the Keras model; ``None`` for a pipeline.
    size
        Function of a recipe that returns the number of parameters, without a framework.
    fit, rebuild
        Functions that train into a run folder, and that return the model of one.
    prepare
        Function of image (Z, Y, X), spacing in um and recipe that brings the image to the network's voxels
        and scale.
    fuse
        Function that turns the outputs into labels.
    needs
        Short name to entry name of the partners a pipeline is made of.
    keras
        Framework the network is built on.
    recipes
        Named settings, :class:`zoo.recipe.Recipe` or :class:`zoo.recipe_detector.DetectorRecipe`; ``default``
        is there for every entry that can be trained.
    tiny
        Recipe keys that make training a second's work, for tests.
    source
        Paper, licence and differences.
    subject
        What it finds.
    pretrained
        SHA-256 of the weights that come with the package, in :data:`zoo.defaults.PRETRAINED`; empty for none.
    """

    name: str
    task: Task
    summary: str
    inputs: Port
    outputs: tuple[Port, ...]
    source: Source
    build: Ref | None = None
    size: Ref | None = None
    fit: Ref = Ref("zoo.train.loop:fit")
    rebuild: Ref = Ref("zoo.train.loop:rebuild")
    prepare: Ref | None = None
    fuse: Ref | None = None
    needs: Mapping[str, str] = field(default_factory=dict)
    keras: Literal["keras", "tf_keras"] = "keras"
    recipes: Mapping[str, Any] = field(default_factory=dict)
    tiny: Mapping[str, Any] = field(default_factory=dict)
    subject: Subject = NUCLEI
    pretrained: str = ""

    @property
    def trainable(self) -> bool:
        """Whether ``zoo train`` can make weights for it."""
        return self.build is not None

    @property
    def networks(self) -> dict[str, str]:
        """The networks that it runs: short name to entry name; of a network itself, empty for none."""
        return dict(self.needs) or ({self.name: self.name} if self.trainable else {})

    @property
    def allows_empty(self) -> bool:
        """Whether volumes without any object take part in training, as slices and frames do."""
        return self.task == "instances_2d" or self.subject.prepared is not None
