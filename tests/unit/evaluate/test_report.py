import base64
import hashlib
import re
import weakref
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.evaluate import page
from zoo.evaluate.pictures import EXTRA, MISSED, label_colours
from zoo.evaluate.report import MAX_PICTURED, Case, write_report

NASTY = "<script>alert('1')</script>\"&$title.tif"
VOID = {"meta", "img", "input"}


class Reader(HTMLParser):
    """What the tests ask of the page: that its tags close, and what it holds."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def attributes(self, tag, name):
        return [attrs[name] for kind, attrs in self.tags if kind == tag and name in attrs]

    def pictures(self):
        """Decode the pictures, by their alternative text."""
        prefix = "data:image/png;base64,"
        found = {}
        for kind, attrs in self.tags:
            if kind == "img":
                assert attrs["src"].startswith(prefix)
                data = base64.b64decode(attrs["src"].removeprefix(prefix), validate=True)
                found[attrs["alt"]] = np.asarray(Image.open(BytesIO(data)).convert("RGBA"))
        return found


def make_case(name="one", shape=(4, 12, 10), **changes):
    labels = np.zeros(shape, dtype=np.uint16)
    labels[:, 1:5, 1:5], labels[:, 6:9, 6:9] = 1, 2
    image = np.random.default_rng(0).integers(90, 500, shape).astype(np.uint16)
    given = {
        "image": image,
        "spacing": (2.0, 1.0, 1.0),
        "layers": {
            "NSN (nucleus probability)": (labels > 0).astype(np.float32),
            "Distance (µm)": labels * 3.5,
        },
        "labels": labels,
        "truth": labels,
        "scores": {"IoU": 0.8125},
        "nuclei": [{"label": 1, "volume (µm³)": 512.345, "mean intensity": float("nan")}],
    }
    return Case(name=name, **(given | changes))


def write(folder, cases, **changes):
    given = {
        "title": "A run",
        "settings": {"seed": "0"},
        "tables": {"By stage": (["stage", "IoU"], [["4-15", 0.5]])},
    }
    path = write_report(folder / "report.html", cases=cases, **(given | changes))
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


def test_page_is_whole_and_fetches_nothing(tmp_path):
    text = write(tmp_path, [make_case("one"), make_case("two")])
    reader = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not {tag for tag, _ in reader.tags} & {"link", "iframe", "object", "base", "form"}
    packed = r'(src="data:|data-image="data:|data-voxels=")[^"]*"'
    assert not re.search(r"(?i)https?:|url\(|@import|//\w", re.sub(packed, "", text))
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    links = reader.attributes("a", "href")
    assert len(links) == 2
    assert {link.removeprefix("#") for link in links} <= ids
    policy = " ".join(reader.attributes("meta", "content"))
    assert "default-src 'none'" in policy
    # the one script that a browser will run is the one that is there
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "DecompressionStream" in script
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_page_shows_every_step_and_says_so_in_words(tmp_path):
    reader = Reader(write(tmp_path, [make_case("one")]))
    pictures = reader.pictures()
    steps = ["Input", "NSN (nucleus probability)", "Distance (µm)", "Labels", "Truth"]
    steps += ["Outlines of the labels on the input", "Truth and labels"]
    assert list(pictures) == [
        f"{step} of one: {view}, xy, zy and xz" for step in steps for view in ("projections", "slices")
    ]
    # y 12 and x 10 pixels, z 4 slices of two pixels, a gap of 3, the corner between zy and xz transparent
    for picture in pictures.values():
        assert picture.shape == (12 + 3 + 8, 10 + 3 + 8, 4)
        assert (picture[:12, :10, 3] == 255).all()
        assert (picture[12:, 10:, 3] == 0).all()
    for words in (
        "A run",
        "seed",
        "4 × 12 × 10 voxels (z, y, x) of 2 × 1 × 1 µm. Found 2 nuclei; the truth has 2.",
        "IoU 0.812",
        "By stage",
        "purple: missed (truth only) green: extra (labels only) grey: both",
        "Measurements of 1 nucleus",
        "512.3 –",
        "4-15 0.500",
    ):
        assert words in reader.text


def test_panels_follow_the_steps_as_they_are(tmp_path):
    rng = np.random.default_rng(7)
    panels = {name: rng.integers(0, 256, (5, 8, 3), dtype=np.uint8) for name in ("Member 1", "Fused & done")}
    reader = Reader(write(tmp_path, [make_case(panels=panels)]))
    shown = list(reader.pictures())
    assert shown[-6:-4] == ["Member 1 of one", "Fused & done of one"]
    assert shown[-7].startswith("Truth of one")
    for name, panel in panels.items():
        np.testing.assert_array_equal(reader.pictures()[f"{name} of one"][..., :3], panel)
    assert "Truth Member 1 Fused & done Outlines of the labels" in reader.text


@pytest.mark.parametrize(
    "panel",
    [
        np.zeros((5, 8), np.uint8),
        np.zeros((5, 8, 4), np.uint8),
        np.zeros((5, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_panels_must_be_pictures(panel):
    with pytest.raises(InputError, match=r"panel Fused of one \(shape .*\) must be a picture"):
        make_case(panels={"Fused": panel})


def test_scales_are_written_beside_the_maps(tmp_path):
    image = np.zeros((4, 12, 10))
    image[:, :, 5:] = 1500
    text = Reader(write(tmp_path, [make_case(image=image)])).text
    assert "Input 0 1,500 NSN (nucleus probability) 0 1 Distance (µm) 0 7 Labels Truth" in text


def test_overlay_in_the_page_is_purple_and_green(tmp_path):
    case = make_case()
    truth, predicted = case.labels * (case.labels == 1), case.labels * (case.labels == 2)
    dark = np.zeros(case.image.shape)
    dark[0, 0, 0] = 1
    reader = Reader(
        write(tmp_path, [make_case(truth=truth, labels=predicted, image=dark, spacing=(1, 1, 1))])
    )
    for view in ("projections", "slices"):
        picture = reader.pictures()[f"Truth and labels of one: {view}, xy, zy and xz"][..., :3]
        np.testing.assert_allclose(picture[2, 2], 0.55 * np.array(MISSED), atol=0.5)
        np.testing.assert_allclose(picture[7, 7], 0.55 * np.array(EXTRA), atol=0.5)


def test_names_cannot_become_markup(tmp_path):
    case = make_case(
        NASTY,
        layers={NASTY: np.zeros((4, 12, 10))},
        panels={NASTY: np.zeros((2, 3, 3), np.uint8)},
        scores={NASTY: 1.0},
        nuclei=[{NASTY: NASTY}],
    )
    text = write(
        tmp_path,
        [case] * (MAX_PICTURED + 1),
        title=NASTY,
        settings={NASTY: NASTY},
        tables={NASTY: ([NASTY], [[NASTY]])},
    )
    assert text.count("<script") == text.count("</script") == 1  # ours
    reader = Reader(text)
    # title twice, setting, table, overview, and name, layer, score, table in each case
    assert reader.text.count(NASTY) > 20
    assert all(NASTY in alt for alt in reader.attributes("img", "alt") if alt.startswith("Input"))


def test_many_cases_get_a_line_each(tmp_path):
    held = []

    def cases():
        for number in range(MAX_PICTURED + 3):
            held.append(number)
            yield make_case(f"volume {number}", scores={"IoU": number / 100})

    reader = Reader(write(tmp_path, cases()))
    assert len(held) == MAX_PICTURED + 3
    assert len([alt for alt in reader.pictures() if alt.startswith("Input")]) == 2 * MAX_PICTURED
    assert f"Pictures are made of the first {MAX_PICTURED} volumes. 3 more were run: volume" in reader.text
    assert "volume 12 2 0.120 volume 13 2 0.130 volume 14 2 0.140" in reader.text


@pytest.mark.parametrize("truth", [None, np.zeros((4, 12, 10), dtype=np.uint8)])
def test_nothing_found(tmp_path, truth):
    empty = np.zeros((4, 12, 10), dtype=np.uint8)
    reader = Reader(write(tmp_path, [make_case(labels=empty, truth=truth, layers={}, scores={}, nuclei=())]))
    assert "Found 0 nuclei" in reader.text
    assert ("missed" in reader.text) == (truth is not None)
    assert "Measurements" not in reader.text
    assert ("Truth of one: slices, xy, zy and xz" in reader.pictures()) == (truth is not None)


def test_one_slice_and_constant_image(tmp_path):
    shape = (1, 12, 10)
    case = make_case(shape=shape, image=np.full(shape, 5.0))
    pictures = Reader(write(tmp_path, [case])).pictures()
    assert pictures["Input of one: slices, xy, zy and xz"].shape == (12 + 3 + 2, 10 + 3 + 2, 4)


def test_large_volume_gives_small_pictures(tmp_path):
    shape = (3, 900, 1200)
    labels = np.zeros(shape, dtype=np.uint8)
    labels[1, 300:500, 300:500] = 1
    case = make_case(
        shape=shape, image=labels * 100, labels=labels, truth=None, layers={}, spacing=(2, 0.2, 0.2)
    )
    for picture in Reader(write(tmp_path, [case])).pictures().values():
        assert max(picture.shape[:2]) <= 600


def test_page_without_cases(tmp_path):
    reader = Reader(write(tmp_path, [], settings={}, tables=None))
    assert "A run" in reader.text
    assert "Scores" not in reader.text
    assert "What was run" not in reader.text
    assert not reader.pictures()


@pytest.mark.parametrize("name", ["labels", "truth", "NSN"])
def test_shapes_must_agree(name):
    wrong = np.zeros((4, 12, 11), dtype=np.uint8)
    changes = {name: wrong} if name != "NSN" else {"layers": {"NSN": wrong}}
    with pytest.raises(InputError, match=rf"{name} of one \(shape \(4, 12, 11\)\).*\(4, 12, 10\)"):
        make_case(**changes)


def test_image_must_be_a_stack():
    flat = np.zeros((12, 10), dtype=np.uint8)
    with pytest.raises(InputError, match=r"\(z, y, x\).*\(12, 10\)"):
        make_case(image=flat, labels=flat, truth=None, layers={})


def test_failure_leaves_the_older_report(tmp_path):
    def cases():
        yield make_case()
        raise RuntimeError("the second volume")

    write(tmp_path, [make_case()], title="first")
    with pytest.raises(RuntimeError, match="second volume"):
        write(tmp_path, cases(), title="second")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "first" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "value, words",
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (False, "no"),
        (12345, "12345"),
        (np.int64(7), "7"),
        (0.74449, "0.744"),
        (np.float32(0.5), "0.500"),
        (-3.14159, "-3.142"),
        (512.345, "512.3"),
        (12345.6, "12,346"),
        ("0.81 ± 0.02", "0.81 ± 0.02"),
        ("a<b", "a&lt;b"),
    ],
)
def test_cells(value, words):
    assert page.cell(value) == words


def test_maps_and_panels_are_made_when_they_are_painted_and_not_for_cases_without_pictures(tmp_path):
    made = []

    def late(name, array):
        return lambda: made.append(name) or array

    shape = (4, 12, 10)
    given = {"layers": {"Map": np.ones(shape)}, "panels": {"Sheet": np.zeros((5, 5, 3), np.uint8)}}
    now = write(tmp_path, [make_case("one", **given)])
    lazy = {kind: {name: late(name, array) for name, array in some.items()} for kind, some in given.items()}
    cases = [make_case("one", **lazy)]
    assert made == []
    assert write(tmp_path, cases) == now
    assert made == ["Map", "Sheet"]
    write(tmp_path, [make_case(str(number), **lazy) for number in range(MAX_PICTURED + 3)])
    assert len(made) == 2 + 2 * MAX_PICTURED


@pytest.mark.parametrize("kind", ["layers", "panels"])
def test_what_is_made_late_and_does_not_fit_is_refused(tmp_path, kind):
    case = make_case(**{kind: {"X": lambda: np.zeros((4, 4, 4))}})
    with pytest.raises(InputError, match="X of one"):
        write(tmp_path, [case])


def test_a_case_is_let_go_before_the_next_is_made(tmp_path):
    alive = []

    def cases():
        for number in range(3):
            assert all(reference() is None for reference in alive)
            case = make_case(str(number), labels=np.ones((4, 12, 10), np.uint8))
            alive.append(weakref.ref(case.labels))
            yield case
            del case

    write(tmp_path, cases())
    assert len(alive) == 3


def test_histograms_stand_beside_the_table_where_there_are_enough_values(tmp_path):
    many, few = [1.0, 2.0, 3.0, 4.0, 5.0, float("nan")], [1.0, float("nan")]
    text = write(tmp_path, [make_case(histograms={"volume": many, "brightness": few})])
    reader = Reader(text)
    assert "<b>volume</b>" in text
    assert reader.attributes("svg", "aria-label") == [
        "volume: 5 from 1 to 5, median 3, at most 1 in a bar of 0.5"
    ]
    assert "<b>brightness</b>" not in text


def test_rows_of_labels_carry_their_colour_and_number_others_do_not(tmp_path):
    rows = [{"nucleus": 2, "reasons": "touches border"}, {"nucleus": 1, "reasons": ""}]
    reader = Reader(write(tmp_path, [make_case(nuclei=rows)]))
    assert reader.attributes("tr", "data-label") == ["2", "1"]
    red, green, blue = label_colours(np.array([2]))[0]
    assert reader.attributes("i", "style")[-2] == f"background: #{red:02x}{green:02x}{blue:02x}"
    assert not Reader(write(tmp_path, [make_case()])).attributes("tr", "data-label")


def test_each_pictured_case_has_a_viewer_that_waits_for_a_script(tmp_path):
    reader = Reader(write(tmp_path, [make_case(str(number)) for number in range(MAX_PICTURED + 1)]))
    viewers = [attrs for _, attrs in reader.tags if attrs.get("class") == "viewer"]
    assert [attrs["data-case"] for attrs in viewers] == [str(number + 1) for number in range(MAX_PICTURED)]
    assert all("hidden" in attrs for attrs in viewers)
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    assert {f"case-{attrs['data-case']}" for attrs in viewers} == ids
