"""Weights that are missing, damaged or of another network: refused in one line, and nothing is written."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from refusal import UM, bad, check_refused, make_pairs, volume

from zoo import registry
from zoo.cli import main
from zoo.data.write import write_image
from zoo.recipe import change

TINY_RECIPE = {"base": 2, "poolings": 1, "patch": (8, 8, 8), "voxel_um": 3.2, "epochs": 1}
TINY = " ".join(
    f"--set {key}={str(value).strip('()').replace(' ', '')}" for key, value in TINY_RECIPE.items()
)
CUTS = (0, 7, 2000, -1)  # bytes left of a weights file; -1: all but the last byte


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A run of a second, and copies of it with a fault each."""
    from zoo.train.loop import build
    from zoo.train.runs import open_run

    folder = tmp_path_factory.mktemp("runs")
    make_pairs(folder / "pairs")
    write_image(folder / "good.tif", volume()[0], UM)
    command = f"train qcanet_nsn --data {folder}/pairs --validate c --out {folder}/nsn {TINY}"
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == 0, result.output
    weights = (folder / "nsn" / "best.weights.h5").read_bytes()
    checkpoint = (folder / "nsn" / "last-0001.weights.h5").read_bytes()
    for cut in CUTS:
        shutil.copytree(folder / "nsn", folder / f"cut{cut}")
        (folder / f"cut{cut}" / "best.weights.h5").write_bytes(weights[:cut])
        (folder / f"cut{cut}" / "last-0001.weights.h5").write_bytes(checkpoint[:cut])
        _change(folder / f"cut{cut}", recipe={**TINY_RECIPE, "epochs": 2})
    for name in ("ndn", "mixed", "barren", "moved"):
        shutil.copytree(folder / "nsn", folder / name)
    _change(folder / "ndn", entry="qcanet_ndn")
    wider = change(open_run(folder / "nsn").recipe, {"base": 3})
    build(registry.get("qcanet_nsn"), wider).save_weights(
        folder / "mixed" / "best.weights.h5", overwrite=True
    )
    (folder / "barren" / "best.weights.h5").unlink()
    for name in ("packed", "altered"):
        result = CliRunner().invoke(main, ["pack", str(folder / "nsn"), "--out", str(folder / name)])
        assert result.exit_code == 0, result.output
    shutil.copy(folder / "nsn" / "best.weights.h5", folder / "altered")
    make_pairs(folder / "changed", a=volume()[1][:, ::-1])
    _change(folder / "moved", data=str(folder / "changed"))
    return folder


def _change(run: Path, **settings: object) -> None:
    before = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(before | settings))


WEIGHTS = [
    bad(
        "of another network",
        "predict qcanet_nsn @/good.tif --weights @/ndn --out out",
        "of qcanet_ndn, not of",
    ),
    bad(
        "swapped",
        "predict qcanet @/good.tif --weights nsn=@/ndn --weights ndn=@/nsn --out out",
        "@/ndn holds",
    ),
    bad(
        "of another width",
        "predict qcanet_nsn @/good.tif --weights @/mixed --out out",
        "@/mixed/best.weights.h5",
    ),
    bad("none yet", "predict qcanet_nsn @/good.tif --weights @/barren --out out", "holds no weights yet"),
    bad("for scores", "eval qcanet_nsn --data @/pairs --weights @/ndn --out out", "of qcanet_ndn, not of"),
    *(
        bad(
            f"cut to {cut}",
            f"predict qcanet_nsn @/good.tif --weights @/cut{cut} --out out",
            "cannot be loaded",
        )
        for cut in CUTS
    ),
    *(
        bad(f"checkpoint cut to {cut}", f"train qcanet_nsn --out @/cut{cut} --resume", "last-0001.weights.h5")
        for cut in CUTS
    ),
    bad("altered", "predict qcanet_nsn @/good.tif --weights @/altered --out out", "SHA-256 differs"),
    bad("resumed though packed", "train qcanet_nsn --out @/packed --resume", "@/packed was packed"),
    bad("packed onto a run", "pack @/nsn --out @/ndn", "@/ndn exists"),
    bad("no run to pack", "pack @/pairs --out out", "@/pairs is not a run folder"),
    bad("a card that is not there", "pack @/nsn --out out --card none.md", "there is no file none.md"),
    bad("data changed", "train qcanet_nsn --out @/moved --resume", "@/changed changed since"),
]


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights(case, runs, tmp_path):
    check_refused(case.command, case.says, runs, tmp_path, news=True)
