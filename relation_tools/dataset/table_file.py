"""Parquet and Arrow files, read a few rows at a time."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from relation_core.files.json_file import parse_json
from relation_core.files.regular_file import open_regular

from ..commands.extras import imported
from .columns import TASKS, UnclearColumnsError

PARQUET, ARROW = ".parquet", ".arrow"
TABLES = (PARQUET, ARROW)
_AT_ONCE = 16
"""Rows of a Parquet file that are held in memory; an Arrow file says itself how many."""
_INDEXED = b"ARROW1"


class TableError(Exception):
    """A table that cannot be used."""


def table_rows(path: Path, choose: Callable[[Any], Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, with some of its columns.

    A column of a task has the names that the ``datasets`` library keeps for its numbers (``ClassLabel``).

    Args:
        path: the table.
        choose: names the columns that are read, of the table's schema (``pyarrow.Schema``); none are, no row is.

    Raises:
        TableError: it is damaged, or ``choose`` has no use for it.
    """
    imported("pyarrow", "dataset")
    try:
        for batch in (_parquet_batches if _is_parquet(path) else _arrow_batches)(path, choose):
            batch.validate(full=True)  # of a damaged file, offsets may lead out of memory
            names = list(choose(batch.schema))
            labels = {name: _labels(batch.schema, name) for name in names if name.lower() in TASKS}
            for row in batch.select(names).to_pylist():
                yield {name: labels[name].get(value) if labels.get(name) else value for name, value in row.items()}
    except UnclearColumnsError as error:
        raise TableError(str(error)) from error
    except TableError:
        raise
    except Exception as error:  # a reader that meets damaged data raises whatever it runs into
        said = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise TableError(f"it cannot be read as a table: {said}") from error


def is_table(path: Path) -> bool:
    """Tell by its name whether a file is a table."""
    return path.name.lower().endswith(TABLES)


def holds_text(kind: Any) -> bool:
    """Tell whether a column's type (``pyarrow.DataType``) is text, or a number, or a list of texts."""
    types: Any = importlib.import_module("pyarrow").types
    if types.is_list(kind) or types.is_large_list(kind):
        return holds_text(kind.value_type)
    checks = (types.is_string, types.is_large_string, types.is_integer, types.is_floating)
    return any(check(kind) for check in checks) or (types.is_dictionary(kind) and holds_text(kind.value_type))


def holds_pictures(kind: Any) -> bool:
    """Tell whether a column's type (``pyarrow.DataType``) is bytes, or an object with some."""
    types: Any = importlib.import_module("pyarrow").types
    if types.is_struct(kind):
        return any(kind.field(number).name == "bytes" for number in range(kind.num_fields))
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(PARQUET)


def _parquet_batches(path: Path, choose: Callable[[Any], Sequence[str]]) -> Iterator[Any]:
    parquet: Any = importlib.import_module("pyarrow.parquet")
    with open_regular(path) as file, parquet.ParquetFile(file, pre_buffer=False) as table:
        wanted = list(choose(table.schema_arrow))
        if wanted:
            yield from table.iter_batches(_AT_ONCE, columns=wanted, use_threads=False)


def _arrow_batches(path: Path, choose: Callable[[Any], Sequence[str]]) -> Iterator[Any]:
    """The ``datasets`` library saves a stream of batches; other programs write files with an index.

    A batch may be half a gigabyte, and is read whole.
    """
    arrow: Any = importlib.import_module("pyarrow")
    with open_regular(path) as file:
        indexed = file.read(len(_INDEXED)) == _INDEXED
        file.seek(0)
        if not indexed:
            with arrow.ipc.open_stream(file) as stream:
                if choose(stream.schema):
                    yield from stream
            return
        with arrow.ipc.open_file(file) as table:
            if choose(table.schema):
                for number in range(table.num_record_batches):
                    yield table.get_batch(number)


def _labels(schema: Any, column: str) -> dict[int, str]:
    """The names that the ``datasets`` library has for a column of numbers; empty without any."""
    try:
        names: Any = parse_json(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):
        return {}
    return dict(enumerate(map(str, cast("list[object]", names)))) if isinstance(names, list) else {}
