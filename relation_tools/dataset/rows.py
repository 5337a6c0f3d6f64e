"""One row of a listing as an entry."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any, cast

from relation_core.samples.json_values import Located, Unreadable

from .columns import Columns, first_text
from .pair_entry import PairEntry, task_of_double, task_of_two
from .problems import Problem
from .roles import split_role

INSTRUCTION, PICTURE = "edit_instruction", "img_name"
DESCRIPTIONS = ("left_image_description", "right_image_description")


class BrokenRowError(Exception):
    """A row that no entry can be made of."""

    def __init__(self, reason: str, picture: str = "") -> None:
        super().__init__(reason)
        self.picture = picture


class RowReader:
    """Makes entries of the rows of one file."""

    def __init__(self, root: Path, file: str, fallback: str, columns: Columns | None) -> None:
        """Take what the rows have in common.

        Args:
            root: the dataset's folder.
            file: the listing's path relative to it.
            fallback: the task of pictures whose folders name none.
            columns: of two pictures; None where one shows both halves, as on the hub.
        """
        self._root, self._file, self._fallback, self._columns = root, file, fallback, columns

    def read(self, located: Located) -> PairEntry | Problem:
        """Read one row."""
        where = f"{self._file}:{located.line}"
        try:
            fields = _fields(located.value, self._columns)
            return self._double(fields, where) if self._columns is None else self._two(fields, self._columns, where)
        except BrokenRowError as error:
            return Problem("broken", where, error.picture, str(error))

    def _double(self, fields: dict[str, Any], where: str) -> PairEntry:
        instruction, name = _text(fields, INSTRUCTION, PICTURE), _text(fields, PICTURE, PICTURE)
        picture = self._located(name, PICTURE)
        task = task_of_double(PurePosixPath(picture).parent.parts)
        return PairEntry(sys.intern(task or self._fallback), picture, instruction, where)

    def _two(self, fields: dict[str, Any], columns: Columns, where: str) -> PairEntry:
        before, after = (
            self._located(_text(fields, key, columns.before), key) for key in (columns.before, columns.after)
        )
        instruction = ""
        if columns.instruction:
            said = {**fields, columns.instruction: first_text(fields.get(columns.instruction))}
            instruction = _text(said, columns.instruction, columns.before)
        named = _task(fields, columns.task, columns.before) if columns.task else ""
        shared = split_role(PurePosixPath(before).stem)
        if before == after:
            raise BrokenRowError(f"'{columns.before}' and '{columns.after}' are one file", before)
        task = sys.intern(named or _common_task(before, after) or self._fallback)
        return PairEntry(task, before, instruction, where, after, shared[0] if shared else "")

    def _located(self, name: str, key: str) -> str:
        """Give a picture's path relative to the dataset's folder: it is one relative to the listing, or to there."""
        beside = _inside(PurePosixPath(self._file).parent, name, key)
        if "/" in self._file and not _is_there(self._root / beside):
            below = _inside(PurePosixPath(), name, key)
            if _is_there(self._root / below):
                return below
        return beside


def _common_task(before: str, after: str) -> str:
    """Name a task after the folders that both pictures lie in: those that differ say which picture is which."""
    folders = set(PurePosixPath(after).parent.parts)
    return task_of_two(name for name in PurePosixPath(before).parent.parts if name in folders)


def _fields(value: Any, columns: Columns | None) -> dict[str, Any]:
    wanted = (PICTURE, INSTRUCTION) if columns is None else (columns.before, columns.after)
    if isinstance(value, Unreadable):
        raise BrokenRowError(value.reason)
    if not isinstance(value, dict):
        raise BrokenRowError(f"expected an object with {' and '.join(wanted)}, found {_kind(value)}")
    fields = cast("dict[str, Any]", value)
    if "cond1" in fields and PICTURE not in fields:
        raise BrokenRowError("this is a sample of a run-ready dataset already, not an entry of a paired one")
    return fields


def _text(fields: dict[str, Any], key: str, picture_key: str) -> str:
    name = fields.get(picture_key)
    picture = name.encode(errors="replace").decode() if isinstance(name, str) else ""
    if key not in fields:
        raise BrokenRowError(f"it has no '{key}'", picture)
    value = fields[key]
    if not isinstance(value, str):
        raise BrokenRowError(f"'{key}' should be text, found {_kind(value)}", picture)
    if not value.strip():
        raise BrokenRowError(f"'{key}' is empty", picture)
    if any(0xD800 <= ord(letter) < 0xE000 for letter in value):
        raise BrokenRowError(f"'{key}' is not valid Unicode text", picture)
    return value.strip()


def _task(fields: dict[str, Any], key: str, picture_key: str) -> str:
    """A row's task, which may be a number; empty where the row has none."""
    value = fields.get(key)
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and not math.isnan(value):
        return str(int(value) if value.is_integer() else value)
    if type(value) is int:
        return str(value)
    return "" if value is None or isinstance(value, float) else _text(fields, key, picture_key)


def _inside(folder: PurePosixPath, name: str, key: str) -> str:
    """Resolve a picture's name lexically: links are followed, but no name may leave the dataset.

    A backslash divides folders, as in lists that were made on Windows.
    """
    parts = list(folder.parts)
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        raise BrokenRowError(f"'{key}' is an absolute path; expected one relative to the file", name)
    if "\0" in name:
        raise BrokenRowError(f"'{key}' holds a NUL character", name.replace("\0", "\\0"))
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise BrokenRowError(f"'{key}' leads out of the dataset's folder", name)
    return "/".join(parts)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _kind(value: Any) -> str:
    kinds = ((dict, "an object"), (list, "an array"), (str, "text"), (bool, "true or false"), (type(None), "null"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")
