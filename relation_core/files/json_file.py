"""Read and write untrusted text and JSON: of bounded size, with every fault as one of two errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from .regular_file import SETTINGS_BYTES, read_regular

_DEEPEST = 100


def read_text(path: Path, most: int = SETTINGS_BYTES) -> str:
    """Read a whole UTF-8 file; a byte-order mark is dropped.

    Raises:
        OSError: it is missing, no regular file, or larger than ``most`` bytes.
        ValueError: it is not UTF-8, or its name is invalid.
    """
    return read_regular(path, most).decode("utf-8-sig")


def read_json(path: Path, most: int = SETTINGS_BYTES) -> Any:
    """Read a file that is one JSON value.

    Raises:
        OSError: as :func:`read_text`.
        ValueError: it is not JSON, is nested too deeply, or has a number with thousands of digits.
    """
    return parse_json(read_text(path, most))


def json_text(value: object, indent: int | None = None) -> str:
    """Encode one JSON value, with letters of any script as they are.

    A lone surrogate, as in a file name that is not UTF-8, is no letter; a value that has one is written in escapes.
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if _is_utf_8(text) else json.dumps(value, indent=indent)


def _is_utf_8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(text: str | bytes) -> Any:
    """Decode one JSON value.

    Raises:
        ValueError: as :func:`read_json`.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_depth(value)
    return value


def check_depth(value: Any) -> None:
    """Refuse dictionaries and lists in which what walks through them would run out of stack.

    Raises:
        ValueError: they are nested more than 100 deep.
    """
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (
                cast("dict[str, Any]", outer).values() if isinstance(outer, dict) else cast("list[Any]", outer)
            )
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")
