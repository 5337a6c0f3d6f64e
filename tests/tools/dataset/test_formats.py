"""Every way in which a paired dataset may be written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic import Shape, entry, hub_dataset, listed_dataset, paired_picture, task_name

from relation_core.errors import DatasetError
from relation_tools.dataset.names import UniqueNames, portable_name
from relation_tools.dataset.opened import open_dataset
from relation_tools.dataset.pair_entry import PairEntry
from relation_tools.dataset.problems import Problem

SHAPE = Shape(tasks=3, pictures=4)


def read_entries(pairs: Path) -> list[PairEntry | Problem]:
    return list(open_dataset(pairs, pairs / "out", pairs / "work").entries())


def read(pairs: Path) -> list[PairEntry]:
    found = read_entries(pairs)
    assert not [one for one in found if isinstance(one, Problem) and one.kind == "broken"]
    return [one for one in found if isinstance(one, PairEntry)]


def described(entries: list[PairEntry]) -> set[tuple[str, str, str]]:
    return {(one.task, Path(one.picture).name, one.instruction) for one in entries}


def expected() -> set[tuple[str, str, str]]:
    return {
        (task_name(task), f"image {number}.jpg", entry(task, number, "")["edit_instruction"])
        for task in range(3)
        for number in range(4)
    }


def test_as_on_the_hub(tmp_path: Path) -> None:
    entries = read(hub_dataset(tmp_path, SHAPE))
    assert described(entries) == expected()
    assert entries[1].picture == "1-Task_000/Group1/image 1.jpg"
    assert entries[1].where == "1-Task_000/Group1/labels.json:8"


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_as_one_file(tmp_path: Path, suffix: str) -> None:
    file = listed_dataset(tmp_path, SHAPE, suffix)
    assert described(read(file)) == described(read(tmp_path)) == expected()


def rewritten(tmp_path: Path, write: str) -> Path:
    file = listed_dataset(tmp_path, SHAPE, ".jsonl")
    lines = file.read_text(encoding="utf-8").splitlines()
    pretty = [json.dumps(json.loads(line), indent=6, ensure_ascii=False) for line in lines]
    data = {
        "windows line ends": ("\r\n".join(lines) + "\r\n").encode(),
        "byte order mark": ("\ufeff" + "\n".join(lines)).encode(),
        "blank lines": ("\n\n" + "\n \n\n".join(lines)).encode(),
        "commas after the lines": (",\n".join(lines) + ",").encode(),
        "as in the authors' README": ",\n".join(pretty).encode(),
        "indented objects": "\n".join(pretty).encode(),
        "an array in a .jsonl": f"[{','.join(lines)}]".encode(),
        "UTF-16": "\n".join(lines).encode("utf-16"),
        "escaped letters": "\n".join(json.dumps(json.loads(line)) for line in lines).encode(),
    }[write]
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(
    "write",
    [
        "windows line ends",
        "byte order mark",
        "blank lines",
        "commas after the lines",
        "as in the authors' README",
        "indented objects",
        "an array in a .jsonl",
        "UTF-16",
        "escaped letters",
    ],
)
def test_variants_of_a_jsonl(tmp_path: Path, write: str) -> None:
    assert described(read(rewritten(tmp_path, write))) == expected()


def test_several_groups_are_one_task_and_a_task_can_be_given_alone(tmp_path: Path) -> None:
    hub_dataset(tmp_path, Shape(tasks=1, pictures=3))
    group = tmp_path / task_name(0) / "Group2"
    group.mkdir()
    paired_picture(0, 9, 32).save(group / "image 9.jpg")
    (group / "labels.json").write_text(json.dumps([entry(0, 9, "image 9.jpg")]), encoding="utf-8")
    for pairs in (tmp_path, tmp_path / task_name(0), group, group / "labels.json"):
        assert {one.task for one in read(pairs)} == {task_name(0)}, pairs


def test_descriptions_may_be_missing(tmp_path: Path) -> None:
    fields = entry(0, 0, "a.jpg")
    del fields["left_image_description"], fields["right_image_description"]
    (tmp_path / "pairs.jsonl").write_text(json.dumps(fields), encoding="utf-8")
    (found,) = read_entries(tmp_path / "pairs.jsonl")
    assert isinstance(found, PairEntry) and found.task == "pairs"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_what_is_no_dataset_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=name):
        read_entries(tmp_path / name)


def test_names_are_portable_and_unique() -> None:
    assert portable_name('a/b:c*?"<>| d.') == "a_b_c_d"
    assert portable_name("e\u0301") == portable_name("\u00e9") == "\u00e9"
    assert portable_name("...") == "unnamed"
    assert len(portable_name("\u7f16" * 200).encode()) <= 100
    names = UniqueNames()
    given = [names.give(text) for text in ("Cat", "cat", "cat-2", "CAT", "dog")]
    assert given == ["Cat", "cat-2", "cat-2-2", "CAT-3", "dog"]
