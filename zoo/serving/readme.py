"""What lies beside the versions of an exported model, for those who ask it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.entry import Entry

_ABOUT = {
    "serving_default": "scaled image in, what the network says out",
    "mask": "scaled image in, 1 where the probability is 0.5 or more out",
    "packed": "one raw volume in, compressed, scaled by the server; its mask out, as a PNG",
    "settings": "anything in, `model.json` out: the recipe and all below",
}
_AXES = {
    "N": "volumes or slices",
    "Z": "slices",
    "Y": "rows",
    "X": "columns",
    "C": "channels",
    "K": "pieces, or objects",
    "B": "top, left, bottom, right",
}


def describe(entry: Entry, settings: Mapping[str, Any], notes: Sequence[str]) -> str:
    """Return a README in Markdown.

    Parameters
    ----------
    entry
        Of the registry.
    settings
        What ``model.json`` holds.
    notes
        What else a user should know of.
    """
    rows = [
        f"| `{signature}` | {side} | `{name}` | {tensor['dtype']} | {tensor['axes'] or 'one'} |"
        for signature, sides in settings["signatures"].items()
        for side, way in (("in", "inputs"), ("out", "outputs"))
        for name, tensor in sides[way].items()
    ]
    scores = ", ".join(f"{name} {value:.4g}" for name, value in settings["scores"].items())
    but = "; for `packed` by the server" if "packed" in settings["signatures"] else ""
    axes = ", ".join(f"{letter} {meaning}" for letter, meaning in _AXES.items())
    return "\n".join(
        [
            f"# {settings['model']}",
            "",
            f"{entry.summary[0].upper()}{entry.summary[1:]}.",
            "",
            *(f"- `{name}`: {_ABOUT[name]}." for name in settings["signatures"]),
            "",
            "| signature | way | tensor | type | axes |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"Axes: {axes}.",
            "",
            f"- voxels: {_voxels(settings)}",
            f"- scaling: {settings['recipe']['scaling']}, done by the client{but}",
            *(f"- {note}" for note in notes),
            f"- scores of the best epoch on the validation data: {scores or 'none kept'}",
            f"- paper: {entry.source.paper}",
            f"- licence: {entry.source.licence}",
            "",
            "Each version has in `assets.extra` its `model.json`, `example.npz` (inputs and expected "
            "outputs), `SHA256SUMS` and, unless tensorflow-serving-api was missing, warm-up requests. This "
            "page is about the newest version.",
            "",
        ]
    )


def _voxels(settings: Mapping[str, Any]) -> str:
    recipe = settings["recipe"]
    spacing = settings["spacing_um"]
    made = "" if spacing is None else f"; made for images of {' x '.join(map(str, spacing))} um (z, y, x)"
    if "voxel_um" in recipe:
        return f"cubes of {recipe['voxel_um']} um{made}"
    if "pixel_um" in recipe:
        return f"pixels of {recipe['pixel_um']} um{made}"
    size = " x ".join(map(str, recipe["size"]))
    return f"a whole cell, brought to {size} voxels in the graph ({recipe['fit']})"
