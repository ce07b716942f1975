"""Which images a command does: no masks, none twice, and not what was done before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def there(targets: Iterable[Target]) -> dict[Path, int]:
    """Return the results of images that are there, of whatever kind, and what tells that one is replaced."""
    from zoo.movie_results import MovieTarget
    from zoo.track_results import TrackedTarget

    kinds = MovieTarget, TrackedTarget
    files = {file for at in targets for kind in kinds for file in kind(at.folder, at.stem).files()}
    return {file: file.stat().st_ino for file in files if file.is_file()}


def remove_left(before: Mapping[Path, int], targets: Iterable[Target]) -> None:
    """Remove what was there before images were done anew and is of labels that are gone: not replaced."""
    for file, number in there(targets).items():
        if before.get(file) == number:
            file.unlink()


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
