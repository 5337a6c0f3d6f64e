"""Listings of samples that are meant to stop the reader: time grows with the file's length, whatever is in it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from relation_core.errors import DatasetError
from relation_core.samples.json_values import Located, Unreadable, read_values
from relation_core.samples.samples import read_sample

N = 40_000
SHAPES = {
    "a bracket, lines, a letter": "[x" + "\n" * N + "x",
    "commas and blanks": "[x" + ", " * N + "x",
    "lines between braces": "x{" + "\n" * N + "}{",
    "nested objects": '{"a":\n' * N * 4,
    "nested arrays in objects": '[{"a":[\n' * N * 4,
    "arrays that never end": '{"a":[\n' * 900 + "{},\n" * N,
    "brackets": "x" + "[" * N * 4,
    "texts that never end": 'x\n{"a' * N,
    "a long text that never ends": 'x\n{"' + "a" * N * 20,
    "escapes": '{"a":"' + "\\u12" * N,
    "numbers": "x\n{" + "1" * N * 4,
    "objects on one line": "x" + "{" * N * 4,
    "blanks before objects": ("x" + " " * 100 + "{") * (N // 20),
}


def values(path: Path) -> list[Located]:
    return list(read_values(path))


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_text_takes_long(shape: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"samples{suffix}"
    file.write_text(SHAPES[shape])
    began = time.process_time()
    found = values(file)
    assert time.process_time() - began < 5
    assert any(isinstance(one.value, Unreadable) for one in found)


def test_what_follows_something_broken_is_still_read(tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    long = "a" * 9_000
    file.write_text(
        f'[{{"a": 1}}, {{"b": }},\n{{"c": "{long}"}}, nothing, {{"d": [{{"e": 2}}]}},\n\n {{"f": tru\n,{{"g": 3}}]'
    )
    found = values(file)
    assert [one.value for one in found if not isinstance(one.value, Unreadable)] == [
        {"a": 1}, {"c": long}, {"d": [{"e": 2}]}, {"g": 3},
    ]  # fmt: skip
    assert [one.line for one in found if isinstance(one.value, Unreadable)] == [1, 2, 4]


@pytest.mark.parametrize("length", [4_090, 4_096, 4_097, 65_536, 65_540, 900_000])
@pytest.mark.parametrize("filling", ["1", '"a"', "true, ", '{"b": -1.5e3}, ', "\\u00e9"])
def test_values_of_any_length_are_read_whole(length: int, filling: str, tmp_path: Path) -> None:
    file = tmp_path / "samples.json"
    count = length // len(filling)
    if filling == "1":
        text, expected = "1" * min(length, 4_200), int("1" * min(length, 4_200))
    elif filling == "\\u00e9":
        text, expected = '"' + filling * count + '"', "é" * count
    else:
        text = "[" + ", ".join([filling.rstrip(", ")] * count) + "]"
        expected = [{'"a"': "a", "true, ": True, '{"b": -1.5e3}, ': {"b": -1500.0}}[filling]] * count
    file.write_text(f'{{"value": {text}}}\n{{"last": 1}}')
    if len(text) > 1 << 20:
        assert isinstance(values(file)[0].value, Unreadable)
    else:
        assert [one.value for one in values(file)] == [{"value": expected}, {"last": 1}]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, ""),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5_000, "4300"),
        ('{"a":' + "9" * 5_000 + "}", "4300"),
    ],
)
def test_deep_and_long_values_are_named(text: str, reason: str, suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"samples{suffix}"
    file.write_text('{"first": 1}\n' + text + '\n{"last": 1}\n')
    found = [one.value for one in values(file)]
    assert found[0] == {"first": 1}
    assert found[-1] == {"last": 1}
    if reason:
        assert reason in found[1].reason


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"first": 1}\n{"a": "' + "x" * 3_000_000 + '"}\n{"last": 1}\n')
    found = values(file)
    assert [one.line for one in found] == [1, 2, 3]
    assert found[1].value == Unreadable("the line is longer than 1,048,576 bytes")
    assert found[2].value == {"last": 1}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only Unix has these")
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_pipe_or_a_device_is_no_listing(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"pipe{suffix}")
    (tmp_path / f"link{suffix}").symlink_to("/dev/zero")
    with pytest.raises(DatasetError, match=r"pipe.*it is a pipe; expected a regular file"):
        read_sample(tmp_path / f"pipe{suffix}", 0)
    with pytest.raises(DatasetError, match=r"link.*it is a device; expected a regular file"):
        read_sample(tmp_path / f"link{suffix}", 0)


def test_a_document_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "samples.json").open("wb") as file:
        file.truncate((128 << 20) + 1)
    with pytest.raises(DatasetError, match=r"it has 134.2 MB; expected at most 134.2 MB"):
        read_sample(tmp_path / "samples.json", 0)
