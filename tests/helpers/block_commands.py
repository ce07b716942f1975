"""``zoo predict`` by blocks: an image, the command, and the check that it is refused."""

import shlex
from contextlib import chdir
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from zoo.cli import main
from zoo.data.omezarr import create
from zoo.data.tissue import Tissue

UM = (2.0, 1.4, 1.4)
SHAPE = (24, 48, 320)  # long, so that a little memory means several windows
RECORD = "b.ome.zarr.provenance.json"
ALL = tuple(slice(0, n) for n in SHAPE)


def make_image() -> np.ndarray:
    return Tissue(seed=3, shape=SHAPE, spacing=UM).image(ALL)


def run(folder: Path, command: str) -> Result:
    with chdir(folder):
        return CliRunner().invoke(main, shlex.split(f"predict {command}"), prog_name="zoo")


def zoo(folder: Path, command: str) -> str:
    """Run a command in a folder, see that it ends well, and give what it told."""
    result = run(folder, command)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stderr


def check_refused(folder: Path, command: str, *says: str) -> None:
    """See that a command ends with one line of error and the code 2, and leaves the folder as it was."""
    before = sorted(folder.rglob("*"))
    result = run(folder, command)
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    lines = result.stderr.splitlines()
    assert [line.startswith("Error: ") for line in lines] == [False] * (len(lines) - 1) + [True], lines
    for words in says:
        assert words in lines[-1]
    assert sorted(folder.rglob("*")) == before


def write_zarr(path: Path, array: np.ndarray, spacing=UM, **options) -> None:
    create(path, array.shape, array.dtype, spacing, chunks=(16, 32, 64), **options)[:] = array
