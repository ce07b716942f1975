"""An extension of griffe: what a docstring names as ``:func:`name``` becomes a link on the site."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:func|class|meth|mod|data|attr):`(~?)([\w.]+)`")


def link(text: str, scope: str) -> str:
    """Replace the roles in a docstring.

    Parameters
    ----------
    text
        The docstring.
    scope
        Module or class that names without ``zoo.`` are looked up in.

    Returns
    -------
    str
        With links in the place of roles; one whose target is on no page is shown as plain code.
    """

    def replace(found: re.Match[str]) -> str:
        short, name = found.groups()
        path = name if name.startswith("zoo.") else f"{scope}.{name}"
        shown = name.rpartition(".")[2] if short else name
        return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'

    return ROLE.sub(replace, text)


class Roles(Extension):
    """Links in each docstring."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of an object that was loaded."""
        if obj.docstring:
            scope = obj.parent if obj.is_function and obj.parent else obj
            obj.docstring.value = link(obj.docstring.value, scope.path)
