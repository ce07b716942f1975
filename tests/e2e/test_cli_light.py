"""Help, lists and misspelt names answer at once: seen by what they import, not by a clock."""

import json
import subprocess
import sys

import pytest

HEAVY = {"numpy", "scipy", "skimage", "matplotlib", "rich", "tifffile", "tensorflow", "keras", "tf_keras"}
PROGRAM = """
import json, sys
import click
from zoo.cli import main

ends = []
for arguments in json.loads(sys.argv[1]):
    try:
        main.main(arguments, prog_name="zoo", standalone_mode=False)
        ends.append("done")
    except click.ClickException as fault:
        ends.append(fault.format_message())
print(json.dumps({"ends": ends, "modules": list(sys.modules)}), file=sys.stderr)
"""


def run(*commands: list[str]) -> tuple[list[str], set[str]]:
    """Run commands in a fresh process: how each ended, and which heavy packages were imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stderr.splitlines()[-1])
    return found["ends"], HEAVY & {name.partition(".")[0] for name in found["modules"]}


@pytest.mark.parametrize(
    "commands",
    [
        [["--help"], *([command, "--help"] for command in ("train", "predict", "eval", "measure", "sample"))],
        [["list"]],
        [["info", "qcanet_ndn"], ["info", "qcanet"], ["info", "classical"]],
    ],
    ids=["help", "list", "info"],
)
def test_answers_without_a_heavy_import(commands):
    ends, heavy = run(*commands)
    assert ends == ["done"] * len(commands)
    assert heavy == set()


def test_misspelt_names_are_answered_without_a_heavy_import():
    asked = {
        "info qcanet_nnd": "did you mean 'qcanet_ndn'?",
        "train qcanet_nsm": "did you mean 'qcanet_nsn'?",
        "predict qcannet image.tif --out results": "did you mean 'qcanet'?",
        "eval clasical": "did you mean 'classical'?",
        "trian qcanet_ndn": "'train'",
        "eval --mertic seg": "--metric",
    }
    ends, heavy = run(*(command.split() for command in asked))
    assert heavy == set()
    for end, answer in zip(ends, asked.values(), strict=True):
        assert answer in end


def test_this_way_of_looking_sees_an_import():
    _, heavy = run(["eval", "--metric", "segg"])
    assert "numpy" in heavy
