"""Reading a prepared data set again."""

import json

import pytest

from zoo.data.prepared import read_settings, read_split
from zoo.errors import InputError


def test_other_folders_have_no_settings_and_no_split(tmp_path):
    assert read_settings(tmp_path) is None
    assert read_split(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"size": [4, 4], "fit": "pad", "scaling": "max"}',
        '{"size": [4, 4, "4"], "fit": "pad", "scaling": "max"}',
        '{"size": 4, "fit": "pad", "scaling": "max"}',
        '{"size": [4, 4, 4], "fit": "crop", "scaling": "max"}',
        '{"size": [4, 4, 4], "fit": "pad", "scaling": "min"}',
        b"\xff\xfe",
    ],
)
def test_damaged_settings_are_refused(tmp_path, text):
    path = tmp_path / "prepared.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=rf"{path} is damaged: .*zoo prepare"):
        read_settings(tmp_path)
    path.write_text(json.dumps({"size": [4, 4, 4], "fit": "pad", "scaling": "max"}))
    assert read_settings(tmp_path)["fit"] == "pad"


def test_a_split_may_be_written_by_hand(tmp_path):
    text = '\ufeffvolume,part\r\na_t001,train\r\n\r\n"b,c_t001",test\r\nd,validation\r\n'
    (tmp_path / "split.csv").write_text(text, encoding="utf-8", newline="")
    assert read_split(tmp_path) == {"a_t001": "train", "b,c_t001": "test", "d": "validation"}


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "line 1, must be volume,part"),
        ("name,part\na,train\n", "line 1, must be volume,part"),
        (
            "volume,part\na,train\nb,testing\n",
            "line 3, has the part 'testing': allowed are train,",
        ),
        ("volume,part\na,train\nb,test\na,test\n", "line 4, has the volume a again"),
        ("volume,part\na\n", "line 2, must be volume,part: it has 1 columns"),
        ("volume,part\na,train,1\n", "line 2, must be volume,part: it has 3 columns"),
        ("volume,part\n,train\n", "line 2, must be volume,part"),
        (b"volume,part\n\xff,train\n", "no CSV file in UTF-8"),
    ],
)
def test_a_damaged_split_is_refused_with_its_line(tmp_path, text, says):
    (tmp_path / "split.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as caught:
        read_split(tmp_path)
    assert f"{tmp_path / 'split.csv'}" in str(caught.value)
    assert says in str(caught.value)


def test_settings_nested_too_deep_are_damaged(tmp_path):
    (tmp_path / "prepared.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="damaged"):
        read_settings(tmp_path)
