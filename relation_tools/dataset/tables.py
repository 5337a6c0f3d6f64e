"""Parquet and Arrow files with pictures in them, as the ``datasets`` library writes them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from relation_core.files.json_file import json_text, parse_json
from relation_core.files.regular_file import open_regular
from relation_core.pictures.picture_file import MAX_BYTES, readable_suffixes

from ..commands.extras import imported
from .budget import Budget
from .columns import INSTRUCTIONS, TASKS, Columns, UnclearColumnsError, find_columns, first_text

PARQUET, ARROW = ".parquet", ".arrow"
TABLES = (PARQUET, ARROW)
ROWS = "rows.jsonl"
"""The listing that a table becomes; its lines are the table's rows."""
_AT_ONCE = 16
"""Rows of a Parquet file that are held in memory; an Arrow file says itself how many."""
_INDEXED = b"ARROW1"
_NAMED = 20


class TableError(Exception):
    """A table that cannot be used."""


def write_rows(path: Path, target: Path, budget: Budget) -> None:
    """Write a table's pictures as files, and a list of its rows.

    Args:
        path: the table.
        target: an empty folder.
        budget: told of every picture before it is written.

    Raises:
        TableError: it is damaged, or has no two columns of pictures that make a pair.
        BudgetError: it holds more than a table of its size does.
        OSError: the folder cannot be written.
    """
    (target / "before").mkdir()
    (target / "after").mkdir()
    with (target / ROWS).open("w", encoding="utf-8", newline="\n") as file:
        for number, (row, columns) in enumerate(_rows(path), 1):
            fields: dict[str, Any] = {}
            for side, name in (("before", columns.before), ("after", columns.after)):
                budget.take_file()
                fields[side] = _write_picture(row[name], target, f"{side}/{number:07d}", budget)
            if columns.instruction:
                fields[INSTRUCTIONS[0]] = _plain(first_text(row[columns.instruction]))
            if columns.task:
                fields[TASKS[0]] = _plain(row[columns.task])
            file.write(json_text(fields) + "\n")


def _plain(value: Any) -> Any:
    """What JSON can hold in a value's place: dates and the like as text."""
    if isinstance(value, (list, dict)):
        return type(cast("Any", value))()  # there is no text in it
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _write_picture(value: Any, target: Path, name: str, budget: Budget) -> str | None:
    """Write a picture; give its file, or where it is said to be if it is not in the table."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {"bytes": value}
    data, path = fields.get("bytes"), fields.get("path")
    if not isinstance(data, bytes) or len(data) > MAX_BYTES:
        return path if isinstance(path, str) else None
    suffix = PurePosixPath(path).suffix.lower() if isinstance(path, str) else ""
    file = name + (suffix if suffix in readable_suffixes() else ".png")
    budget.take(len(data))
    (target / file).write_bytes(data)
    return file


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], Columns]]:
    imported("pyarrow", "dataset")
    columns: Columns | None = None
    try:
        for batch in _parquet_batches(path) if path.name.lower().endswith(PARQUET) else _arrow_batches(path):
            batch.validate(full=True)  # of a damaged file, offsets may lead out of memory
            columns = columns or _columns(batch.schema)
            labels = _labels(batch.schema, columns.task)
            for row in batch.select([name for name in vars(columns).values() if name]).to_pylist():
                if labels:
                    row[columns.task] = labels.get(row[columns.task])
                yield row, columns
    except UnclearColumnsError as error:
        raise TableError(str(error)) from error
    except TableError:
        raise
    except Exception as error:  # a reader that meets damaged data raises whatever it runs into
        said = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise TableError(f"it cannot be read as a table: {said}") from error
    if columns is None:
        raise TableError("it has no rows")


def _parquet_batches(path: Path) -> Iterator[Any]:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with open_regular(path) as file, parquet.ParquetFile(file, pre_buffer=False) as table:
        columns = _columns(table.schema_arrow)
        wanted = [name for name in vars(columns).values() if name]
        yield from table.iter_batches(_AT_ONCE, columns=wanted, use_threads=False)


def _arrow_batches(path: Path) -> Iterator[Any]:
    """The ``datasets`` library saves a stream of batches; other programs write files with an index."""
    arrow: Any = importlib.import_module("pyarrow")
    with open_regular(path) as file:
        indexed = file.read(len(_INDEXED)) == _INDEXED
        file.seek(0)
        if not indexed:
            with arrow.ipc.open_stream(file) as stream:
                yield from stream
            return
        with arrow.ipc.open_file(file) as table:
            for number in range(table.num_record_batches):
                yield table.get_batch(number)


def _columns(schema: Any) -> Columns:
    pictures = [field.name for field in schema if _holds_pictures(field.type)]
    found = find_columns(pictures, [field.name for field in schema if field.name not in pictures])
    if found is None:
        shown = ", ".join(f"'{name}'" for name in schema.names[:_NAMED])
        raise TableError(
            f"it has no two columns of pictures that make a pair, such as 'source' and 'target'; found {shown}"
        )
    return found


def _labels(schema: Any, column: str | None) -> dict[int, str]:
    """The names that the ``datasets`` library has for a column of numbers (``ClassLabel``); empty without any."""
    try:
        names: Any = parse_json(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return {}
    return dict(enumerate(map(str, cast("list[object]", names)))) if isinstance(names, list) else {}


def _holds_pictures(kind: Any) -> bool:
    arrow: Any = importlib.import_module("pyarrow")
    types = arrow.types
    if types.is_struct(kind):
        return any(kind.field(number).name == "bytes" for number in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind))
