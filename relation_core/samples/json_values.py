"""Reads JSON values one after the other from ``.jsonl`` and ``.json`` files, past what is broken in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_NEXT_OBJECT = re.compile(r"[\n,]\s*(?=\{)")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stretch of a file that is not JSON."""

    reason: str


@dataclass(frozen=True, slots=True)
class Located:
    """A value and the line, counted from 1, that it begins on."""

    line: int
    value: Any


def read_values(path: Path) -> Iterator[Located]:
    """Yield the values of a file: an array's elements, the lines of a ``.jsonl``, or objects one after the other.

    The objects may be spread over lines and have commas between them, as in the authors' README. After something
    broken, which is yielded as :class:`Unreadable`, reading goes on at the next line or object. A ``.jsonl`` with one
    object a line is streamed; other files are held in memory as text.

    Raises:
        OSError: the file cannot be read.
    """
    yield from _lines(path) if _is_line_by_line(path) else _document(path)


def _is_line_by_line(path: Path) -> bool:
    if path.suffix.lower() != ".jsonl":
        return False
    with path.open("rb") as file:
        first = next((line for line in file if line.strip()), b"")
    return isinstance(_decode_line(first), dict)


def _lines(path: Path) -> Iterator[Located]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield Located(number, _decode_line(line))


def _decode_line(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig").strip().rstrip(","))
    except UnicodeDecodeError as error:
        return Unreadable(f"the line is not UTF-8 text: {error.reason} at byte {error.start + 1}")
    except ValueError as error:
        return Unreadable(f"the line is not JSON: {error}")
    except RecursionError:
        return Unreadable("the line is not usable JSON: it is nested too deeply")


def _document(path: Path) -> Iterator[Located]:
    data = path.read_bytes()
    encoding = json.detect_encoding(data)
    text = data.decode(encoding, errors="surrogateescape" if encoding.startswith("utf-8") else "replace")
    decoder = json.JSONDecoder()
    position, line, counted = 0, 1, 0
    while True:
        position = _skip(text, position)
        line, counted = line + text.count("\n", counted, position), position
        if position == len(text):
            return
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            following = _NEXT_OBJECT.search(text, position + 1)
            position = following.end() if following else len(text)
            lost = text.count("\n", counted, position)
            value = Unreadable(f"not JSON from here on for {max(lost, 1)} line(s): {_brief(error)}")
        yield Located(line, value)


def _skip(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    return found.end() if found else position


def _brief(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
