"""Read JSON values one by one from ``.jsonl`` and ``.json`` files, skipping what is broken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..files.regular_file import open_regular, read_regular

_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_FIRST_WINDOW, _LONGEST = 1 << 12, 1 << 20
"""Characters in which a value is looked for at first, and the most that one value may have."""
_SPENT_ON_DEPTH = 10_000
"""Characters that a value counts as if it is nested too deeply."""
_BYTES = 128 << 20
"""The largest file that is held in memory, in bytes."""
_STREAMED = 2 << 30
"""The largest file that is read line by line, in bytes."""


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

    The objects may be spread over lines and have commas between them, as in the authors' README. Something broken is
    yielded as :class:`Unreadable`, and reading resumes at the next line or object. A ``.jsonl`` with one object a line
    is streamed; other files are held in memory as text.

    The time is linear in the file's length, whatever it contains.

    Raises:
        OSError: the file cannot be read, is no regular file, or is larger than 2 GiB,
            or than 128 MiB where it has to be held in memory.
    """
    yield from _lines(path) if _is_line_by_line(path) else _document(path)


def _is_line_by_line(path: Path) -> bool:
    if path.suffix.lower() != ".jsonl":
        return False
    with open_regular(path, _STREAMED) as file:
        first = next((line for line in _split(file) if line.strip()), b"")
    return isinstance(_decode_line(first), dict)


def _lines(path: Path) -> Iterator[Located]:
    with open_regular(path, _STREAMED) as file:
        for number, line in enumerate(_split(file), 1):
            if line.strip():
                yield Located(number, _decode_line(line))


def _split(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; a line over the limit is cut just above it."""
    while line := file.readline(_LONGEST + 1):
        yield line
        while len(line) > _LONGEST and not line.endswith(b"\n"):
            line = file.readline(_LONGEST + 1)


def _decode_line(line: bytes) -> Any:
    if len(line) > _LONGEST:
        return Unreadable(f"the line is longer than {_LONGEST:,} bytes")
    try:
        return json.loads(line.decode("utf-8-sig").strip().rstrip(","))
    except UnicodeDecodeError as error:
        return Unreadable(f"the line is not UTF-8 text: {error.reason} at byte {error.start + 1}")
    except ValueError as error:
        return Unreadable(f"the line is not JSON: {error}")
    except RecursionError:
        return Unreadable("the line is not usable JSON: it is nested too deeply")


def _document(path: Path) -> Iterator[Located]:
    text = _text(path)
    position, line, counted = 0, 1, 0
    budget = 4 * len(text) + (1 << 22)  # limits what is read in vain: broken values may be nested
    while True:
        position = _skip(text, position)
        line, counted = line + text.count("\n", counted, position), position
        if position == len(text):
            return
        value, end, spent = _next_value(text, position)
        budget -= spent
        if isinstance(value, Unreadable):
            end = _next_object(text, position + 1) if budget > 0 else len(text)
            lost = text.count("\n", counted, end)
            value = Unreadable(f"not JSON from here on for {max(lost, 1)} line(s): {value.reason}")
        position = end
        yield Located(line, value)


def _text(path: Path) -> str:
    data = read_regular(path, _BYTES)
    encoding = json.detect_encoding(data)
    return data.decode(encoding, errors="surrogateescape" if encoding.startswith("utf-8") else "replace")


def _next_value(text: str, position: int) -> tuple[Any, int, int]:
    """Decode the value at a position; return it, where it ends, and how many characters were read in vain."""
    decoder, spent, length = json.JSONDecoder(), 0, _FIRST_WINDOW
    while True:
        window = text[position : position + length]
        cut = position + length < len(text)
        try:
            value, end = decoder.raw_decode(window)
        except json.JSONDecodeError as error:
            spent += len(window) if error.msg.startswith("Unterminated") else error.pos
            open_ended = error.pos > len(window) - 16 or error.msg.startswith("Unterminated")
            if not (cut and open_ended and length < _LONGEST):
                return Unreadable(_brief(error)), position, spent
        except (ValueError, RecursionError) as error:
            return Unreadable(_brief(error)), position, spent + _SPENT_ON_DEPTH
        else:
            if not cut or end < len(window):
                return value, position + end, spent
        length *= 16


def _next_object(text: str, position: int) -> int:
    """Find the next ``{`` that begins a line, or follows a comma; the text's end, if there is none."""
    while (found := text.find("{", position)) >= 0:
        before = text[position:found]
        filled = before.rstrip()
        if filled.endswith(",") or "\n" in before[len(filled) :]:
            return found
        position = found + 1
    return len(text)


def _skip(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    return found.end() if found else position


def _brief(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
