"""A table among others: one that is damaged, unclear or large does not decide how the rest is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import people
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from built import build_told, run, used
from people import PICTURES, TASKS, said

from relation_tools.dataset.table_file import TableError, table_rows
from relation_tools.dataset.tables import embeds_pairs

EVERY = {said(task, number) for task in TASKS for number in range(PICTURES)}
DAMAGED = "it cannot be read as a table"


def test_a_damaged_table_of_names_is_said_to_be_damaged(tmp_path: Path) -> None:
    """It is not passed over because others list pictures."""
    pairs = people.table_of_names(tmp_path / "pairs", "a.parquet")
    good = (pairs / "a.parquet").read_bytes()
    (pairs / "b.parquet").write_bytes(good[: len(good) // 2])
    ((where, _, reason),) = build_told(pairs, tmp_path / "out")["broken"]
    assert where == "b.parquet" and reason.startswith(DAMAGED)
    assert used(tmp_path / "out") == EVERY


def unclear(path: Path) -> None:
    """Names of pictures that may all be the one before."""
    names = ["a.png", "b.png"]
    people.write_parquet(pa.table({"source": names, "input_image": names, "target": names}), path)


def test_an_unclear_table_of_names_leaves_those_with_pictures_alone(tmp_path: Path) -> None:
    pairs = people.parquet(tmp_path / "pairs")
    unclear(pairs / "a.parquet")
    ((where, _, reason),) = build_told(pairs, tmp_path / "out")["broken"]
    assert where == "a.parquet" and reason.startswith("it has no two columns of pictures that make a pair")
    assert used(tmp_path / "out") == EVERY


def test_an_unclear_table_of_names_alone_says_what_is_unclear(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    unclear(tmp_path / "pairs" / "a.parquet")
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "pairs" / "b.parquet")
    stderr = run("dataset", "build", tmp_path / "pairs", tmp_path / "out", status=1).stderr
    assert "the columns 'input_image', 'source' may all be the picture before" in stderr


@pytest.mark.parametrize("write", [people.write_arrow_stream, people.write_arrow_file])
def test_the_rows_of_an_arrow_table_are_not_read_to_tell_what_it_is(
    tmp_path: Path, write: Callable[[Any, Path], None]
) -> None:
    """A row's pictures may be megabytes, and a batch of them half a gigabyte."""
    write(people.table(list(TASKS)), tmp_path / "a.arrow")
    data = bytearray((tmp_path / "a.arrow").read_bytes())
    place = data.index(b"\x89PNG") - 64  # within the first batch
    data[place : place + 200] = bytes(200)
    start = data.rindex(b"\xff\xff\xff\xff", 0, place)
    data[start + 8 : place] = b"\xa5" * (place - start - 8)  # the batch's own header
    (tmp_path / "a.arrow").write_bytes(data)
    with pytest.raises(TableError, match=DAMAGED):
        list(table_rows(tmp_path / "a.arrow", lambda schema: schema.names))
    assert embeds_pairs(tmp_path / "a.arrow")
    assert list(table_rows(tmp_path / "a.arrow", lambda schema: [])) == []
