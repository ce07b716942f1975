"""Hostile files: a line and exit code 2 each, in 10 seconds and 1 GB of memory, and not a file is left."""

from __future__ import annotations

from collections.abc import Iterator

import hostile_arrays
import hostile_models
import hostile_tables
import hostile_tiff
import hostile_zarr
import pytest
from hostile import SECONDS, Hostile, Outcome, Warm
from refusal import state

CASES = [
    case
    for module in (hostile_tiff, hostile_arrays, hostile_zarr, hostile_tables, hostile_models)
    for case in module.cases()
]
MEMORY = 1 << 30


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """What became of each case so far."""
    return {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_file_is_refused(case: Hostile, warm, outcomes, tmp_path):
    files, here = tmp_path / "files", tmp_path / "here"
    files.mkdir()
    here.mkdir()
    case.build(files)
    before = state(files, here)
    found = outcomes[case.name] = warm.run(case.command, files, here)
    assert found.seconds < SECONDS, found
    assert found.grown < MEMORY, found
    assert "Traceback" not in found.err
    assert not found.framework, "it was refused only after TensorFlow had been loaded"
    if found.code == 0 and not case.certain:
        return
    assert found.code == 2, found
    lines = found.err.splitlines()
    # where weights are loaded, the image was read before and said so
    news = 1 if "--weights" in case.command and case.command.startswith("predict") else 0
    assert [line.startswith("Error: ") for line in lines][-1:] == [True], lines
    assert len(lines) <= 1 + news, lines
    assert found.out == ""
    assert state(files, here) == before


def test_at_least_200_hostile_files_were_refused(outcomes):
    if len(outcomes) < len(CASES):
        pytest.skip("not all cases ran in this process")
    refused = [name for name, found in outcomes.items() if found.code == 2]
    slowest = max(outcomes.values(), key=lambda found: found.seconds).seconds
    largest = max(outcomes.values(), key=lambda found: found.grown).grown
    print(f"{len(refused)} of {len(outcomes)} refused, {slowest:.1f} s and {largest / 1e6:.0f} MB at most")
    assert len(refused) >= 200


def test_all_cases_differ():
    assert len({case.name for case in CASES}) == len(CASES)
