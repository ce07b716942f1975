"""The README and the docs as a test reads them: blocks, commands, what stands between backticks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
SHELL = ("", "sh", "bash", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block, the heading that it stands under, and its language, empty for commands."""

    page: Path
    heading: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Its commands, each on one line without its comment; none where it is of another language."""
        if self.language not in SHELL:
            return []
        lines = re.sub(r"\\\n\s*", "", self.text).splitlines()
        bare = [re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ") for line in lines]
        return [line for line in bare if line]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text[: fence.start()]), re.M)
        found.append(Block(page, headings[-1] if headings else "", fence["language"], fence["text"]))
    return found


def inline(page: Path) -> list[str]:
    """What stands between backticks outside the blocks, with its line breaks as spaces."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]


def name_of(page: Path) -> str:
    """The page's path from the root."""
    return page.relative_to(ROOT).as_posix()
