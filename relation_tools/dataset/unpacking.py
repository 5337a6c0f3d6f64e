"""Unpacks archives and tables into the folder of a build: nothing is written outside it, or to no end."""

from __future__ import annotations

import errno
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import IO

from relation_core.errors import DatasetError, printable
from relation_core.files.file_state import entry_state
from relation_core.files.json_file import json_text, read_json
from relation_core.pictures.picture_file import MAX_BYTES, readable_suffixes
from relation_core.weights.atomic import write_whole

from .archives import ARCHIVES, ArchiveError, DamagedWholeError, Member, members
from .budget import Budget, BudgetError
from .captions import CAPTIONS
from .listings import LISTS
from .problems import Problem
from .table_file import TABLES, TableError, is_table
from .tables import ROWS, write_rows
from .tree import is_passed_over

_FORMAT = 2
_PIECE = 1 << 20
_NAMED = 10
_ITS_OWN = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT)
"""Errors of a name, not of the disk."""


@dataclass(frozen=True)
class Packed:
    """An archive or table, and where it is unpacked."""

    path: Path
    shown: str
    """What messages call it."""
    target: Path
    record: Path


def unpack(packed: Packed, budget: Budget) -> list[Problem]:
    """Unpack a file, unless it is unpacked already; give what cannot be used of it.

    Args:
        packed: the file.
        budget: how much it may unpack to.

    Raises:
        DatasetError: the disk is full, or cannot be written.
    """
    try:
        key = _key(packed.path)
    except OSError as error:
        return [Problem("broken", packed.shown, "", f"it cannot be read: {error.strerror or error}")]
    recorded = _recorded(packed, key)
    if recorded is not None:
        return recorded
    try:
        packed.record.unlink(missing_ok=True)
        shutil.rmtree(packed.target, ignore_errors=True)
        packed.target.mkdir(parents=True)
        problems = _unpack(packed, budget)
        record = {"key": key, "problems": [asdict(problem) for problem in problems]}
        write_whole(packed.record, json_text(record).encode())
    except OSError as error:
        raise DatasetError(
            f"Cannot unpack '{printable(str(packed.path))}' to '{printable(str(packed.target))}': "
            f"{error.strerror or error}. Free some disk space there and run again."
        ) from error
    return problems


def _key(path: Path) -> str:
    return blake2b(repr((_FORMAT, entry_state(path))).encode(), digest_size=16).hexdigest()


def _recorded(packed: Packed, key: str) -> list[Problem] | None:
    try:
        record = read_json(packed.record)
        found = [Problem(**fields) for fields in record["problems"]]
        return found if record["key"] == key and packed.target.is_dir() else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _unpack(packed: Packed, budget: Budget) -> list[Problem]:
    """Unpack; what is damaged as a whole, or a bomb, leaves nothing."""
    problems: list[Problem] = []
    try:
        if is_table(packed.path):
            rows = write_rows(packed.path, packed.target, budget)
            problems += [Problem("broken", f"{packed.shown}/{ROWS}:{number}", "", reason) for number, reason in rows]
        else:
            _write_members(packed, budget, problems)
    except (BudgetError, DamagedWholeError, TableError) as error:
        shutil.rmtree(packed.target, ignore_errors=True)
        packed.target.mkdir(parents=True)
        return [Problem("broken", packed.shown, "", f"{error}. Nothing of it is used")]
    except ArchiveError as error:
        problems.append(Problem("broken", packed.shown, "", str(error)))
    return problems


def _write_members(packed: Packed, budget: Budget, problems: list[Problem]) -> None:
    useless: list[str] = []
    try:
        for member in members(packed.path, budget.take):
            budget.take_file()
            parts = PurePosixPath(member.name.replace("\\", "/")).parts
            if any(map(is_passed_over, (part for part in parts if part not in (".", "..")))):
                continue
            if member.data is not None and not _is_useful(member.name):
                useless.append(member.name)
                continue
            reason = _leads_out(member.name) or member.reason or _write(member, packed.target.joinpath(*parts))
            if reason:
                problems.append(Problem("broken", packed.shown, printable(member.name), reason))
    finally:
        if useless:
            problems.append(Problem("note", packed.shown, "", _passed_over(useless)))


def _is_useful(name: str) -> bool:
    return name.lower().endswith((*readable_suffixes(), *LISTS, *CAPTIONS, *TABLES, *ARCHIVES))


def _passed_over(names: Sequence[str]) -> str:
    kinds = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in names)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    shown = ", ".join(f"'{printable(name)}'" for name in names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} files that are neither pictures nor lists are not unpacked ({printable(counts)}): {shown}"


def _leads_out(name: str) -> str:
    plain = name.replace("\\", "/")
    if plain.startswith("/") or re.match(r"[A-Za-z]:", plain):
        return "it has an absolute path, which would be written outside the dataset"
    if ".." in plain.split("/"):
        return "its path leads out of the archive with '..'"
    return "its name is no file name" if "\0" in plain or not plain.strip("./") else ""


def _write(member: Member, target: Path) -> str:
    """Write a file that is new; return why it is no good."""
    data = member.data
    if data is None:
        return member.reason
    if member.size > MAX_BYTES and not member.name.lower().endswith((*TABLES, *ARCHIVES, *LISTS)):
        return f"it has {member.size / 1e6:,.0f} MB; expected at most {MAX_BYTES / 1e6:,.0f} MB"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            while piece := _read(data):
                file.write(piece)
    except FileExistsError:
        return "the archive has this name twice"
    except _DamagedError as error:
        target.unlink()
        return f"it is damaged: {error}"
    except OSError as error:
        if error.errno not in _ITS_OWN:
            raise
        return f"it cannot be written: {error.strerror or error}"
    return ""


class _DamagedError(Exception):
    pass


def _read(data: IO[bytes]) -> bytes:
    try:
        return data.read(_PIECE)
    except (BudgetError, DamagedWholeError):
        raise
    except Exception as error:  # a reader that meets damaged data raises whatever it runs into
        raise _DamagedError(str(error).rstrip(".") or type(error).__name__) from error
