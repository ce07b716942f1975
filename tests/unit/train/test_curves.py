import matplotlib.axes
import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.train.curves import plot_history

FULL = """epoch,loss,iou,val_loss,val_iou,lr,seconds
1,1.0,0.20,1.1,0.10,0.001,4.1
2,0.7,0.50,0.8,0.60,0.001,4.0
3,0.5,0.70,0.9,0.40,0.001,4.0
"""


@pytest.fixture
def lines(monkeypatch):
    """Collect the curves as they are drawn: label, epochs, values."""
    drawn = []
    plot = matplotlib.axes.Axes.plot

    def remember(self, x, y, *args, **kwargs):
        if "linestyle" in kwargs:
            drawn.append((kwargs["label"], np.asarray(x).tolist(), np.asarray(y).tolist()))
        return plot(self, x, y, *args, **kwargs)

    monkeypatch.setattr(matplotlib.axes.Axes, "plot", remember)
    return drawn


def draw(folder, text):
    history, picture = folder / "history.csv", folder / "learning_curve.png"
    history.write_text(text)
    plot_history(history, picture)
    assert {path.name for path in folder.iterdir()} == {"history.csv", "learning_curve.png"}
    with Image.open(picture) as image:
        assert image.format == "PNG"
        return image.convert("RGB")


def test_four_curves_and_the_best_epoch_by_validation(tmp_path, lines):
    assert draw(tmp_path, FULL).size == (1200, 480)
    # epoch 2 has the highest validation IoU, though not the highest training IoU
    assert lines == [
        ("train: 0.700", [1, 2, 3], [1.0, 0.7, 0.5]),
        ("validation: 0.800", [1, 2, 3], [1.1, 0.8, 0.9]),
        ("train: 0.500", [1, 2, 3], [0.2, 0.5, 0.7]),
        ("validation: 0.600", [1, 2, 3], [0.1, 0.6, 0.4]),
    ]


def test_of_equal_epochs_the_last_is_the_best(tmp_path, lines):
    draw(tmp_path, "epoch,loss,iou\n1,3,.1\n2,2,.2\n3,1,.2\n4,9,.1\n")
    assert lines[0][0] == "train: 1.000"


@pytest.mark.parametrize(
    "text",
    [
        "epoch,loss,iou\n0,1.0,0.2\n1,0.5,0.4\n",
        "epoch,loss,iou,val_loss,val_iou,lr,seconds\n0,1.0,0.2,,,0.1,1\n1,0.5,0.4,,,0.1,1\n",
    ],
)
def test_without_validation_the_training_counts(tmp_path, lines, text):
    draw(tmp_path, text)
    assert lines == [("train: 0.500", [0, 1], [1.0, 0.5]), ("train: 0.400", [0, 1], [0.2, 0.4])]


def test_epochs_without_validation_are_bridged(tmp_path, lines):
    draw(tmp_path, "epoch,loss,iou,val_loss,val_iou\n1,3,.1,3,.1\n2,2,.2,,\n3,1,.3,1,.3\n")
    assert lines[1] == ("validation: 1.000", [1, 3], [3, 1])


def test_one_epoch_is_drawn(tmp_path):
    blank = np.asarray(draw(tmp_path, "epoch,loss,iou\n1,nan,nan\n")).astype(int)
    drawn = np.asarray(draw(tmp_path, "epoch,loss,iou\n1,0.5,0.4\n")).astype(int)
    blue = np.array([0x00, 0x72, 0xB2])
    assert not (abs(blank - blue).sum(axis=-1) < 9).any()
    assert (abs(drawn - blue).sum(axis=-1) < 9).any()


def test_repeated_and_unfinished_lines_of_a_resumed_run(tmp_path, lines):
    draw(tmp_path, "epoch,loss,iou,lr\n1,3,.1,1\n2,2,.2,1\n2,1.5,.3,1\n3,0.")
    assert lines == [("train: 1.500", [1, 2], [3, 1.5]), ("train: 0.300", [1, 2], [0.1, 0.3])]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "holds no epochs"),
        ("epoch,loss,iou\n", "holds no epochs"),
        ("epoch,accuracy\n1,0.5\n", "lacks loss"),
        ("epoch,loss,iou\n1,low,0.5\n", "'low'.*must hold numbers"),
        ("epoch,loss,iou\n,1,0.5\n", "must hold numbers"),
    ],
)
def test_bad_histories(tmp_path, text, words):
    with pytest.raises(InputError, match=f"history.csv.*{words}"):
        draw(tmp_path, text)
    assert not (tmp_path / "learning_curve.png").exists()


def test_missing_and_unreadable_histories(tmp_path):
    with pytest.raises(InputError, match=r"cannot read history .*none\.csv"):
        plot_history(tmp_path / "none.csv", tmp_path / "out.png")
    (tmp_path / "binary.csv").write_bytes(b"epoch,loss\n\xff\xfe\x00\n")
    with pytest.raises(InputError, match=r"cannot read history .*binary\.csv"):
        plot_history(tmp_path / "binary.csv", tmp_path / "out.png")


# a detector's history

DETECTOR = """epoch,loss,val_seg,val_f1,lr,seconds
1,3.0,0.20,0.30,0.001,4.1
2,2.0,0.60,0.50,0.001,4.0
3,1.0,0.40,0.70,0.001,4.0
"""


@pytest.fixture
def titles(monkeypatch):
    """Collect the titles of the panels."""
    given = []
    set_title = matplotlib.axes.Axes.set_title

    def remember(self, label, *args, **kwargs):
        given.append(label)
        return set_title(self, label, *args, **kwargs)

    monkeypatch.setattr(matplotlib.axes.Axes, "set_title", remember)
    return given


def test_a_detectors_best_epoch_has_the_highest_seg(tmp_path, lines, titles):
    assert draw(tmp_path, DETECTOR).size == (1200, 480)
    assert titles == ["Loss", "SEG"]
    assert lines == [
        ("train: 2.000", [1, 2, 3], [3, 2, 1]),
        ("validation: 0.600", [1, 2, 3], [0.2, 0.6, 0.4]),
    ]


def test_of_detectors_epochs_of_one_seg_the_last_is_the_best(tmp_path, lines):
    draw(tmp_path, DETECTOR.replace("0.40", "0.60"))
    assert lines == [
        ("train: 1.000", [1, 2, 3], [3, 2, 1]),
        ("validation: 0.600", [1, 2, 3], [0.2, 0.6, 0.6]),
    ]


def test_other_networks_keep_their_iou(tmp_path, titles):
    draw(tmp_path, FULL)
    assert titles == ["Loss", "IoU"]


def test_a_detectors_history_without_validation_shows_the_loss_alone(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text("epoch,loss,lr,seconds\n1,3.0,0.1,1\n2,1.0,0.1,1\n3,2.0,0.1,1\n")
    plot_history(history, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        alone = picture.size
    history.write_text("epoch,loss,val_seg,lr,seconds\n1,3.0,0.5,0.1,1\n2,1.0,0.6,0.1,1\n")
    plot_history(history, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (2 * alone[0], alone[1])
