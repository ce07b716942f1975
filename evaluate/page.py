"""The HTML of the report: one page without scripts or outside links, its style, tables and figures."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from numbers import Integral, Real
from string import Template

Table = tuple[Sequence[str], Sequence[Sequence[object]]]
"""A header and the rows below it; the first column names the row."""

_STYLE = """
:root { color-scheme: light dark; --page: #fcfcfa; --ink: #1f2328; --soft: #626a73; --line: #dcdcd6;
  --card: #f3f3ef; --accent: #5b4a8a; }
@media (prefers-color-scheme: dark) { :root { --page: #15171b; --ink: #e4e4e1; --soft: #9aa1a9;
  --line: #33373d; --card: #1d2025; --accent: #b9a8e6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 3rem 2rem 4rem; }
h1 { font-size: 1.9rem; font-weight: 600; line-height: 1.2; letter-spacing: -0.01em; margin: 0 0 0.4rem; }
h2 { font-size: 1.2rem; font-weight: 600; margin: 0 0 0.7rem; }
section { margin-top: 2.6rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
p { margin: 0 0 0.8rem; max-width: 62rem; }
.kind { color: var(--accent); font-size: 0.78rem; letter-spacing: 0.09em; text-transform: uppercase; }
.soft, footer { color: var(--soft); font-size: 0.88rem; }
a { color: var(--accent); }
dl { margin: 0; }
.settings { display: grid; grid-template-columns: max-content 1fr; gap: 0.2rem 1.5rem; }
.settings div { display: contents; }
.settings dt { color: var(--soft); }
.settings dd { margin: 0; }
.scores { display: flex; flex-wrap: wrap; gap: 0.5rem; margin-bottom: 1.2rem; }
.scores div { background: var(--card); border-radius: 0.4rem; padding: 0.25rem 0.8rem; }
.scores dt { display: inline; color: var(--soft); }
.scores dd { display: inline; margin: 0 0 0 0.5rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; margin-bottom: 1.4rem; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.4rem; }
th, td { padding: 0.28rem 0 0.28rem 1.8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child { padding-left: 0; text-align: left; }
th { font-weight: 500; }
thead th { color: var(--soft); border-bottom: 1px solid var(--soft); }
.steps, .result { display: grid; gap: 0.5rem 0.9rem; }
.steps { grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
.result { grid-template-columns: repeat(2, minmax(0, 1fr)); margin-top: 1.6rem; }
figure { margin: 0; }
.steps figure { display: grid; grid-row: span 3; grid-template-rows: subgrid; }
.result { grid-template-rows: auto auto; }
.result figure { display: grid; grid-row: span 2; grid-template: subgrid / 1fr 1fr; column-gap: 0.9rem; }
.result figcaption { grid-column: span 2; }
figcaption { font-size: 0.86rem; line-height: 1.35; padding-bottom: 0.3rem; display: flex;
  flex-direction: column; justify-content: space-between; }
figcaption b { font-weight: 600; }
.scale { display: flex; align-items: center; gap: 0.4rem; color: var(--soft); font-size: 0.78rem;
  font-variant-numeric: tabular-nums; }
.scale i { flex: 1; height: 0.45rem; border-radius: 0.2rem; }
.grey { background: linear-gradient(to right, #000, #fff); }
.map { background: linear-gradient(to right, #440154, #3b528b, #21918c, #5ec962, #fde725); }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.1rem; color: var(--soft); }
.legend i { display: inline-block; width: 0.75rem; height: 0.75rem; border-radius: 0.2rem;
  margin-right: 0.35rem; vertical-align: -0.06rem; }
.scale i, .legend i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.sheet { width: auto; max-width: 100%; }
details { margin-top: 1.4rem; }
summary { cursor: pointer; color: var(--accent); margin-bottom: 0.6rem; }
footer { margin-top: 3rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
@media screen and (max-width: 52rem) { .steps { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .result { grid-template-columns: minmax(0, 1fr); } main { padding: 1.5rem 1rem; } }
@media print { body { background: #fff; color: #000; font-size: 10pt; } main { max-width: none; padding: 0; }
  figure, tr, .scores { break-inside: avoid; } h2 { break-after: avoid; } .wide { overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""

# The policy makes a browser refuse whatever would be fetched or run: the page is what is in the file.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def page(title: str, body: str) -> str:
    """Make the whole page of a title (plain text) and a body (HTML)."""
    return _PAGE.substitute(title=escape(title), style=_STYLE, body=body)


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
