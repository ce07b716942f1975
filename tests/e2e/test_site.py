"""The documentation's site: it builds without a warning, has every page, and asks nothing of the network."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest
import yaml
from pages import ROOT

pytest.importorskip("mkdocs", reason="needs pip install '.[docs]'")
pytest.importorskip("material", reason="needs pip install '.[docs]'")
pytest.importorskip("mkdocstrings", reason="needs pip install '.[docs]'")


def load(name):
    """A module beside the pages, which mkdocs loads by its path."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, as ``make docs`` builds it."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    return out


def html(site):
    return {
        path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in site.rglob("*.html")
    }


def test_every_page_is_there(site):
    found = {path.removesuffix(".html") for path in html(site)}
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert {page.removesuffix(".md") for page in pages} <= found
    assert {"readme", "contributing", "changelog"} <= found


def test_nothing_is_fetched_from_elsewhere(site):
    for name, text in html(site).items():
        tags = re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", text)
        assert len(tags) > 5
        for tag in tags:
            assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag) or "canonical" in tag, (
                name,
                tag,
            )


def test_links_lead_to_files_of_the_site(site):
    for name, text in html(site).items():
        if name != "404.html":
            for target in re.findall(r'<a\b[^>]*href="([^"#:]+)(?:#[^"]*)?"', text):
                assert (site / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_the_api_shows_what_is_public(site):
    text = (site / "api" / "fusion.html").read_text(encoding="utf-8")
    assert 'id="zoo.fusion.watershed.split_touching"' in text
    for path in (site / "api").glob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert not re.search(r'id="zoo\.[\w.]*\._', page), path.name
        assert not re.search(r":(func|class|mod|meth|data):", page), path.name


def test_no_sources_lie_about(site):
    assert not [path.name for path in site.rglob("*.py")]


def test_all_models_are_in_the_menu():
    text = re.sub(r"!!python\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    sections = {title: pages for part in yaml.safe_load(text)["nav"] for title, pages in part.items()}
    listed = {page for one in sections["Models"] for page in one.values()}
    assert listed == {f"models/{path.name}" for path in (ROOT / "docs" / "models").glob("*.md")}


@pytest.mark.parametrize(
    "page, target, expected",
    [
        ("README.md", "docs/metrics.md", "metrics.md"),
        ("README.md", "CITATION.cff", "CITATION.cff"),
        ("README.md", "CONTRIBUTING.md", "contributing.md"),
        ("docs/scoreboard.md", "../README.md", "readme.md"),
        ("docs/models/qcanet.md", "../../README.md", "../readme.md"),
        ("docs/models/qcanet.md", "../metrics.md", "../metrics.md"),
        ("docs/recipes.md", "../zoo/recipe.py", "api/zoo.md#zoo.recipe"),
        ("docs/recipes.md", "../zoo/gone.py", "../zoo/gone.py"),
    ],
)
def test_links_of_the_repository_become_those_of_the_site(page, target, expected):
    assert load("site_links").site_link(page, target) == expected


def test_anchors_stay_and_other_addresses_too():
    relink = load("site_links").relink
    assert relink("[a](../README.md#scores)", "docs/fuse.md") == "[a](readme.md#scores)"
    for text in ("[a](https://example.org/README.md)", "[a](#scores)", "`../README.md`"):
        assert relink(text, "docs/fuse.md") == text


def test_roles_become_links():
    link = load("site_docstrings").link
    shown = '<autoref identifier="zoo.data.io.read_image" optional><code>{}</code></autoref>'
    assert (
        link("by :func:`zoo.data.io.read_image`.", "zoo.a") == f"by {shown.format('zoo.data.io.read_image')}."
    )
    assert link(":func:`~zoo.data.io.read_image`", "zoo.a") == shown.format("read_image")
    assert link(":func:`read_image`", "zoo.data.io") == shown.format("read_image")
