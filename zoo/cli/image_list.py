"""Which images a command does: no masks, none twice, and not what was done before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from zoo.results import Target


def undone(paths: list[Path], targets: list[Target], console: Console) -> tuple[list[Path], list[Target]]:
    """Leave out the images that were done before."""
    both = zip(paths, targets, strict=True)
    left = [(path, target) for path, target in both if not target.labels.is_file()]
    console.print(f"{len(paths) - len(left)} of {len(paths)} images were done before")
    return [path for path, _ in left], [target for _, target in left]


def without_masks(paths: list[Path], console: Console) -> list[Path]:
    """Leave out the masks that lie beside movies."""
    from zoo.results import stem_of

    named = {path.parent / stem_of(path): path for path in paths}
    pairs = [(path, name.with_name(name.name.removesuffix("_mask"))) for name, path in named.items()]
    masks = [path for path, movie in pairs if movie in named and named[movie] != path]
    if masks:
        console.print(f"left out, as they are masks of other files here: {', '.join(p.name for p in masks)}")
    return [path for path in paths if path not in masks]


def check_names(targets: list[Target]) -> None:
    """Refuse images whose results would have one name.

    Raises
    ------
    InputError
        Naming it.
    """
    stems = [target.stem for target in targets]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(
            f"several images are called {twice[0]}: give them other names or run them one by one"
        )
