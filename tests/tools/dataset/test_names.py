"""Names that some file systems do not take, and texts that are not Unicode, in a build and in what reads it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from built import problems, samples
from PIL import Image

from relation_tools.dataset.names import UniqueNames, portable_name
from tests.command_line import run

BAD = os.fsdecode(b"b\xffd")
NAMES = {
    "plain": ["a.png", "b.png"],
    "con": ["con.png", "AUX.png"],
    "case": ["A.png", "a.png", "ä.png", "a\u0308.png"],
    "long": ["x" * 251 + ".png", "x" * 250 + "y.png"],
    "dots.": ["a..png", "b .png"],
    BAD: ["a.png", "b.png"],
}


def entry(name: str) -> dict[str, str]:
    return {"left_image_description": "a", "right_image_description": "b", "edit_instruction": "do", "img_name": name}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pictures under odd names; each task lists one more, under a name that no file can have."""
    chance = np.random.default_rng(0)
    for task, names in NAMES.items():
        folder = tmp_path / "pairs" / task / "Group1"
        folder.mkdir(parents=True)
        for name in names:
            Image.fromarray(chance.integers(0, 256, (32, 64, 3), np.uint8)).save(folder / name)
        listed = [*names, "q" * 300 + ".png", "half \ud800.png", BAD + ".png"]
        (folder / "labels.json").write_text(json.dumps([entry(name) for name in listed]))
    return tmp_path / "pairs"


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="file systems that do not take such names")
def test_odd_names_are_built_and_impossible_ones_are_named(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "categories.json").write_text(json.dumps({BAD: "half \ud800"}))
    out = tmp_path / "out"
    options = ("--test-pairs=0", "--processes=1", f"--categories={tmp_path / 'categories.json'}")
    said = run("dataset", "build", pairs, out, *options)
    count = sum(map(len, NAMES.values()))
    assert f"{len(NAMES)} tasks, {count} pictures" in said
    found = [one for one in problems(out) if one["kind"] == "broken"]
    assert len(found) == 3 * len(NAMES)
    assert {one["where"].split("/")[0] for one in found} == set(NAMES)
    files = {name for sample in samples(out / "train.jsonl") for name in (sample["cond1"], sample["cond2"])}
    assert len({name.casefold() for name in files}) == 2 * count
    for name in files:
        assert (out / name).is_file() and name.isprintable() and len(Path(name).name) < 128
        assert not {part.split(".")[0].casefold() for part in Path(name).parts} & {"con", "aux"}
    assert BAD in json.loads((out / "tasks.json").read_text())
    assert "No problems." in run("dataset", "validate", out)
    assert "b\\udcffd" in run("dataset", "stats", out).replace(BAD, "b\\udcffd")


def test_names_are_portable() -> None:
    given = UniqueNames()
    for text in ("con", "CON.txt", "nul", "Lpt1", "com0.a.b", "a.", " .", "..", "x" * 300, "ä" * 300, "\ud800", "con_"):
        name = given.give(text)
        stem = name.split(".")[0].casefold()
        assert name and name == name.strip(". ") and len(name.encode()) <= 102 and name.isprintable()
        assert stem not in ("con", "nul", "lpt1", "com0")
    assert portable_name("console") == "console" and portable_name("x.con") == "x.con"


def test_pictures_and_lists_that_are_passed_over_are_named(tmp_path: Path) -> None:
    pairs, out = tmp_path / "pairs", tmp_path / "pairs" / "out"
    chance = np.random.default_rng(0)
    for place in ("task/Group1/a.png", "task/Group1/b.png", "task/Group1/c.jfif", "task/d.webp", "loose.bmp"):
        (pairs / place).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(chance.integers(0, 256, (32, 64, 3), np.uint8))
        picture.save(pairs / place, Image.registered_extensions()[Path(place).suffix])
    (pairs / "task" / "Group1" / "labels.json").write_text(json.dumps([entry("a.png"), entry("b.png"), entry("x.png")]))
    (pairs / "more.jsonl").write_text(json.dumps(entry("loose.bmp")))
    for _ in range(2):  # the second time, the result lies in the dataset
        run("dataset", "build", pairs, out, "--test-pairs=0", "--processes=1")
        notes = {(one["where"], one["reason"]) for one in problems(out) if one["kind"] == "note"}
        assert notes == {
            ("more.jsonl", "it is not read, since labels.json files list the pictures"),
            (".", "no list names 1 pictures there: loose.bmp"),
            ("task", "no list names 1 pictures there: d.webp"),
            ("task/Group1", "no list names 1 pictures there: c.jfif"),
        }


def test_many_files_of_one_name_are_named_in_time() -> None:
    names = UniqueNames()
    assert [names.give(text) for text in ("a-2", "a", "A", "a", "a-2", "a-2-2")] == [
        *("a-2", "a", "A-3", "a-4", "a-2-2", "a-2-2-2")
    ]
    started = time.process_time()
    assert len({names.give("before") for _ in range(20_000)}) == 20_000  # a file for each pair, in folders of their own
    assert time.process_time() - started < 2
