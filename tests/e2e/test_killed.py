"""Commands killed (signal 9) at any moment: no file looks complete and is not, and a second start succeeds.

A warm process forks the command, and each fork kills itself at one of its renames, just before or after, or
is killed from outside after a while: what a power cut does to a program.
"""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tifffile
from refusal import UM, make_pairs, volume

from zoo.data.hdf5 import check_arrays
from zoo.data.write import write_image

START = """
import json, os, random, signal, sys, time
from importlib import import_module
from zoo.train.device import configure

configure()
modules, kills, command = json.loads(sys.argv[1])
for name in modules:
    import_module(name)
from zoo.cli import main


def kill_at(number):
    # the even ones before a rename, the odd ones after it
    done = 0

    def watched(rename):
        def renamed(*places):
            nonlocal done
            if done == number // 2 and number % 2 == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(*places)
            done += 1
            if done > number // 2:
                os.kill(os.getpid(), signal.SIGKILL)

        return renamed

    os.replace, os.rename = watched(os.replace), watched(os.rename)


def run(command, prepare=lambda: None, seconds=None):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        prepare()
        main.main(command, prog_name="zoo")
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


draw = random.Random(0)
for kill in kills:
    if isinstance(kill, int):
        code = run(command, lambda: kill_at(kill))
    else:
        code = run(command, seconds=draw.uniform(0, kill))
    there = [path for path, _, files in os.walk(".") for path in (os.path.join(path, f) for f in files)]
    print(json.dumps([code, there]))
    sys.stdin.readline()  # until this was looked at
sys.exit(run(command))
"""


def start(here: Path, modules: list[str], kills: list[int | float], command: str, check) -> None:
    """Run a command that is killed again and again, look at its files each time, and let it end."""
    told = json.dumps([modules, kills, command.split()])
    with subprocess.Popen(
        [sys.executable, "-c", START, told],
        cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for kill in kills:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            code, _ = json.loads(line)
            if isinstance(kill, int):
                assert code == -9, (kill, code)
            check()
            process.stdin.write("\n")
            process.stdin.flush()
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, (out, err)


PREDICTED = [
    "zoo.data.io",
    "zoo.fusion.classical",
    "zoo.evaluate.report",
    "skimage.measure",
    "matplotlib.figure",
]
NAMES = ("a", "b")


@pytest.fixture
def images(tmp_path) -> Path:
    for name in NAMES:
        write_image(tmp_path / "images" / f"{name}.tif", volume()[0], UM)
    return tmp_path


def check_predicted(out: Path) -> list[str]:
    """See that what is there of `NAMES` is whole; return the names that have labels."""
    done = []
    for name in NAMES:
        labels, table = out / f"{name}.tif", out / f"{name}_criteria.csv"
        if labels.is_file():
            assert tifffile.imread(labels).max() == 2
            done.append(name)
            assert table.is_file(), "--resume takes it for done, and it was never measured"
        if table.is_file():
            with table.open() as file:
                assert len(list(csv.DictReader(file))) == 2
    report = out / "report.html"
    assert not report.is_file() or report.read_text().rstrip().endswith("</html>")
    return done


def test_predict_of_whole_volumes(images):
    out, seen = images / "out", []

    def check():
        seen.append(check_predicted(out))
        if len(seen) < 13:  # the last one is gone on with
            shutil.rmtree(out, ignore_errors=True)

    kills = [*range(10), 0.5, 0.5, 0.5]
    start(images, PREDICTED, kills, "predict classical images --out out --resume", check)
    assert len(seen) == 13
    assert [] in seen, "killed before the first was done"
    assert list(NAMES) in seen, "killed when both were"
    assert check_predicted(out) == list(NAMES)


def test_predict_killed_between_labels_and_measurements(images):
    start(
        images,
        PREDICTED,
        [1],
        "predict classical images --out out --resume",
        lambda: None,
    )
    check_predicted(images / "out")


TINY = "--set base=2 --set poolings=1 --set patch=8,8,8 --set voxel_um=3.2"
TRAINED = ["tensorflow", "keras", "zoo.train.loop", "zoo.train.runs", "zoo.data.layouts", "skimage.measure"]


def test_train_at_its_renames_and_at_any_moment(tmp_path):
    from zoo.train.runs import open_run

    make_pairs(tmp_path / "pairs")
    begin = f"train qcanet_nsn --data pairs --validate c --out run --set epochs=2 {TINY}"
    run = tmp_path / "run"

    def check():
        if (run / "run.json").is_file():
            rows, done = open_run(run).history(), open_run(run).checkpoint()
            assert len(rows) == (done[0] if done else 0)
            if open_run(run).best.is_file():
                check_arrays(open_run(run).best)
            if done:
                check_arrays(done[1])

    start(tmp_path, TRAINED, [3, 8.0], f"{begin} --overwrite", check)
    settings = json.loads((run / "run.json").read_text())
    settings["recipe"]["epochs"] = 6
    (run / "run.json").write_text(json.dumps(settings))
    start(tmp_path, TRAINED, [4, 8.0], "train qcanet_nsn --out run --resume", check)
    assert len(open_run(run).history()) == 6


EXPORTED = [
    "tensorflow",
    "keras",
    "zoo.serving.export",
    "zoo.serving.config",
    "zoo.train.runs",
    "zoo.models.unet",
]


def test_export(tmp_path):
    from zoo.serving import folder

    models = tmp_path / "models"

    def check():
        for model in models.glob("[!.]*") if models.is_dir() else ():
            for version in folder.versions(model):
                folder.verify(version)

    kills: list[int | float] = [4, 5]  # before and after the version gets its name
    start(tmp_path, EXPORTED, kills, "export qcanet_nsn --out models", check)
    check()
    assert folder.models(models)
