"""Bad input: one line that says what to do, exit code 2, and not a file more or less on the disk."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from refusal import SHAPE, UM, bad, check_refused, make_pairs, state, volume

from zoo import registry
from zoo.data.write import write_image, write_labels


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder of good files, and of every bad one that the table below names."""
    folder = tmp_path_factory.mktemp("files")
    image, labels = volume()
    write_image(folder / "good.tif", image, UM)
    write_labels(folder / "labels.tif", labels, UM)
    write_labels(folder / "smaller.tif", labels[:, 2:], UM)
    write_image(folder / "series.tif", np.stack([image] * 3), UM)
    write_labels(folder / "label_series.tif", np.stack([labels] * 3), UM)
    (folder / "text.tif").write_text("this is a letter, not an image\n")
    whole = (folder / "good.tif").read_bytes()
    (folder / "truncated.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "nothing.tif").write_bytes(b"")
    tifffile.imwrite(folder / "flat.tif", image[0])
    tifffile.imwrite(folder / "rgb.tif", np.zeros((*SHAPE, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(
        folder / "channels.tif", np.stack([image, image], axis=1), imagej=True, metadata={"axes": "ZCYX"}
    )
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        broken = image.astype(np.float32)
        broken[3, 4, 5] = value
        tifffile.imwrite(folder / f"{name}.tif", broken)
    tifffile.imwrite(folder / "constant.tif", np.full(SHAPE, 7, np.uint16))
    np.save(folder / "negative.npy", labels.astype(np.int16) - 1)
    np.save(folder / "float.npy", labels.astype(np.float32))
    (folder / "empty").mkdir()
    (folder / "link.tif").symlink_to("good.tif")
    (folder / "twins").mkdir()
    write_image(folder / "twins" / "good.tif", image, UM)
    (folder / "bad.toml").write_text("epochs = = 3\n")
    (folder / "key.toml").write_text("epoch = 3\n")

    for results, names in (("results", ("good",)), ("partners", ("good", "extra")), ("truth", ("good",))):
        for name in names:
            write_labels(folder / results / f"{name}.tif", labels, UM)
    make_pairs(folder / "pairs")
    make_pairs(folder / "pairs_bad", a=labels[:, 2:], b=np.zeros_like(labels))
    make_pairs(folder / "pairs_unequal", a=labels[:, 2:])
    make_pairs(folder / "pairs_lonely")
    (folder / "pairs_lonely" / "labels" / "b.tif").unlink()
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter1.txt").write_text("years of work")
    recipe = registry.get("qcanet_nsn").recipes["default"].to_dict()
    runs = {
        "run": {"entry": "qcanet_nsn", "recipe": recipe},
        "run_damaged": {"entry": "qcanet_nsn"},
        "run_future": {"entry": "qcanet_nsm", "recipe": recipe},
    }
    for name, settings in runs.items():
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(json.dumps(settings))
    return folder


INPUTS = [  # are never written to, whatever may be replaced
    bad("image", "predict classical @/good.tif --out @ --overwrite", "would change the input", "good.tif"),
    bad("image, resumed", "predict classical @/good.tif --out @ --resume", "would change the input"),
    bad("image by a link", "predict classical @/link.tif --out @ --overwrite", "would change the input"),
    bad("truth", "eval classical --data @/pairs --out @/pairs --overwrite", "would change the input"),
    bad("labels", "measure @/labels.tif --out @/labels.tif --overwrite", "would change the input"),
    bad(
        "measured image",
        "measure @/labels.tif --image @/good.tif --out @/good.tif --overwrite",
        "would change the input",
    ),
    bad(
        "scored labels",
        "eval --pred @/labels.tif --truth @/labels.tif --json @/labels.tif --overwrite",
        "would change the input",
    ),
]

PREDICT = [
    bad(
        "no mask to cut",
        "predict classical @/good.tif --out out --threshold 0.6",
        "--threshold means nothing to",
    ),
    bad("no least", "predict classical @/good.tif --out out --min-volume 9", "--min-volume means nothing to"),
    bad("no markers", "predict unet3d @/good.tif --out out --unmarked keep", "--unmarked means nothing to"),
    bad("markers", "predict qcanet_ndn @/good.tif --out out --threshold 0.6", "--threshold means nothing to"),
    bad("scored", "eval classical --min-volume 9", "--min-volume means nothing to classical"),
    bad("not an image", "predict classical @/text.tif --out out", "@/text.tif", "not a TIFF"),
    bad("truncated", "predict classical @/truncated.tif --out out", "@/truncated.tif", "truncated"),
    bad("no bytes", "predict classical @/nothing.tif --out out", "@/nothing.tif", "empty"),
    bad("2-D", "predict classical @/flat.tif --out out", "@/flat.tif", "3-D"),
    bad("RGB", "predict classical @/rgb.tif --out out", "@/rgb.tif", "RGB"),
    bad("NaN", "predict classical @/nan.tif --out out", "@/nan.tif", "1 voxels that are NaN or infinite"),
    bad("infinity", "predict classical @/inf.tif --out out", "@/inf.tif", "NaN or infinite"),
    bad("constant", "predict classical @/constant.tif --out out", "@/constant.tif", "constant"),
    bad("empty folder", "predict classical @/empty --out out", "@/empty", "empty folder"),
    bad("no such file", "predict classical @/gone.tif --out out", "@/gone.tif", "does not exist"),
    bad("no image named", "predict classical --out out", "no image", "IMAGE..."),
    bad("no model named", "predict @/good.tif --out out", "@/good.tif is a file", "name a model", "qcanet"),
    bad("unknown type", "predict classical @/bad.toml --out out", "'.toml'", ".npy"),
    bad("two images", "predict classical @/nan.tif @/flat.tif --out out", "@/nan.tif", "@/flat.tif"),
    bad("one name twice", "predict classical @/good.tif @/twins/good.tif --out out", "called good"),
    bad("no channel 2", "predict classical @/channels.tif --channel 2 --out out", "channel 2", "0 to 1"),
    bad("channel below 0", "predict classical @/channels.tif --channel -1 --out out", "channel -1", "0 to 1"),
    bad("which channel", "predict classical @/channels.tif --out out", "2 channels", "--channel"),
    bad("no frame 3", "predict classical @/series.tif --frames 0:4 --out out", "'0:4'", "0 to 2"),
    bad("frames of a volume", "predict classical @/good.tif --frames 1 --out out", "'1'", "only 0"),
    bad("frames as words", "predict classical @/series.tif --frames all --out out", "'all'", "0:10"),
    bad("zero spacing", "predict classical @/good.tif --spacing 0 1 1 --out out", "0.0 1.0 1.0", "positive"),
    bad("negative spacing", "predict classical @/good.tif --spacing 1 -1 1 --out out", "-1.0", "positive"),
    bad("spacing no number", "predict classical @/good.tif --spacing 1 1 nan --out out", "nan", "positive"),
    bad(
        "two of three",
        "predict classical @/good.tif --out out --spacing 1 1",
        "--spacing",
        "3 arguments",
        "zoo predict --help",
    ),
    bad("unknown model", "predict clasical @/good.tif --out out", "'clasical'", "did you mean 'classical'"),
    bad(
        "no weights needed",
        "predict classical @/good.tif --weights r --out out",
        "classical needs no weights",
    ),
    bad("no weights", "predict unet3d @/good.tif --out out", "zoo train unet3d", "--weights unet3d=RUN"),
    bad("weights not there", "predict qcanet_nsn @/good.tif --weights @/gone --out out", "@/gone"),
    bad("weights for whom", "predict qcanet @/good.tif --weights @/run --out out", "--weights nsn=RUN and"),
    bad("unknown part", "predict qcanet @/good.tif --weights nsm=@/run --out out", "'nsm'", "mean 'nsn'"),
    bad("out below a file", "predict classical @/good.tif --out @/good.tif/out", "@/good.tif is a file"),
    bad("out is a file", "predict classical @/good.tif --out @/labels.tif", "@/labels.tif is a file"),
    bad("out of endless name", f"predict classical @/good.tif --out {'o' * 300}", "File name too long"),
    bad(
        "results are there", "predict classical @/good.tif --out @/results", "good.tif exists", "--overwrite"
    ),
]
EVAL = [
    bad(
        "labels of another shape",
        "eval --pred @/smaller.tif --truth @/labels.tif",
        "(1, 8, 22, 28)",
        "24, 28",
    ),
    bad("volume and series", "eval --pred @/label_series.tif --truth @/labels.tif", "(3, 8, 24, 28)"),
    bad("negative labels", "eval --pred @/negative.npy --truth @/labels.tif", "@/negative.npy", "label -1"),
    bad("float labels", "eval --pred @/labels.tif --truth @/float.npy", "@/float.npy", "float32", "integers"),
    bad("truth missing", "eval --pred @/partners --truth @/truth", "no true labels", "for extra"),
    bad("prediction missing", "eval --pred @/truth --truth @/partners", "no predicted labels", "for extra"),
    bad("file and folder", "eval --pred @/labels.tif --truth @/truth", "one is a file, the other a folder"),
    bad("folder without labels", "eval --pred @/empty --truth @/truth", "@/empty holds no label files"),
    bad("no truth at all", "eval --pred @/labels.tif", "both --pred and --truth"),
    bad("labels and data", "eval --pred @/truth --truth @/truth --data @/pairs", "without --data"),
    bad("labels and a report", "eval --pred @/truth --truth @/truth --out out", "--out"),
    bad("unknown metric", "eval --pred @/truth --truth @/truth --metric iou,segg", "'segg'", "mean 'seg'"),
    bad("overlap above 1", "eval --pred @/truth --truth @/truth --metric f1@1.5", "f1@1.5"),
    bad("no metric", "eval --pred @/truth --truth @/truth --metric ,", "no metric"),
    bad("unknown definition", "eval --definition orginal", "'orginal'", "'original'"),
    bad("unknown model", "eval qcanett --data @/pairs", "'qcanett'", "did you mean 'qcanet'"),
    bad("no weights", "eval unet3d --metric seg,mucov", "zoo train unet3d"),
    bad("no such data", "eval classical --data @/gone", "@/gone is not a folder", "images/ and labels/"),
    bad("data of no layout", "eval classical --data @/empty", "@/empty", "GroundTruth_QCANet"),
    bad("unknown embryo", "eval classical --data @/pairs --embryos a,d", "no embryo or group d", "a, b, c"),
    bad("truth unequal", "eval classical --data @/pairs_unequal --out out", "(8, 22, 28)", "(8, 24, 28)"),
    bad("no partner", "eval classical --data @/pairs_lonely --out out", "images/b"),
    bad("json below a file", "eval --pred @/truth --truth @/truth --json @/good.tif/s.json", "is a file"),
    bad("csv is there", "eval --pred @/truth --truth @/truth --csv @/labels.tif", "--overwrite"),
    bad("csv is a folder", "eval --pred @/truth --truth @/truth --csv @/empty --overwrite", "is a folder"),
]
MEASURE = [
    bad("negative labels", "measure @/negative.npy --out m.csv", "label -1", "renumber"),
    bad("float labels", "measure @/float.npy --out m.csv", "float32", "integers"),
    bad("2-D", "measure @/flat.tif --out m.csv", "@/flat.tif", "3-D"),
    bad("image of another shape", "measure @/smaller.tif --image @/good.tif --out m.csv", "(1, 8, 24, 28)"),
    bad("image with NaN", "measure @/labels.tif --image @/nan.tif --out m.csv", "@/nan.tif"),
    bad("channel", "measure @/labels.tif --image @/good.tif --channel 1 --out m.csv", "channel 1"),
    bad("zero spacing", "measure @/labels.tif --spacing 1 1 0 --out m.csv", "positive"),
    bad("out below a file", "measure @/labels.tif --out @/good.tif/m.csv", "@/good.tif is a file"),
    bad("out is there", "measure @/labels.tif --out @/smaller.tif", "@/smaller.tif exists", "--overwrite"),
    bad("out is a folder", "measure @/labels.tif --out @/empty --overwrite", "@/empty is a folder"),
    bad("no out", "measure @/labels.tif", "--out"),
]
TRAIN = [
    bad("unknown model", "train qcanet_ndnn", "'qcanet_ndnn'", "did you mean 'qcanet_ndn'"),
    bad("pipeline", "train qcanet", "zoo train qcanet_nsn", "zoo train qcanet_ndn"),
    bad("no network", "train classical", "no network"),
    bad("unknown recipe", "train qcanet_ndn --recipe papr", "'papr'", "mean 'paper'", "FILE.toml"),
    bad("no recipe file", "train qcanet_ndn --recipe @/gone.toml", "@/gone.toml", "No such file"),
    bad("no TOML", "train qcanet_ndn --recipe @/bad.toml", "@/bad.toml is not TOML"),
    bad("unknown key in a file", "train qcanet_ndn --recipe @/key.toml", "'epoch'", "mean 'epochs'"),
    bad("unknown key", "train qcanet_ndn --set epoch=3", "recipe key 'epoch'", "did you mean 'epochs'"),
    bad("no equals sign", "train qcanet_ndn --set epochs", "'epochs'", "key=value"),
    bad("a word for a number", "train qcanet_ndn --set epochs=ten", "epochs='ten'", "int"),
    bad("half an epoch", "train qcanet_ndn --set epochs=1.5", "epochs=1.5", "int"),
    bad("no epoch", "train qcanet_ndn --set epochs=0", "epochs=0", "above 0"),
    bad("a truth for a number", "train qcanet_ndn --set lr=yes", "lr='yes'", "float"),
    bad("a number for a truth", "train qcanet_ndn --set attenuation=1", "attenuation=1", "bool"),
    bad("unknown optimiser", "train qcanet_ndn --set optimiser=adan", "'adan'", "did you mean 'adam'"),
    bad("patch of one number", "train qcanet_ndn --set patch=64", "patch=64", "three whole numbers"),
    bad("patch not divisible", "train qcanet_ndn --set patch=60,60,60", "patch=60,60,60", "multiples of 16"),
    bad("even kernel", "train qcanet_ndn --set kernel=4", "kernel=4", "odd"),
    bad("no such data", "train qcanet_ndn --data @/gone", "@/gone is not a folder"),
    bad("data of no layout", "train qcanet_ndn --data @/empty", "@/empty has no layout"),
    bad("no partner", "train qcanet_ndn --data @/pairs_lonely", "images/b"),
    bad("unknown precision", "train qcanet_ndn --precision float33", "'float33'", "'float32'"),
    bad(
        "float16 on a CPU",
        "train qcanet_ndn --precision mixed_float16 --data @/gone",
        "needs a GPU",
        "float32",
    ),
    bad("more GPUs than there are", "train qcanet_ndn --devices 4 --data @/gone", "--devices 4", "0 GPUs"),
    bad("no device", "train qcanet_ndn --devices 0 --data @/gone", "--devices 0", "from 1 to 1"),
    bad("seed below 0", "train qcanet_ndn --seed -1", "--seed", "-1"),
    bad("zero spacing", "train qcanet_ndn --data @/pairs --spacing 0 0 0", "positive"),
    bad("run is there", "train qcanet_nsn --out @/run", "@/run exists", "--resume", "--overwrite"),
    bad("folder is there", "train qcanet_nsn --out @/empty", "@/empty exists", "--resume", "--overwrite"),
    bad("resume of no run", "train qcanet_nsn --out @/empty --resume", "@/empty is not a run folder"),
    bad("resume of nothing", "train qcanet_nsn --resume", "runs/qcanet_nsn is not a run folder"),
    bad(
        "resume of another",
        "train qcanet_ndn --out @/run --resume",
        "a run of qcanet_nsn",
        "not of qcanet_ndn",
    ),
    bad(
        "resume otherwise",
        "train qcanet_nsn --out @/run --resume --seed 1 --set lr=1",
        "leave out --set, --seed",
    ),
    bad("resume of damaged", "train qcanet_nsn --out @/run_damaged --resume", "run.json", "recipe"),
    bad(
        "resume of unknown",
        "train qcanet_nsn --out @/run_future --resume",
        "'qcanet_nsm'",
        "mean 'qcanet_nsn'",
    ),
    bad("out below a file", "train qcanet_nsn --out @/good.tif/run", "@/good.tif is a file"),
]
TRAIN_ON_DATA = [
    bad("unknown embryo", "--exclude a,d", "no embryo or group d", "a, b, c"),
    bad("unknown validation", "--validate e", "no embryo or group e", "a, b, c"),
    bad("nothing left", "--exclude a,b,c", "no volume is left"),
    bad("all validate", "--validate a,b,c", "no volume is left"),
    bad("overwrites a run only", "--overwrite --out @/thesis", "@/thesis is not a run folder", "not removed"),
    bad(
        "all faults at once", "--data @/pairs_bad", "2 of 3", "@/pairs_bad/labels/a.tif", "b: its truth holds"
    ),
]
OTHER = [
    bad("unknown command", "trian qcanet_ndn", "'trian'", "'train'"),
    bad("unknown option", "train qcanet_ndn --epochs 3", "--epochs", "zoo train --help"),
    bad("unknown model", "info qcanet_nnd", "'qcanet_nnd'", "did you mean 'qcanet_ndn'"),
    bad("unknown specimen", "sample embrio --out s", "'embrio'", "'embryo'"),
    bad("no nucleus", "sample embryo --nuclei 0 --out s", "--nuclei", "1<=x<=400"),
    bad("seed below 0", "sample embryo --seed -1 --out s", "--seed"),
    bad("no movie", "sample yeast --count 0 --out s", "--count", "1<=x<=10000"),
    bad("one frame", "sample yeast --frames 1 --out s", "--frames", "2<=x<=100"),
    bad("embryos of yeast", "sample yeast --nuclei 16 --out s", "--nuclei means nothing to yeast"),
    bad("frames of an embryo", "sample embryo --frames 6 --out s", "--frames means nothing to embryo"),
    bad("many series", "sample series --count 10 --out s", "--count means nothing to series"),
    bad("yeast below a file", "sample yeast --out @/good.tif/s", "@/good.tif is a file"),
    bad("sample below a file", "sample embryo --out @/good.tif/s", "@/good.tif is a file"),
]


@pytest.mark.parametrize("case", INPUTS + PREDICT)
def test_predict(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


@pytest.mark.parametrize("case", EVAL)
def test_eval(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


@pytest.mark.parametrize("case", MEASURE)
def test_measure(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


@pytest.fixture
def no_gpu(monkeypatch):
    """Hide GPUs, so that these tests say the same everywhere, and do not wait for TensorFlow."""
    monkeypatch.setattr("zoo.train.device.gpus", list)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("case", TRAIN)
def test_train(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("case", TRAIN_ON_DATA)
def test_train_says_what_it_found_then_refuses(case, files, tmp_path):
    data = "" if "--data" in case.command else "--data @/pairs"
    check_refused(f"train qcanet_nsn {data} {case.command}", case.says, files, tmp_path, news=True)


@pytest.mark.parametrize("case", OTHER)
def test_other_commands(case, files, tmp_path):
    check_refused(case.command, case.says, files, tmp_path)


# the installed command, as a shell sees it


@pytest.mark.parametrize(
    "command",
    [
        "predict classical @/truncated.tif --out out",
        "predict clasical @/good.tif --out out",
        "measure @/negative.npy --out m.csv",
        "train qcanet_nsn --out @/run",
    ],
)
def test_exit_code_of_the_process(command, files, tmp_path):
    before = state(files, tmp_path)
    zoo = Path(sys.executable).with_name("zoo")
    arguments = shlex.split(command.replace("@", str(files)))
    done = subprocess.run([zoo, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert state(files, tmp_path) == before
