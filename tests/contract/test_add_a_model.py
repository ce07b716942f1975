"""CONTRIBUTING's checklist of adding a model, followed step by step with the smallest one."""

import inspect
import json
import re
from pathlib import Path

import example_model
import pytest
import test_entries
from click.testing import CliRunner
from example_model import ENTRY, NAME, PAGE
from test_entries import bfloat16, volumes  # noqa: F401

from zoo import registry
from zoo.cli import main
from zoo.data.io import read_labels
from zoo.data.phantom import embryo
from zoo.data.write import write_image, write_labels
from zoo.errors import InputError

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"
STEPS = ("Builder", "Size", "Block", "Page", "Contract", "Train and score")

# what each check of every entry is asked of: the lists of names that it goes over, and ours in their place
OURS = {
    "NAMES": [{"name": NAME}],
    "TRAINABLE": [{"name": NAME}],
    "KERAS": [{"name": NAME}],
    "RECIPES": [{"name": NAME, "recipe": "default"}],
    "KERAS_RECIPES": [{"name": NAME, "recipe": "default"}],
    "NORMS": [{"name": NAME, "norm": "instance"}, {"name": NAME, "norm": "batch"}],
}


def checks():
    """Each check of ``test_entries`` that goes over such a list, once for each of our cases."""
    found = []
    for title, check in vars(test_entries).items():
        for mark in getattr(check, "pytestmark", []) if title.startswith("test_") else []:
            if mark.name == "parametrize":
                names = [name for name in OURS if mark.args[1] is getattr(test_entries, name)]
                found += [(check, case) for name in names for case in OURS[name]]
    return found


@pytest.fixture
def added(monkeypatch, tmp_path):
    """Steps 3 and 4: the block is in the registry, the page in the docs."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    registry.register(ENTRY)
    monkeypatch.setattr(test_entries, "DOCS", tmp_path)
    (tmp_path / f"{NAME}.md").write_text(PAGE, encoding="utf-8")


def test_the_checklist_has_these_steps():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    _, _, after = text.partition("## Add a model")
    section = after.partition("\n## ")[0]
    assert re.findall(r"^(\d)\. \*\*(.+?)\.\*\*", section, re.M) == [
        (str(number), step) for number, step in enumerate(STEPS, 1)
    ]
    assert "tests/helpers/example_model.py" in section


def test_1_the_builder_makes_a_model_of_a_recipe():
    assert example_model.build_blobs(ENTRY.recipes["default"]).name == NAME


def test_2_the_size_is_counted_and_the_page_tells_it():
    count = example_model.blobs_parameters(ENTRY.recipes["default"])
    assert count == 27 * 4 + 4 + 2 * 4 + 2 * 4 + 2
    assert f"| parameters | {count:,} |" in PAGE


@pytest.mark.usefixtures("added")
def test_3_the_block_is_enough_for_the_commands():
    listed = CliRunner().invoke(main, ["list"]).output
    assert ENTRY.summary in listed
    assert "130" in CliRunner().invoke(main, ["info", NAME]).output


@pytest.mark.usefixtures("added")
def test_3_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match=NAME):
        registry.register(ENTRY)


@pytest.mark.usefixtures("added")
def test_4_without_its_page_the_contract_is_broken(tmp_path):
    (tmp_path / f"{NAME}.md").unlink()
    with pytest.raises(AssertionError, match=rf"{NAME}\.md is missing"):
        test_entries.test_a_page_of_the_docs_is_there(NAME)


def test_5_the_contract_is_all_that_is_asked_of_every_entry():
    asked = {check.__name__ for check, _ in checks()}
    assert len(asked) >= 12
    named = {
        title
        for title, check in vars(test_entries).items()
        if title.startswith("test_") and "name" in inspect.signature(check).parameters
    }
    # the others ask some entries by their names
    assert named - asked == {"test_the_papers_recipe_is_there", "test_the_replications_recipe_is_there"}


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize("check, case", checks(), ids=lambda one: getattr(one, "__name__", None))
def test_5_the_contract(check, case, request):
    for mark in check.pytestmark:
        if mark.name == "usefixtures":
            for name in mark.args:
                request.getfixturevalue(name)
    others = {
        name: request.getfixturevalue(name)
        for name in inspect.signature(check).parameters
        if name not in case
    }
    check(**case, **others)


@pytest.mark.usefixtures("added")
def test_6_it_trains_predicts_scores_and_exports_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("ab"):
        made = embryo(number, nuclei=3, shape=(12, 40, 40), debris=0)
        write_image(tmp_path / "data" / "images" / f"{name}.tif", made.image, made.spacing)
        write_labels(tmp_path / "data" / "labels" / f"{name}.tif", made.labels, made.spacing)
    settings = " ".join(f"--set {key}={value}" for key, value in ENTRY.tiny.items() if key != "patch")
    for line in (
        f"train {NAME} --data data --validate b --out run --set patch=16,16,16 {settings}",
        f"predict {NAME} data/images/a.tif --out labels --weights run --min-volume 0",
        f"eval {NAME} --data data --weights run --metric iou --json scores.json",
        f"export {NAME} --weights run --out models",
        "export-check models",
    ):
        done = CliRunner().invoke(main, line.split())
        assert done.exit_code == 0, (line, done.output)
    assert read_labels(tmp_path / "labels" / "a.tif").frames.shape[1:] == made.image.shape
    assert json.loads((tmp_path / "scores.json").read_text())["meta"]
    assert (tmp_path / "models" / NAME / "1" / "saved_model.pb").is_file()


def test_nothing_of_it_stays():
    with pytest.raises(InputError, match=NAME):
        registry.get(NAME)
    assert [entry.name for entry in registry.entries()] == test_entries.NAMES
