"""A command as a user types it, and what it leaves."""

import csv
import shlex
from contextlib import chdir
from pathlib import Path

from click.testing import CliRunner, Result

from zoo.cli import main

UM = (1.75, 0.8, 0.8)
SMALL = (24, 64, 64)


def zoo(folder: Path, command: str, code: int = 0) -> Result:
    """Run a command in a folder and see how it ends."""
    with chdir(folder):
        result = CliRunner().invoke(main, shlex.split(command), prog_name="zoo")
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
