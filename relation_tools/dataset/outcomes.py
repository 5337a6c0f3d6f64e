"""Outcomes of the pictures that a build split, recorded so that a kill loses none."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from relation_core.files.file_state import entry_state
from relation_core.files.json_file import read_json
from relation_core.weights.atomic import write_whole

_LOG = logging.getLogger(__name__)
_FORMAT = 2
"""Increased when the same picture gives other halves, so that old records are not reused."""


@dataclass(frozen=True, slots=True)
class SplitJob:
    """A pair to be written as halves."""

    picture: str
    """The picture that shows both halves, or the one before, by its path relative to the dataset."""
    halves: str
    """The halves' path, without ending."""
    after: str = ""
    """The picture after; empty where ``picture`` is to be split."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for a picture: ``error``, or two files and their contents."""

    error: str = ""
    notes: tuple[str, ...] = ()
    before: str = ""
    """Path of the file relative to the run-ready dataset; likewise ``after``."""
    after: str = ""
    bytes: tuple[int, int] = (0, 0)
    """Lengths of the two files."""
    size: tuple[int, int] = (0, 0)
    """Width and height of both halves."""
    digests: tuple[str, str] = ("", "")
    """Hashes of the halves' pixels as they were split, before they were encoded."""


@dataclass(frozen=True)
class Folders:
    """The folders that a build reads, writes, and resumes from."""

    pairs: Path
    out: Path

    @property
    def records(self) -> Path:
        """Outcomes of the chunks that are done."""
        return self.out / ".build" / "split"


def record_chunk(folders: Folders, index: int, chunk: Sequence[SplitJob], outcomes: Sequence[Outcome]) -> None:
    """Record how a chunk's first pictures ended; usually all of them."""
    record = {"key": _key(chunk, folders), "outcomes": [asdict(outcome) for outcome in outcomes]}
    write_whole(_record_path(folders, index), json.dumps(record).encode())


def recorded_chunk(folders: Folders, index: int, chunk: Sequence[SplitJob]) -> list[Outcome]:
    """Give the recorded outcomes of a chunk's first pictures.

    There are none if any of its pictures has changed, or if any of the halves has.
    """
    path = _record_path(folders, index)
    if not path.exists():
        return []
    try:
        record = read_json(path)
        if record["key"] != _key(chunk, folders):
            return []
        outcomes = [_outcome(fields) for fields in record["outcomes"]]
        fits = len(outcomes) <= len(chunk)
        return outcomes if fits and all(_there(folders, outcome) for outcome in outcomes) else []
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        _LOG.warning("The record '%s' is damaged (%s); its pictures are split again.", path, error)
        return []


def _record_path(folders: Folders, index: int) -> Path:
    return folders.records / f"{index:06d}.json"


def _outcome(fields: dict[str, Any]) -> Outcome:
    """Read an outcome.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    pairs: dict[str, Any] = {key: tuple(fields[key]) for key in ("notes", "bytes", "size", "digests")}
    found = Outcome(**{**fields, **pairs})
    kinds = ((str, found.notes), (int, found.bytes), (int, found.size), (str, found.digests))
    texts = (found.error, found.before, found.after)
    whole = all(type(one) is kind for kind, several in kinds for one in several) and all(map(_is_text, texts))
    if not whole or not len(found.bytes) == len(found.size) == len(found.digests) == 2:
        raise ValueError("an outcome is of another form")
    if not found.error and not (found.before and found.after and all(map(bytes.fromhex, found.digests))):
        raise ValueError("an outcome lacks its halves")
    return found


def _is_text(value: object) -> bool:
    return type(value) is str


def _there(folders: Folders, outcome: Outcome) -> bool:
    if outcome.error:
        return True
    files = zip((outcome.before, outcome.after), outcome.bytes, strict=True)
    return all(_length(folders.out / name) == length for name, length in files)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _key(chunk: Sequence[SplitJob], folders: Folders) -> str:
    """Hash everything that a chunk's outcomes depend on: the pictures' names, and what changes when one is replaced."""
    key = blake2b(str(_FORMAT).encode(), digest_size=16)
    for job in chunk:
        seen = [_state(folders.pairs / name) for name in (job.picture, job.after) if name]
        key.update(repr((job, seen)).encode())
    return key.hexdigest()


def _state(path: Path) -> object:
    try:
        return entry_state(path)
    except (OSError, ValueError):
        return None
