"""The sets of a cache: each has a folder, and names its rows, so that another set takes over those that both have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from relation_core.files.json_file import read_json
from relation_core.weights.atomic import write_whole

_ROWS = "rows.json"
_BYTES = 1 << 30


def name_rows(folder: Path, made_by: str, names: Sequence[str]) -> None:
    """Write down what the rows of a set are, unless it is written there.

    Args:
        folder: of the set.
        made_by: names what rows of one name depend on.
        names: of the rows in their order.

    Raises:
        OSError: it cannot be written.
    """
    named = {"made_by": made_by, "names": list(names)}
    if _read(folder) != named:
        write_whole(folder / _ROWS, json.dumps(named).encode())


def sets_beside(folder: Path, made_by: str) -> Iterator[tuple[Path, list[str]]]:
    """Find the sets beside one whose rows are made alike.

    Yields:
        The folder of each, and the names of its rows in their order.
    """
    for other in sorted(folder.parent.iterdir()):
        found = _read(other) if other != folder and other.is_dir() else None
        if found is not None and found["made_by"] == made_by:
            yield other, found["names"]


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        found: Any = read_json(folder / _ROWS, _BYTES)
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict) or not isinstance(names := cast("dict[str, Any]", found).get("names"), list):
        return None
    known = cast("dict[str, Any]", found)
    return known if "made_by" in known and all(isinstance(name, str) for name in cast("list[object]", names)) else None
