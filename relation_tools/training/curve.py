"""The curve of a run, as rows of numbers."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping
from pathlib import Path

from relation_core.errors import DatasetError
from relation_core.files.regular_file import read_regular
from relation_core.weights.atomic import appearing

_BYTES = 64 << 20
"""The most that is read of a curve."""
_LOG = logging.getLogger(__name__)


class Curve:
    """A CSV file with one row per record.

    Args:
        path: the file.
        columns: their names, ``step`` first.
        step: where the run resumes; later rows are dropped, since their steps are taken again.

    Raises:
        DatasetError: it cannot be written.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], step: int) -> None:
        self._path = path
        self._columns = columns
        kept = [row for row in read_curve(path) if float(row["step"]) <= step]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with appearing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, extrasaction="ignore")
                writer.writeheader()
                writer.writerows(kept)
        except OSError as error:
            raise _unwritable(path, error) from error

    def add(self, row: Mapping[str, float | int | str]) -> None:
        """Append a row; columns that it lacks stay empty.

        Raises:
            DatasetError: it cannot be written.
        """
        try:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns).writerow(row)
        except OSError as error:
            raise _unwritable(self._path, error) from error


def _unwritable(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"Cannot write '{path}': {error.strerror or error}. Make room, or remove what lies there.")


def read_curve(path: Path) -> list[dict[str, str]]:
    """The rows of a curve; none if there is no such file. Damaged lines are left out."""
    try:
        text = read_regular(path, _BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        _LOG.warning("'%s' cannot be read (%s); it is begun anew.", path, error.strerror or error)
        return []
    lines = (_fields(line) for line in text.replace("\0", "").splitlines())
    header = next(lines, list[str]())
    rows = (dict(zip(header, fields, strict=True)) for fields in lines if len(fields) == len(header))
    return [row for row in rows if _is_whole(row)]


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), list[str]())
    except csv.Error:  # a field that is too long
        return []


def _is_whole(row: Mapping[str, str]) -> bool:
    if not row.get("step"):
        return False
    try:
        return all(math.isfinite(float(value)) or name != "step" for name, value in row.items() if value)
    except ValueError:
        return False
