"""Files that list the pairs of a dataset: ``.jsonl``, ``.json``, ``.csv``, and tables of files' names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, cast

from relation_core.files.regular_file import open_regular
from relation_core.samples.json_values import Located, Unreadable, read_values

from .columns import UnclearColumnsError, columns_of_rows, find_columns
from .pair_entry import PairEntry, task_of_double, task_of_packed, task_of_two
from .problems import Problem
from .rows import INSTRUCTION, PICTURE, RowReader
from .table_file import TableError, holds_pictures, holds_text, is_table, table_rows
from .tables import ROWS

LISTS = (".jsonl", ".json", ".csv")
HUB, IMAGE_FOLDER = ("labels.json",), ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""Names that say what a list is: of the authors' dataset, and of the ``datasets`` library's ImageFolder."""
_LOOKED_AT = 200
"""Rows by which a file's columns are found."""
_MOST_CSV = 2 << 30
_NAMED = 20


class Listed(Enum):
    """What a file's first rows name."""

    PAIRS = auto()
    UNCLEAR = auto()
    """Pairs, perhaps; reading it says what is unclear."""
    NOTHING = auto()
    DAMAGED = auto()


def listed_in(file: Path) -> Listed:
    """Tell what a file's first rows name, as far as it can be read."""
    try:
        rows = list(islice(_objects(file), _LOOKED_AT))
        return Listed.PAIRS if _shows_both(rows) or columns_of_rows(rows) is not None else Listed.NOTHING
    except UnclearColumnsError:
        return Listed.UNCLEAR
    except (OSError, TableError):
        return Listed.DAMAGED


def lists_pairs(file: Path) -> bool:
    """Tell whether a file names pictures of pairs, or what may be some."""
    return listed_in(file) in (Listed.PAIRS, Listed.UNCLEAR)


def read_listing(root: Path, file: str, dataset: str) -> Iterator[PairEntry | Problem]:
    """Yield a file's entries in their order, and a problem for each one that is broken.

    Args:
        root: the dataset's folder.
        file: the file's path relative to it.
        dataset: the dataset's name, for tasks that nothing else names.
    """
    path = root / file
    try:
        rows = list(islice(_objects(path), _LOOKED_AT))
        columns = None if _shows_both(rows) else columns_of_rows(rows)
        if columns is None and rows and not any(PICTURE in row or "cond1" in row for row in rows):
            yield Problem("broken", file, "", _no_pairs(rows))
            return
        named = task_of_packed(path.stem, dataset) if is_table(path) else path.stem
        fallback = dataset if path.name in (*HUB, *IMAGE_FOLDER, ROWS) else named
        fallback = task_of_two([fallback]) or dataset if columns else task_of_double([fallback]) or dataset
        reader = RowReader(root, file, fallback, columns)
        count = 0
        for count, located in enumerate(_rows(path), 1):  # noqa: B007 - counted to its end
            yield reader.read(located)
        if count == 0:
            yield Problem("broken", file, "", "the file lists no entries")
        elif columns and not columns.instruction:
            yield Problem("note", file, "", "it has no column of instructions: the text of its samples is empty")
    except (UnclearColumnsError, TableError) as error:
        yield Problem("broken", file, "", str(error))
    except OSError as error:
        yield Problem("broken", file, "", f"the file cannot be read: {error.strerror or error}")


def _shows_both(rows: Sequence[dict[str, Any]]) -> bool:
    """Tell whether a file lists pictures that show both halves."""
    return any(PICTURE in row and INSTRUCTION in row for row in rows)


def _no_pairs(rows: Sequence[dict[str, Any]]) -> str:
    found = ", ".join(f"'{name}'" for name in list(dict.fromkeys(name for row in rows for name in row))[:_NAMED])
    return (
        f"its rows name no pairs of pictures: found {found}; expected '{PICTURE}' and '{INSTRUCTION}', or two columns "
        "of picture files, such as 'source' and 'target'"
    )


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    for located in _rows(path):
        if isinstance(located.value, dict):
            yield cast("dict[str, Any]", located.value)


def _rows(path: Path) -> Iterator[Located]:
    if is_table(path):
        return (Located(number, row) for number, row in enumerate(table_rows(path, _columns_of_text), 1))
    return _csv_rows(path) if path.suffix.lower() == ".csv" else read_values(path)


def _columns_of_text(schema: Any) -> list[str]:
    """The columns of a table that may name pictures; none where it holds the pictures of pairs themselves."""
    pictures = [field.name for field in schema if holds_pictures(field.type)]
    if find_columns(pictures, ()) is not None:
        return []
    return [field.name for field in schema if holds_text(field.type)]


def _csv_rows(path: Path) -> Iterator[Located]:
    with (
        open_regular(path, _MOST_CSV) as raw,
        TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="") as file,
    ):
        reader = csv.DictReader(file)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield Located(reader.line_num, Unreadable(f"the row is not CSV: {error}"))
                continue
            if row is None:
                return
            if None in row:
                value: Any = Unreadable(f"the row has more fields than the first one names: {len(row[None])} too many")
            else:
                value = {key: value for key, value in row.items() if value is not None}
            yield Located(reader.line_num, value)
