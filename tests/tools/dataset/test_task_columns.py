"""What a column of tasks may hold: names, numbers, and the labels of the ``datasets`` library."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import people
import pyarrow as pa
import pytest
from people import PICTURES, put

from relation_tools.dataset.opened import open_dataset
from relation_tools.dataset.pair_entry import PairEntry
from relation_tools.dataset.problems import Problem

LABELS = {"info": {"features": {"task": {"names": ["blur", "rain"], "_type": "ClassLabel"}}}}


def entries(pairs: Path, tmp_path: Path) -> list[PairEntry | Problem]:
    return list(open_dataset(pairs, tmp_path / "out", tmp_path / "work").entries())


def tasks(found: list[PairEntry | Problem]) -> list[str]:
    return [one.task for one in found if isinstance(one, PairEntry)]


@pytest.mark.parametrize(
    ("column", "metadata", "expected"),
    [
        ([1, 0, None, 1], LABELS, ["rain", "blur", "some", "rain"]),
        ([1, 7, 0, -1], LABELS, ["rain", "some", "blur", "some"]),
        ([1, 0, 1, 0], {"info": {"features": {"task": {"names": 5}}}}, ["1", "0", "1", "0"]),
        ([1, 0, None, 1], None, ["1", "0", "some", "1"]),
        ([1.0, 0.5, float("nan"), None], None, ["1", "0.5", "some", "some"]),
        ([datetime.date(2026, 1, day) for day in (1, 1, 2, 2)], None, ["2026-01-01"] * 2 + ["2026-01-02"] * 2),
    ],
)
@pytest.mark.parametrize("write", [people.write_parquet, people.write_arrow_stream])
def test_a_table(tmp_path: Path, write: Any, column: list[Any], metadata: Any, expected: list[str]) -> None:
    rows = people.table(["depth"])
    place = rows.column_names.index("task")
    rows = rows.set_column(place, "task", pa.array(column))
    if metadata is not None:
        rows = rows.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    file = tmp_path / f"some{'.parquet' if write is people.write_parquet else '.arrow'}"
    write(rows, file)
    assert tasks(entries(file, tmp_path)) == expected


def test_a_list(tmp_path: Path) -> None:
    given = (3, 3.0, 10**400, 10**20 + 1, " blur ", " ", None)
    rows = [{"source": f"a{n}.png", "target": f"b{n}.png", "text": "do", "task": task} for n, task in enumerate(given)]
    rows += [{**rows[0], "task": wrong} for wrong in (["blur"], {"name": "blur"}, True)]
    put(tmp_path / "some.jsonl", "\n".join(map(json.dumps, rows)))
    found = entries(tmp_path / "some.jsonl", tmp_path)
    assert tasks(found) == ["3", "3", str(10**400), str(10**20 + 1), "blur", "some", "some"]
    assert [one.reason for one in found if isinstance(one, Problem)] == [
        f"'task' should be text, found {what}" for what in ("an array", "an object", "true or false")
    ]


def test_texts_of_other_kinds(tmp_path: Path) -> None:
    rows = people.table(["depth"])
    place = rows.column_names.index("edit_prompt")
    nested = pa.array([{"when": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)}] * PICTURES)
    people.write_parquet(rows.set_column(place, "edit_prompt", nested), tmp_path / "a.parquet")
    found = entries(tmp_path / "a.parquet", tmp_path)
    assert len(found) == PICTURES
    assert all(isinstance(one, Problem) and "should be text, found an object" in one.reason for one in found)


@pytest.mark.parametrize("packed", [False, True])
def test_tables_without_a_column_of_tasks_are_named_after_their_files(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "tables").mkdir()
    for task in people.TASKS:
        people.write_parquet(people.table([task]).drop_columns(["task"]), tmp_path / "tables" / f"{task}.parquet")
    pairs = people.zipped(tmp_path / "tables", tmp_path / "a.zip") if packed else tmp_path / "tables"
    assert tasks(entries(pairs, tmp_path)) == [task for task in people.TASKS for _ in range(PICTURES)]


@pytest.mark.parametrize("name", ["train-00000-of-00001", "pairs-000001", "cats"])
@pytest.mark.parametrize("kind", [".parquet", ".zip", ".tar"])
def test_files_of_equal_names_are_named_after_their_folders(tmp_path: Path, name: str, kind: str) -> None:
    """As the hub has the configurations of a dataset, and others have shards of each task."""
    for task in people.TASKS:
        (tmp_path / "all" / task).mkdir(parents=True)
        file = tmp_path / "all" / task / f"{name}{kind}"
        if kind == ".parquet":
            people.write_parquet(people.table([task]).drop_columns(["task"]), file)
        else:
            pairs = people.names_in_a_folder(tmp_path / "pairs") / task
            people.zipped(pairs, file) if kind == ".zip" else people.tarred(pairs, file, "w")
    after = {"cats": "/cats"}.get(name, "")
    found = tasks(entries(tmp_path / "all", tmp_path))
    assert found == [f"{task}{after}" for task in people.TASKS for _ in range(PICTURES)]
