"""The curve of a run, as rows of numbers."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relation_core.weights.atomic import appearing


class Curve:
    """A CSV file with one row per record.

    Args:
        path: the file.
        columns: their names, ``step`` first.
        step: where the run resumes; later rows are dropped, since their steps are taken again.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], step: int) -> None:
        self._path = path
        self._columns = columns
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_curve(path) if float(row["step"]) <= step]
        with appearing(path) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)

    def add(self, row: Mapping[str, float | int | str]) -> None:
        """Append a row; columns that it lacks stay empty."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(row)


def read_curve(path: Path) -> list[dict[str, str]]:
    """The rows of a curve; none if there is no such file. Damaged lines are left out."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(line.replace("\0", "") for line in file)
        return [row for row in reader if _is_whole(row)]


def _is_whole(row: Mapping[str | None, Any]) -> bool:
    if None in row or None in row.values() or not row.get("step"):
        return False
    try:
        return all(math.isfinite(float(value)) or name != "step" for name, value in row.items() if value)
    except ValueError:
        return False
