"""Tables with pictures in them, as the ``datasets`` library writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from relation_core.files.json_file import json_text
from relation_core.pictures.picture_file import MAX_BYTES, readable_suffixes

from .budget import Budget
from .columns import INSTRUCTIONS, TASKS, Columns, find_columns, first_text
from .table_file import TableError, holds_pictures, table_rows

ROWS = "rows.jsonl"
"""The listing that a table becomes; its lines are the table's rows."""
_NAMED = 20


class _CellError(Exception):
    """A cell without a picture that can be used."""


def embeds_pairs(path: Path) -> bool:
    """Tell by its columns whether a table holds the pictures of pairs; nothing else of it is read."""
    found: list[bool] = []

    def look(schema: Any) -> list[str]:
        found.append(find_columns(_pictures(schema), ()) is not None)
        return []

    try:
        list(table_rows(path, look))
    except TableError:
        return False
    return any(found)


def write_rows(path: Path, target: Path, budget: Budget) -> list[tuple[int, str]]:
    """Write a table's pictures as files, and a list of its rows.

    Args:
        path: the table.
        target: an empty folder.
        budget: told of every picture before it is written.

    Returns:
        the rows that are left out, by their numbers from 1, and why.

    Raises:
        TableError: it is damaged, or has no two columns of pictures that make a pair.
        BudgetError: it holds more than a table of its size does.
        OSError: the folder cannot be written.
    """
    broken: list[tuple[int, str]] = []
    (target / "before").mkdir()
    (target / "after").mkdir()
    with (target / ROWS).open("w", encoding="utf-8", newline="\n") as file:
        for number, (row, columns) in enumerate(_rows(path), 1):
            try:
                line = json_text(_fields(row, columns, number, target, budget))
            except _CellError as error:
                broken.append((number, str(error)))
                line = ""
            file.write(line + "\n")
    return broken


def _fields(row: dict[str, Any], columns: Columns, number: int, target: Path, budget: Budget) -> dict[str, Any]:
    """Write a row's pictures; give what the list says of it.

    Raises:
        _CellError: one is missing, or too large.
    """
    pictures = {
        side: _picture(row[name], name) for side, name in (("before", columns.before), ("after", columns.after))
    }
    fields: dict[str, Any] = {}
    for side, (data, suffix) in pictures.items():
        fields[side] = f"{side}/{number:07d}{suffix}"
        budget.take_file()
        budget.take(len(data))
        (target / fields[side]).write_bytes(data)
    if columns.instruction:
        fields[INSTRUCTIONS[0]] = _plain(first_text(row[columns.instruction]))
    if columns.task:
        fields[TASKS[0]] = _plain(row[columns.task])
    return fields


def _plain(value: Any) -> Any:
    """What JSON can hold in a value's place: dates and the like as text."""
    if isinstance(value, (list, dict)):
        return type(cast("Any", value))()  # there is no text in it
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _picture(value: Any, column: str) -> tuple[bytes, str]:
    """Give a cell's picture, and the ending of a file for it."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {"bytes": value}
    data, path = fields.get("bytes"), fields.get("path")
    if not isinstance(data, bytes):
        found = f"the path '{path}' without the picture" if isinstance(path, str) else "no picture"
        raise _CellError(f"'{column}' holds {found}; expected the bytes of its file. Embed it, or leave the row out")
    if len(data) > MAX_BYTES:
        raise _CellError(
            f"the picture in '{column}' has {len(data) / 1e6:,.0f} MB; expected at most {MAX_BYTES / 1e6:,.0f} MB. "
            "Shrink it"
        )
    suffix = PurePosixPath(path).suffix.lower() if isinstance(path, str) else ""
    return data, suffix if suffix in readable_suffixes() else ".png"


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], Columns]]:
    found: list[Columns] = []

    def choose(schema: Any) -> list[str]:
        found[:] = found or [_columns(schema)]
        return [name for name in vars(found[0]).values() if name]

    count = 0
    for count, row in enumerate(table_rows(path, choose), 1):  # noqa: B007 - counted to its end
        yield row, found[0]
    if count == 0:
        raise TableError("it has no rows")


def _pictures(schema: Any) -> list[str]:
    return [field.name for field in schema if holds_pictures(field.type)]


def _columns(schema: Any) -> Columns:
    pictures = _pictures(schema)
    found = find_columns(pictures, [field.name for field in schema if field.name not in pictures])
    if found is None:
        shown = ", ".join(f"'{name}'" for name in schema.names[:_NAMED])
        raise TableError(
            f"it has no two columns of pictures that make a pair, such as 'source' and 'target'; found {shown}"
        )
    return found
