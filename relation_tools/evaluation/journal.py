"""What was submitted and what failed, on disk, so that an evaluation goes on after a crash."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, cast, get_args

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


class Journal:
    """A file that lines are added to; each is on the disk before :meth:`add` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")  # a killed process left half a line

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Add a line."""
        self._file.write(json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read_journal(path: Path) -> list[Entry]:
    """Read the whole lines of a journal; there are none where there is no file."""
    if not path.exists():
        return []
    return [entry for line in path.read_bytes().splitlines() if (entry := _entry(line)) is not None]


def _entry(line: bytes) -> Entry | None:
    try:
        entry = Entry(**cast("dict[str, object]", json.loads(line)))  # pyright: ignore[reportArgumentType]
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (entry.server, entry.prompt, entry.message)
    known = entry.event in get_args(Event) and type(entry.sample) is int
    return entry if known and all(type(text) is str for text in texts) else None


def last_entries(entries: list[Entry]) -> dict[int, Entry]:
    """Give the last entry of every sample."""
    return {entry.sample: entry for entry in entries}
