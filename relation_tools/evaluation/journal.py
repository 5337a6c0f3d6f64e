"""A journal of submitted and failed samples on disk, so that an evaluation resumes after a crash."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, cast, get_args

from relation_core.files.json_file import json_text, parse_json
from relation_core.files.regular_file import open_regular

from .errors import EvaluationError

_LONGEST = 1 << 20
"""Bytes of a line."""
_BYTES = 256 << 20
"""The most that is read of a journal."""
_LOG = logging.getLogger(__name__)
Event = Literal["submitted", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal."""

    event: Event
    sample: int
    server: str = ""
    prompt: str = ""
    """The id that the prompt has at the server."""
    message: str = ""
    made_of: str = ""
    """Names the contents of the pictures that the sample was made of."""


class Journal:
    """A file to which lines are appended; each is on the disk before :meth:`add` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        cut = _is_cut(path)
        self._file = path.open("ab")
        if cut:
            self._file.write(b"\n")  # a killed process left half a line

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Add a line."""
        self._file.write(json_text(asdict(entry)).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_journal(path: Path) -> list[Entry]:
    """Read the whole lines of a journal; there are none where there is no file. Damaged ones are counted.

    Raises:
        EvaluationError: it cannot be read.
    """
    found: list[Entry] = []
    damaged = 0
    try:
        with open_regular(path, _BYTES) as file:
            while line := file.readline(_LONGEST):
                entry = _entry(line)
                found += [entry] if entry is not None else []
                damaged += entry is None and bool(line.strip())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error
    if damaged:
        _LOG.warning("%d lines of '%s' are damaged; what they told counts as not done.", damaged, path)
    return found


def _is_cut(path: Path) -> bool:
    """Whether a journal ends in the middle of a line.

    Raises:
        EvaluationError: it cannot be read.
    """
    try:
        with open_regular(path) as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> EvaluationError:
    return EvaluationError(f"Cannot read the journal '{path}': {error.strerror or error}. Remove it, or its folder.")


def _entry(line: bytes) -> Entry | None:
    try:
        entry = Entry(**cast("dict[str, object]", parse_json(line)))  # pyright: ignore[reportArgumentType]
    except (ValueError, TypeError):
        return None
    texts = (entry.server, entry.prompt, entry.message, entry.made_of)
    known = entry.event in get_args(Event) and type(entry.sample) is int
    return entry if known and all(type(text) is str for text in texts) else None


def last_entries(entries: list[Entry]) -> dict[int, Entry]:
    """Return the last entry of every sample."""
    return {entry.sample: entry for entry in entries}
