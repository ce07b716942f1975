"""A hook of mkdocs: the repository's own pages beside those of ``docs/``, and links that lead there.

On GitHub a page links to ``../README.md`` or ``../zoo/recipe.py``; the site has the first as a page of its
own, and the second as a part of the API pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
FILES = ("CITATION.cff", "LICENSE")
MODULES = {
    f"zoo/{name}.py": f"api/zoo.md#zoo.{name}" for name in ("recipe", "recipe_cell", "recipe_detector")
}
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)]*)?(\))")


def site_link(page: str, target: str) -> str:
    """Turn a link of a page of the repository into one of the site.

    Parameters
    ----------
    page
        Path of the page that links, from the root of the repository: ``docs/models/qcanet.md``.
    target
        Where the link leads, from that page, without ``#``.

    Returns
    -------
    str
        The same from the page's place on the site. What the site does not have stays, and mkdocs complains.
    """
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    place = PAGES.get(wanted) or MODULES.get(wanted) or wanted.removeprefix("docs/")
    if place == wanted and wanted not in FILES:
        return target
    here = posixpath.dirname(PAGES.get(page, page).removeprefix("docs/"))
    return posixpath.relpath(place, here or ".")


def relink(markdown: str, page: str) -> str:
    """Return a page of the repository, such as ``docs/serving.md``, with the site's links."""

    def replace(found: re.Match[str]) -> str:
        start, target, anchor, end = found.groups()
        return f"{start}{site_link(page, target)}{anchor or ''}{end}"

    return LINK.sub(replace, markdown)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie beside ``docs/``."""
    for name, place in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relink(text, name)))
    for name in FILES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Relink what lies in ``docs/``."""
    return markdown if page.file.src_uri in PAGES.values() else relink(markdown, f"docs/{page.file.src_uri}")
