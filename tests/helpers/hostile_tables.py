"""Hostile text: recipes, COCO annotations, prepared data sets, tables, and the trees of data sets."""

# ruff: noqa: E501 (a case a line)

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hostile import Hostile
from hostile_arrays import png
from refusal import make_pairs

DEEP = "[" * 100_000


# recipes


def _recipes() -> dict[str, bytes]:
    texts = {
        "no TOML": "epochs = = 3",
        "cut short": 'epochs = 3\nloss = "di',
        "table that is not closed": "[recipe\nepochs = 3",
        "key twice": "epochs = 3\nepochs = 4",
        "unknown key": "epoch = 3",
        "unknown base": 'recipe = "papr"',
        "base that is a list": 'recipe = ["paper"]',
        "word for a number": 'epochs = "ten"',
        "number for a word": "loss = 7",
        "list for a word": 'loss = ["dice"]',
        "table for a word": "loss = {a = 1}",
        "table for a number": "[epochs]\nn = 3",
        "date for a number": "epochs = 2020-01-01",
        "nan for a number": "lr = nan",
        "inf for a number": "lr = inf",
        "negative epochs": "epochs = -3",
        "epochs of 5000 digits": f"epochs = {'9' * 5000}",
        "negative patch": "patch = [-64, 64, 64]",
        "patch of 2^40": f"patch = [{1 << 40}, {1 << 40}, 5]",
        "poolings of 10^12": "poolings = 1000000000000",
        "poolings of 100": "poolings = 100",
        "nested deeply": f"epochs = {DEEP}",
        "tables nested deeply": "a" + ".a" * 20_000 + " = 1",
        "code for a value": "augment = \"__import__('os').system('touch ran')\"",
    }
    return {
        **{name: text.encode() for name, text in texts.items()},
        "no UTF-8": b"epochs = \xff\xfe",
        "zero bytes": b"\0" * 100,
        "UTF-16": "epochs = 3".encode("utf-16"),
    }


def _put_recipe(folder: Path, data: bytes) -> None:
    (folder / "bad.toml").write_bytes(data)


# COCO annotations


def _coco(**changed: Any) -> dict[str, Any]:
    image = {"id": 1, "file_name": "a_z1.png", "height": 24, "width": 28}
    ring = [4.0, 4.0, 12.0, 4.0, 12.0, 12.0, 4.0, 12.0]
    one = {"id": 1, "image_id": 1, "segmentation": [ring], **changed.pop("annotation", {})}
    return {"images": [image | changed.pop("image", {})], "annotations": [one], **changed}


def _runs(counts: Any, size: Any = (24, 28)) -> dict[str, Any]:
    return {"segmentation": {"counts": counts, "size": list(size) if isinstance(size, tuple) else size}}


def _annotations() -> dict[str, bytes]:
    outline = {
        "none": None,
        "a number": 7,
        "text": "all",
        "an empty list": [],
        "a polygon of two corners": [[1, 1, 2, 2]],
        "a polygon of an odd number": [[1, 1, 2, 2, 3, 3, 4]],
        "a polygon of words": [["a", "b", "c", "d", "e", "f"]],
        "a polygon far outside": [[1e12, 1, 2, 2, 3, 3]],
        "a polygon of lists": [[[1], [2, 3], 4, 5, 6, 7]],
    }
    runs = {
        "of another size": _runs([600, 72], (24, 29)),
        "of no size": _runs([600, 72], None),
        "below 0": _runs([-5, 677]),
        "of too many pixels": _runs([600, 73]),
        "of 2^62": _runs([1 << 62, 1 << 62, 1 << 62, 1 << 62]),
        "of 10^30": _runs([10**30, 1]),
        "of words": _runs(["a", "b"]),
        "of fractions": _runs([600.5, 71.5]),
        "that are none": _runs([]),
        "packed, of noise": _runs("\x01\x02~~~"),
        "packed, without an end": _runs("o" * 5000),
        "packed, cut short": _runs("PPP"),
        "packed, in another script": _runs("\u4e2d\u6587"),
    }
    image = {
        "file outside, ../../": {"file_name": "../../../../etc/passwd"},
        "file outside, by its whole path": {"file_name": "/etc/passwd"},
        "file that is not there": {"file_name": "b.png"},
        "file of an endless name": {"file_name": "a" * 5000},
        "file with a zero byte": {"file_name": "a\0.png"},
        "file that is a number": {"file_name": 5},
        "file that is the folder": {"file_name": "."},
        "height of 10^12": {"height": 10**12},
        "height below 0": {"height": -24},
        "height of words": {"height": "24"},
        "another height than the file": {"height": 25},
        "no id": {"id": None},
        "id that is a list": {"id": [1]},
    }
    whole = json.dumps(_coco())
    return {
        "no JSON": b"{images: }",
        "cut short": whole[: len(whole) // 2].encode(),
        "no bytes": b"",
        "no UTF-8": b"\xff\xfe{}",
        "nested deeply": DEEP.encode(),
        "a number of 5000 digits": b'{"images": ' + b"1" * 5000 + b"}",
        "a list": b"[]",
        "no image": json.dumps(_coco(images=[])).encode(),
        "images that are a word": json.dumps(_coco(images="all")).encode(),
        "annotations that are numbers": json.dumps(_coco(annotations=[1, 2])).encode(),
        "annotation of an image that is not there": json.dumps(_coco(annotation={"image_id": 9})).encode(),
        "image twice": json.dumps(_coco(images=_coco()["images"] * 2)).encode(),
        **{f"outline that is {n}": json.dumps(_coco(annotation={"segmentation": o})).encode() for n, o in outline.items()},
        **{f"run lengths {name}": json.dumps(_coco(annotation=one)).encode() for name, one in runs.items()},
        **{f"image's {name}": json.dumps(_coco(image=one)).encode() for name, one in image.items()},
    }  # fmt: skip


def _put_coco(folder: Path, data: bytes) -> None:
    rng = np.random.default_rng(0)
    import imagecodecs

    (folder / "annotations.json").write_bytes(data)
    (folder / "a_z1.png").write_bytes(imagecodecs.png_encode(rng.integers(0, 99, (24, 28)).astype(np.uint8)))


# prepared data sets


def _prepared(name: str, text: str | bytes) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        make_pairs(folder)
        told = {"size": [8, 24, 28], "fit": "cell", "scaling": "max"}
        (folder / "prepared.json").write_text(json.dumps(told))
        (folder / "split.csv").write_text("volume,part\na,train\nb,train\nc,test\n")
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return put


def _sets() -> dict[str, Callable[[Path], None]]:
    head = "volume,part\n"
    settings = {
        "no JSON": "{",
        "no UTF-8": b"\xff\xff",
        "nested deeply": DEEP,
        "a list": "[]",
        "no size": '{"fit": "cell", "scaling": "max"}',
        "size of words": '{"size": ["a", "b", "c"], "fit": "cell", "scaling": "max"}',
        "size below 0": '{"size": [-8, 8, 8], "fit": "cell", "scaling": "max"}',
        "size that is a number": '{"size": 8, "fit": "cell", "scaling": "max"}',
        "fit that is a list": '{"size": [8, 8, 8], "fit": ["cell"], "scaling": "max"}',
        "fit that is unknown": '{"size": [8, 8, 8], "fit": "shrink", "scaling": "max"}',
    }
    split = {
        "no line": "",
        "other columns": "a,b\n",
        "a column too many": f"{head}a,train,1\n",
        "unknown part": f"{head}a,practice\n",
        "a volume twice": f"{head}a,train\na,test\n",
        "a volume that is not there": f"{head}a,train\nb,train\nc,train\n../../d,test\n",
        "a volume too few": f"{head}a,train\n",
        "no UTF-8": head.encode() + b"\xff\xfe,train\n",
        "a zero byte": f"{head}a\0,train\n",
        "a cell of 10 MB": f"{head}{'a' * (10 << 20)},train\n",
        "a quote that does not end": f'{head}"a,train\nb,train\n',
    }
    return {
        **{f"settings: {name}": _prepared("prepared.json", text) for name, text in settings.items()},
        **{f"split: {name}": _prepared("split.csv", text) for name, text in split.items()},
    }


# trees


def _link(target: str, *name: str) -> Callable[[Path], None]:
    def put(folder: Path) -> None:
        make_pairs(folder)
        path = folder.joinpath(*name)
        if path.exists():
            path.unlink()
        os.symlink(target, path)

    return put


def _pipe(folder: Path) -> None:
    make_pairs(folder)
    (folder / "images" / "a.tif").unlink()
    os.mkfifo(folder / "images" / "a.tif")


def _listed(text: bytes) -> Callable[[Path], None]:
    """Make a data set of QCANet's layout whose list of the validation volumes is damaged."""

    def put(folder: Path) -> None:
        make_pairs(folder)
        (folder / "images").rename(folder / "images_raw")
        (folder / "labels").rename(folder / "images_nsn")
        (folder / "split_list").mkdir()
        (folder / "split_list" / "validation.txt").write_bytes(text)

    return put


def _trees() -> dict[str, Callable[[Path], None]]:
    return {
        "an image that links to itself": _link("a.tif", "images", "a.tif"),
        "two links in a circle": lambda folder: (_link("c.tif", "images", "b.tif")(folder), (folder / "images/c.tif").unlink(), os.symlink("b.tif", folder / "images/c.tif")),
        "an image that links to nothing": _link("gone", "images", "a.tif"),
        "an image that links to a folder": _link("/etc", "images", "a.tif"),
        "an image that is a pipe": _pipe,
        "labels that link to a device": _link("/dev/zero", "labels", "a.tif"),
        "a validation list of no UTF-8": _listed(b"\xff\xfe\0a"),
        "a validation list of volumes outside": _listed(b"../../etc/passwd\n"),
    }  # fmt: skip


PIPED = {
    "predict: an image that is a pipe": ("predict classical @/bad.tif --out out", lambda folder: os.mkfifo(folder / "bad.tif")),
    "predict: an array that is a pipe": ("measure @/bad.npy --out m.csv", lambda folder: os.mkfifo(folder / "bad.npy")),
    "convert: an image that is a pipe": ("convert @/bad.tif out.zarr", lambda folder: os.mkfifo(folder / "bad.tif")),
    "convert: an array that is a pipe": ("convert @/bad.npy out.zarr", lambda folder: os.mkfifo(folder / "bad.npy")),
    "measure: an image that is /dev/zero": ("measure @/bad.tif --out m.csv", lambda folder: os.symlink("/dev/zero", folder / "bad.tif")),
    "measure: an array that is /dev/zero": ("measure @/bad.npy --out m.csv", lambda folder: os.symlink("/dev/zero", folder / "bad.npy")),
    "recipe that is a pipe": ("train qcanet_nsn --recipe @/bad.toml --out run", lambda folder: os.mkfifo(folder / "bad.toml")),
    "recipe that is a folder": ("train qcanet_nsn --recipe @/bad.toml --out run", lambda folder: (folder / "bad.toml").mkdir()),
    "slice that is a pipe": ("measure @/s --out m.csv", lambda folder: ((folder / "s").mkdir(), (folder / "s/z1.png").write_bytes(png()), os.mkfifo(folder / "s/z2.png"))),
}  # fmt: skip


def cases() -> list[Hostile]:
    """Return all cases."""
    score = "eval classical --data @/ --out out"
    return [
        *(
            Hostile(f"recipe: {name}", "train qcanet_nsn --recipe @/bad.toml --out run", partial(_put_recipe, data=data))
            for name, data in _recipes().items()
        ),
        *(Hostile(f"coco: {name}", score, partial(_put_coco, data=data)) for name, data in _annotations().items()),
        *(Hostile(f"prepared: {name}", score, put) for name, put in _sets().items()),
        *(Hostile(f"tree: {name}", score, put) for name, put in _trees().items()),
        *(Hostile(f"special file: {name}", command, put) for name, (command, put) in PIPED.items()),
    ]  # fmt: skip
