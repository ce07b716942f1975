"""The HTML of the report: one page without outside links, its style and script, tables and figures."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from numbers import Integral, Real
from pathlib import Path
from string import Template

Table = tuple[Sequence[str], Sequence[Sequence[object]]]
"""A header and the rows below it; the first column names the row."""

# The policy makes a browser refuse whatever would be fetched, and run no script but our own, by its hash: the
# page is what is in the file.
_HEAD = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-$hash'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
""")
_FOOT = Template("""</main>
<script>$script</script>
</body>
</html>
""")


def page(title: str, body: Iterable[str]) -> Iterator[str]:
    """Make the whole page of a title (plain text) and the parts of its body (HTML), part by part.

    A page of many volumes is some ten megabytes: joined to one text it would be held several times.
    """
    style, script = (Path(__file__).with_name(name).read_text("utf-8") for name in ("page.css", "viewer.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    yield _HEAD.substitute(title=escape(title), style=style, hash=digest)
    for part in body:
        yield f"{part}\n"
    yield _FOOT.substitute(script=script)


def cell(value: object) -> str:
    """Write one value as escaped text: numbers short, what is missing as a dash."""
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Real) and not isinstance(value, Integral):
        size = abs(float(value))
        return f"{float(value):,.{3 if size < 10 else 1 if size < 1000 else 0}f}"
    return escape(str(value))


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Make a table; the first cell of each row is its heading."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = []
    for name, *values in rows:
        cells = "".join(f"<td>{cell(value)}</td>" for value in values)
        lines.append(f'<tr><th scope="row">{cell(name)}</th>{cells}</tr>')
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    # tabindex lets a keyboard reach a table that must be scrolled
    return (
        f'<div class="wide" tabindex="0"><table>{title}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def terms(kind: str, entries: Mapping[str, object]) -> str:
    """Make a list of names and values; ``kind`` is its style, ``settings`` or ``scores``."""
    lines = (f"<div><dt>{escape(name)}</dt><dd>{cell(value)}</dd></div>" for name, value in entries.items())
    return f'<dl class="{kind}">{"".join(lines)}</dl>'


def image(png: bytes, text: str, kind: str = "") -> str:
    """Make a picture that lies in the page; ``text`` says what it shows to who cannot see it."""
    style = f' class="{kind}"' if kind else ""
    return f'<img{style} src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(text)}">'


def scale(kind: str, ends: tuple[float, float]) -> str:
    """Make the key of a picture's scale; ``kind`` is ``grey`` or ``map``."""
    low, high = (f"{end:.3g}" if abs(end) < 1000 else f"{end:,.0f}" for end in ends)
    return f'<span class="scale">{low}<i class="{kind}"></i>{high}</span>'


def legend(entries: Mapping[str, tuple[int, int, int]]) -> str:
    """Make the key of a picture's colours: a square of each colour and what it means in words."""
    items = (
        f'<span><i style="background: rgb{rgb}"></i>{escape(words)}</span>' for words, rgb in entries.items()
    )
    return f'<span class="legend">{"".join(items)}</span>'
