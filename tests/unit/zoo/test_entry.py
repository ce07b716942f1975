import dataclasses

import pytest

from zoo.entry import Entry, Port, Ref, Source

SOURCE = Source(paper="none", licence="MIT", differs="")
PORT = Port(name="image", axes="NZYXC", dtype="float32")


def entry(**parts):
    return Entry(
        name="toy", task="semantic", summary="", inputs=PORT, outputs=(PORT,), source=SOURCE, **parts
    )


def test_a_ref_imports_at_first_use():
    from math import sqrt

    assert Ref("math:sqrt").load() is sqrt
    late = Ref("no_such_module:function")  # no complaint before it is used
    with pytest.raises(ModuleNotFoundError):
        late.load()
    with pytest.raises(AttributeError):
        Ref("math:square_root").load()


@pytest.mark.parametrize("target", ["math.sqrt", "math:", ":sqrt", "math:sqrt()", "", "math:a:b"])
def test_what_is_no_ref(target):
    with pytest.raises(ValueError, match="a Ref is 'module:function'"):
        Ref(target)


def test_what_has_a_build_can_be_trained():
    assert entry(build=Ref("math:sqrt")).trainable
    assert not entry().trainable
    assert not entry(needs={"nsn": "qcanet_nsn"}).trainable


def test_entries_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        entry().name = "other"
