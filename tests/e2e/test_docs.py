"""The README and the docs: commands are valid and run by a test; models, settings, options, links exist."""

from __future__ import annotations

import ast
import configparser
import csv
import re
import shlex
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pages import PAGES, README, ROOT, Block, blocks, inline, name_of

from zoo import __version__, registry
from zoo.cli import main
from zoo.data import phantom
from zoo.data.write import write_image
from zoo.errors import InputError
from zoo.evaluate.metrics import parse_metrics
from zoo.recipe import change, load, parse_settings

START = ROOT / "docs" / "start.md"
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
BLOCKS = [block for page in PAGES for block in blocks(page)]

# each command runs, in the way that a user types it, in
RUN_BY = {
    "list": "test_commands.py",
    "info": "test_commands.py",
    "doctor": "test_commands.py",
    "sample": "test_commands.py",
    "predict": "test_commands.py",
    "eval": "test_commands.py",
    "measure": "test_commands.py",
    "train": "test_commands.py",
    "prepare": "test_prepare_command.py",
    "scoreboard": "test_scoreboard_command.py",
    "fuse": "test_fuse.py",
    "track": "test_track.py",
    "convert": "test_convert.py",
    "export": "test_export_command.py",
    "export-check": "test_export_command.py",
    "pack": "test_bad_weights.py",
    "serve": "test_real_server.py",
    "rerun": "test_rerun.py",
}
# the quick part that costs minutes at its full size; a test runs the same line on small data
RUN_SMALL = {"zoo eval --metric seg,mucov": "test_eval_of_metrics_alone_takes_the_built_in_sample_and_runs"}
# what else a page may ask to be typed, which is not ours to test
OTHERS = (
    "docker run ",
    "bioimageio test ",
    ". .venv/bin/activate",
    "git clone ",
    "cd ",
    "pre-commit ",
    "napari",
)
FOREIGN = {
    "--rm", "--gpus", "--enable_batching", "--batching_parameters_file", "--ssl_config_file",
    "--allow_version_labels_for_unavailable_models", "--strict",
}  # fmt: skip


def zoo_lines() -> list[str]:
    """The lines of the pages' blocks that run ``zoo``, each once."""
    return sorted({line for block in BLOCKS for line in block.commands if line.startswith("zoo ")})


def other_lines() -> list[str]:
    """All other lines of these blocks."""
    return sorted({line for block in BLOCKS for line in block.commands if not line.startswith("zoo ")})


def options_of(name: str) -> set[str]:
    """The options of a command of ``zoo``."""
    return {
        option
        for parameter in main.commands[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


def known_options() -> set[str]:
    """The options of all commands of ``zoo`` and of all benchmarks."""
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    return FOREIGN.union(*map(options_of, main.commands), re.findall(r'"(--[\w-]+)"', scripts))


def check_zoo(line: str) -> None:
    """Let click read a command, and read what it leaves to the command: names, settings and metrics."""
    name, *words = shlex.split(line)[1:]
    options = main.commands[name].make_context(name, words).params
    if options.get("name"):
        entry = registry.get(options["name"])
        if name == "train" and not str(options["recipe"]).endswith(".toml"):
            change(load(entry.recipes, options["recipe"]), parse_settings(options["settings"]))
    if options.get("metrics"):
        parse_metrics(options["metrics"])


def check_other(line: str) -> None:
    """See that a target, an extra or a script is there."""
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        wanted = [word for word in words[1:] if "=" not in word]
        assert set(wanted) <= set(targets), f"{line}: the Makefile has {targets}"
    elif words[:2] == ["pip", "install"]:
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        for extras in re.findall(r"\[(.*?)\]", line):
            assert set(extras.split(",")) <= set(setup["options.extras_require"])
    elif words[0] == "python":
        script = ROOT / words[1]
        assert script.is_file()
        for option in OPTION.findall(line):
            assert f'"{option}"' in script.read_text(encoding="utf-8"), f"{script.name} has no {option}"
    elif words[0] == "pytest":
        assert all((ROOT / word).exists() for word in words[1:] if not word.startswith("-"))
    else:
        assert line.startswith(OTHERS), f"{line!r} is no known command; output goes into ```text"


# what is written


def test_the_pages_show_the_commands() -> None:
    assert {shlex.split(line)[1] for line in zoo_lines()} == set(main.commands)


@pytest.mark.parametrize("line", zoo_lines())
def test_command_is_valid(line: str) -> None:
    check_zoo(line)


@pytest.mark.parametrize("line", other_lines())
def test_what_else_is_typed_is_there(line: str) -> None:
    check_other(line)


@pytest.mark.parametrize(
    "line",
    [
        "zoo predict qcanet IMAGE --out DIR --treshold 0.5",
        "zoo predict qcanet IMAGE --out DIR --min-volume much",
        "zoo predict qcanett IMAGE --out DIR",
        "zoo train qcanet_nsn --set epoch=3",
        "zoo eval qcanet --metric sge",
        "zoo eval qcanet --spacing 1 1",
    ],
)
def test_a_wrong_command_would_be_found(line: str) -> None:
    with pytest.raises((InputError, click.UsageError)):
        check_zoo(line)


@pytest.mark.parametrize(
    "line", ["make tee", "pip install '.[zar]'", "python benchmarks/bench_metrics.py --no", "tar x"]
)
def test_a_wrong_line_would_be_found(line: str) -> None:
    with pytest.raises(AssertionError):
        check_other(line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_named_exists(page: Path) -> None:
    known = known_options()
    for text in inline(page):
        command = re.match(r"(?:\w+=\w+ )?zoo ([a-z][a-z-]*)", text)
        if command:
            assert command[1] in main.commands, f"{text}: no such command"
        options = options_of(command[1]) if command else known
        assert set(OPTION.findall(text)) <= options, f"{text}: no such option"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=lambda b: b.page.stem)
def test_what_python_imports_is_there(block: Block) -> None:
    imports = [node for node in ast.parse(block.text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    for node in imports:
        exec(ast.unparse(node), {})


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=lambda b: b.page.stem)
def test_toml_is_toml(block: Block) -> None:
    settings = tomllib.loads(block.text)
    if block.page.stem == "recipes":
        base = "mrcnn_ensemble" if "members" in settings else "qcanet_ndn"
        change(load(registry.get(base).recipes, settings.pop("recipe", "default")), settings)


def test_readme_states_the_parameters_that_the_models_have() -> None:
    readme = README.read_text(encoding="utf-8")
    for entry in registry.entries():
        if entry.trainable:
            count = entry.size.load()(entry.recipes["default"])
            assert f"{count:,}" in readme, f"README does not give the {count:,} parameters of {entry.name}"


# what is run


@pytest.mark.parametrize("name", sorted(main.commands))
def test_a_test_runs_the_command(name: str) -> None:
    (path,) = (ROOT / "tests").rglob(RUN_BY[name])
    assert re.search(rf"""["' ]{name}["' ]""", path.read_text(encoding="utf-8"))


def quick(page: Path, *headings: str) -> Iterator[str]:
    """The commands of a page's quick part."""
    for block in blocks(page):
        if not headings or block.heading in headings:
            yield from (line for line in block.commands if line.startswith("zoo "))


def run(folder: Path, line: str) -> str:
    """Run a line in a folder, as it stands there, and return what it says."""
    with chdir(folder):
        result = CliRunner().invoke(main, shlex.split(line)[1:], prog_name="zoo")
    assert result.exit_code == 0, (line, result.output, result.exception)
    return result.output


def small(path: Path) -> None:
    """A stack of some nuclei that takes no time."""
    made = phantom.embryo(0, nuclei=3, shape=(10, 32, 32), debris=0)
    write_image(path, made.image, made.spacing)


def test_the_readmes_quick_part_runs(tmp_path: Path) -> None:
    small(tmp_path / "my.tif")
    ran = 0
    for line in quick(README, "Your own stack"):
        if line in RUN_SMALL:
            others = (ROOT / "tests" / "e2e" / "test_commands.py").read_text(encoding="utf-8")
            assert f"def {RUN_SMALL[line]}(" in others
            assert f'"{line.removeprefix("zoo ")} ' in others
            continue
        run(tmp_path, line)
        if line == "zoo sample embryo --out sample":
            small(tmp_path / "sample" / "Images" / "embryo00.tif")
        ran += 1
    assert ran >= 8
    assert (tmp_path / "criteria.csv").read_text(encoding="utf-8").startswith("frame,label,")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The start page's commands, at their full size, and what each said."""
    folder = tmp_path_factory.mktemp("start")
    small(folder / "my.tif")
    return folder, {line: run(folder, line) for line in quick(START)}


def test_the_start_page_shows_what_is_said(started: tuple[Path, dict[str, str]]) -> None:
    _, told = started
    (shown,) = (block.text for block in blocks(START) if block.language == "text")
    said = told["zoo predict qcanet sample/Images/embryo00.tif --out nuclei"].splitlines()
    for line in shown.splitlines():
        assert re.sub(r"cellzoo [\d.]+", f"cellzoo {__version__}", line) in said


def test_the_start_page_shows_the_table(started: tuple[Path, dict[str, str]]) -> None:
    folder, _ = started
    lines = [line for line in START.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    first = next(i for i, row in enumerate(table) if row[0] == "label")
    names, shown = table[first], table[first + 2 : first + 5]
    with (folder / "nuclei" / "embryo00_criteria.csv").open(newline="", encoding="utf-8") as file:
        nuclei = list(csv.DictReader(file))
    assert len(nuclei) == 16
    for row, nucleus in zip(shown, nuclei[:3], strict=True):
        # processors differ in the last digits, and a voxel at the rim with them
        assert [float(cell) for cell in row] == pytest.approx([float(nucleus[n]) for n in names], rel=0.02)


def test_the_start_page_shows_the_scores(started: tuple[Path, dict[str, str]]) -> None:
    _, told = started
    found = re.search(r"IoU ([\d.]+), SEG ([\d.]+), MUCov ([\d.]+)\. ", START.read_text(encoding="utf-8"))
    assert found
    (line,) = (line for line in told if line.startswith("zoo eval"))
    (row,) = (row for row in told[line].splitlines() if "embryo00" in row)
    scores = [float(cell) for cell in row.strip("│ ").split("│")[2:]]
    assert scores == pytest.approx([float(text) for text in found.groups()], abs=0.01)


def test_the_developers_page_runs(started: tuple[Path, dict[str, str]], capsys) -> None:
    folder, _ = started
    (code,) = (block.text for block in blocks(ROOT / "docs" / "developing.md") if block.language == "python")
    with chdir(folder):
        exec(compile(code, "developing.md", "exec"), {})
    with (folder / "mine" / "my_criteria.csv").open(newline="", encoding="utf-8") as file:
        expected = [(float(row["label"]), float(row["volume_um3"])) for row in csv.DictReader(file)]
    told = [tuple(map(float, line.split())) for line in capsys.readouterr().out.splitlines()]
    assert expected
    assert [label for label, _ in told] == [label for label, _ in expected]


def test_the_start_page_names_the_files_that_are_there(started: tuple[Path, dict[str, str]]) -> None:
    folder, _ = started
    for name in ("report.html", "embryo00_criteria.csv", "embryo00.tif"):
        assert f"| `{name}` |" in START.read_text(encoding="utf-8")
        assert (folder / "nuclei" / name).is_file()
    assert {path.name for path in folder.iterdir()} == {"my.tif", "sample", "nuclei", "mine", "compare"}
