"""The report in a real browser: what its script shows, and what is there without it."""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from zoo.evaluate.criteria import measure
from zoo.evaluate.report import write_report
from zoo.results import make_case
from zoo.segment import Segmentation

NAME = "</script><script>document.title='broken'</script>"
UM = (2.0, 1.0, 1.0)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy".*?>', re.DOTALL)


def write_two_volumes(path):
    """Write a report of two volumes: label 1 in slices 1 and 2, label 300 in 3 to 5, 2 only in the second."""
    rng = np.random.default_rng(0)
    cases = []
    for name in ("first", NAME):
        labels = np.zeros((6, 16, 20), np.uint16)
        labels[1:3, 2:7, 2:7], labels[3:, 8:14, 10:18] = 1, 300
        if name == NAME:
            labels[4, 0:3, 15:18] = 2
        image = (rng.poisson(20, labels.shape) + 80 * (labels > 0)).astype(np.uint16)
        nuclei = measure(labels, UM, image)
        cases.append(make_case(name, image, UM, Segmentation(labels), nuclei, labels))
    return write_report(path, title="A run", cases=cases, settings={})


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """Return what opens a page in a browser, and gives the page as its script left it and what was logged."""
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    browser = next(found, None)
    if browser is None:
        pytest.skip("no browser: neither chromium nor google-chrome is installed")
    profile = tmp_path_factory.mktemp("profile")
    options = (
        f"--headless --disable-gpu --no-first-run --disable-background-networking --user-data-dir={profile}"
    )
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root has none

    def opened(page, fragment=""):
        shown = ["--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom"]
        result = subprocess.run(
            [browser, *options.split(), *sandbox, *shown, f"{page.as_uri()}{fragment}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        logged = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
        return result.stdout, logged

    return opened


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return write_two_volumes(tmp_path_factory.mktemp("report") / "report.html")


def acted(report, script):
    """Write a copy of the report in which a script of the test acts as a reader would."""
    text = POLICY.sub("", report.read_text(encoding="utf-8"))
    copy = report.with_name("acted.html")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    return copy


def viewers(page):
    """Return what each viewer of a page shows: slice, words, marked rows of its table."""
    shown = []
    for part in re.split(r'<section id="case-', page)[1:]:
        place = re.search(r'<output class="place">(.*?)</output>', part).group(1)
        words = re.search(r'<p class="chosen"[^>]*>(.*?)</p>', part).group(1)
        marked = re.findall(r'<tr data-label="(\d+)" class="marked" aria-current="true">', part)
        shown.append((place, words, marked))
    return shown


def test_the_address_chooses_volume_slice_and_nucleus(browse, report):
    page, logged = browse(report, "#case=2&z=4&label=300&truth=1")
    (_, words, marked), second = viewers(page)
    assert second == ("z 4 of 0–5 · 8.0 µm", "Chosen: nucleus 300, z 3 to 5", ["300"])
    assert marked == []
    assert words.startswith("Click a nucleus")
    assert logged == []
    assert "<title>A run</title>" in page  # a name is text
    assert page.count("<script") == 1


@pytest.mark.parametrize(
    "fragment, first",
    [
        ("", ("z 3 of 0–5 · 6.0 µm", "Click a nucleus or a row; arrows step.", [])),
        ("#case=1&label=1", ("z 2 of 0–5 · 4.0 µm", "Chosen: nucleus 1, z 1 to 2", ["1"])),
        ("#case=1&z=99&label=2", ("z 5 of 0–5 · 10.0 µm", "There is no nucleus 2 in this volume.", [])),
        ("#case=1&z=-1&label=%3Cb%3E&gain=x", ("z 3 of 0–5 · 6.0 µm", "Click a nucleus or a row", [])),
    ],
)
def test_an_address_may_say_little_or_nonsense(browse, report, fragment, first):
    page, logged = browse(report, fragment)
    place, words, marked = viewers(page)[0]
    assert (place, marked) == (first[0], first[2])
    assert words.startswith(first[1])
    assert logged == []


def test_a_reader_clicks_and_steps(browse, report):
    script = """
    const wait = (ms) => new Promise((done) => setTimeout(done, ms));
    const told = [];
    (async () => {
      await wait(500);
      const root = document.querySelector(".viewer");
      const stage = root.querySelector(".stage");
      const tell = () => told.push([root.querySelector(".place").textContent.split(" ")[1],
        root.querySelector(".chosen").textContent.match(/nucleus \\d+|$/)[0], location.hash].join(" "));
      const press = (key) => stage.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      const click = (x, y) => {
        const box = stage.getBoundingClientRect();
        stage.dispatchEvent(new MouseEvent("click", { bubbles: true,
          clientX: box.left + (x + 0.5) / 20 * box.width, clientY: box.top + (y + 0.5) / 16 * box.height }));
      };
      press("ArrowUp"); await wait(300); tell();
      click(10, 8); await wait(300); tell();
      click(9, 8); await wait(300); tell();
      document.querySelector("tr[data-label='1'] button").click(); await wait(300); tell();
      const pen = root.querySelector(".marks").getContext("2d");
      const { width, height } = root.querySelector(".marks");
      const row = pen.getImageData(0, 4 / 16 * height, width, 1).data;
      const at = (x) => [...row.subarray(4 * Math.floor(x / 20 * width)).subarray(0, 4)].join();
      told.push(["rim", at(2.05), at(3.5), at(1.9)].join(" "));
      press("End"); press("ArrowRight"); await wait(300); tell();
      press("Home"); await wait(300); tell();
      root.querySelector("[name=on]").click(); await wait(300); told.push(location.hash);
      const head = [...document.querySelectorAll("table.objects thead button")]
        .find((one) => one.textContent === "voxels");
      const order = () => [...head.closest("table").querySelectorAll("tr[data-label]")]
        .map((row) => row.dataset.label).join();
      head.click(); told.push(`down ${order()}`);
      head.click(); told.push(`up ${order()} ${head.parentElement.getAttribute("aria-sort")}`);
      location.hash = "#case=1&z=2"; await wait(300); tell();
      document.body.dataset.told = told.join("; ");
    })();
    """
    page, logged = browse(acted(report, script), "#case=1&z=3")
    assert logged == []
    told = re.search(r'data-told="(.*?)"', page).group(1).replace("&amp;", "&").split("; ")
    colour = re.search(r'<tr data-label="1".*?background: #(\w+)', page).group(1)
    red, green, blue = (int(colour[k : k + 2], 16) for k in (0, 2, 4))
    assert told == [
        "4  #case=1&z=4",
        "4 nucleus 300 #case=1&z=4&label=300",
        "4  #case=1&z=4",
        "2 nucleus 1 #case=1&z=2&label=1",
        f"rim {red},{green},{blue},255 0,0,0,0 0,0,0,0",
        "5 nucleus 1 #case=1&z=5&label=1",
        "0 nucleus 1 #case=1&z=0&label=1",
        "#case=2&z=0&label=1",
        "down 300,1",
        "up 1,300 ascending",
        "2 nucleus 1 #case=1&z=2&label=1",
    ]


def test_without_a_script_pictures_and_table_are_there_and_controls_are_not(browse, report):
    # headless Chromium needs scripts itself, so the page's policy forbids its own
    text = report.read_text(encoding="utf-8")
    quiet = report.with_name("quiet.html")
    quiet.write_text(re.sub(r"script-src 'sha256-[^']*'", "script-src 'none'", text), encoding="utf-8")
    page, logged = browse(quiet, "#case=2&z=4&label=2")
    assert logged  # that it was refused: what the other tests take for silence is heard
    assert len(re.findall(r'<div class="viewer" hidden', page)) == 2
    tables = re.findall('<table class="objects".*?</table>', page, re.DOTALL)
    assert len(tables) == 2
    assert not any("<button" in table for table in tables)
    assert len(re.findall('<img src="data:image/png;base64,[^"]+" alt="Labels of ', page)) == 4
    rows = re.findall(r'<tr data-label="(\d+)">', page)
    assert sorted(map(int, rows)) == [1, 1, 2, 300, 300]
    assert "touches border" in page
