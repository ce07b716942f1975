"""The demonstration behind ``make demo``: train the compact pair, segment, score, report.

It runs the commands that a user would type, on synthetic embryos, and shows each before it runs.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from zoo.cli import main

# Small and coarse, so that two cores need a few minutes; the registry's defaults take an hour on real data
NSN = ("base=4", "voxel_um=2.0", "patch=48,48,48", "epochs=12", "lr=4e-3")
NDN = ("base=4", "poolings=3", "voxel_um=1.6", "patch=56,64,64", "epochs=24", "lr=4e-3")


def commands(folder: Path) -> list[list[str]]:
    """Return the command lines of the demonstration, without the leading ``zoo``.

    Parameters
    ----------
    folder
        Where weights, labels and reports go.
    """

    def train(name: str, settings: tuple[str, ...]) -> list[str]:
        words = ["train", name, "--out", str(folder / name), "--overwrite"]
        return words + [word for setting in settings for word in ("--set", setting)]

    weights = ["--weights", f"nsn={folder / 'qcanet_nsn'}", "--weights", f"ndn={folder / 'qcanet_ndn'}"]
    metrics = ["--metric", "iou,seg,mucov,det_f1"]
    return [
        train("qcanet_nsn", NSN),
        train("qcanet_ndn", NDN),
        ["eval", "qcanet", *weights, *metrics, "--out", str(folder), "--overwrite"],
    ]


def run(folder: Path) -> None:
    """Run the demonstration; stops at the first command that fails."""
    for words in commands(folder):
        click.secho(f"\n$ zoo {shlex.join(words)}", bold=True)
        main.main(words, prog_name="zoo", standalone_mode=False)
    click.echo(f"\nlook at {folder / 'report.html'}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
