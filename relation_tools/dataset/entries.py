"""Entries of a paired dataset: pictures with before on the left and after on the right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from relation_core.errors import DatasetError
from relation_core.samples.json_values import Located, Unreadable, read_values

from .problems import Problem

INSTRUCTION, PICTURE = "edit_instruction", "img_name"
DESCRIPTIONS = ("left_image_description", "right_image_description")
_GROUP = re.compile(r"group\d*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PairEntry:
    """One picture of a paired dataset."""

    task: str
    picture: str
    """Its path relative to the dataset's folder, with forward slashes."""
    instruction: str
    where: str
    """The file and line that list it."""


def dataset_folder(pairs: Path) -> Path:
    """Return the folder that picture names are relative to."""
    return pairs if pairs.is_dir() else pairs.parent


def listing_files(pairs: Path) -> list[Path]:
    """Find the files that list entries: every ``labels.json`` below a folder, or else its ``.jsonl`` and ``.json``.

    Raises:
        DatasetError: there is none.
    """
    if pairs.is_file():
        return [pairs]
    if not pairs.is_dir():
        raise DatasetError(f"There is no file or folder '{pairs}'. Give a paired dataset: a folder, .jsonl or .json.")
    found = sorted(pairs.rglob("labels.json"))
    found = found or sorted(path for path in pairs.iterdir() if path.suffix.lower() in (".jsonl", ".json"))
    if not found:
        raise DatasetError(
            f"The folder '{pairs}' holds no paired dataset: expected <task>/Group1/labels.json, or .jsonl or .json "
            "files in it. Give the folder that the tasks lie in."
        )
    return found


def read_entries(pairs: Path) -> Iterator[PairEntry | Problem]:
    """Yield the entries of a paired dataset in the order of its files, and a problem for each one that is broken.

    Raises:
        DatasetError: nothing lists entries.
    """
    root = dataset_folder(pairs)
    for file in listing_files(pairs):
        name = file.relative_to(root).as_posix()
        fallback = _folder_task(root) if file.name == "labels.json" else file.stem
        count = 0
        try:
            for located in read_values(file):
                count += 1
                yield from _read_entry(located, name, fallback)
        except OSError as error:
            yield Problem("broken", name, "", f"the file cannot be read: {error.strerror or error}")
        else:
            if count == 0:
                yield Problem("broken", name, "", "the file lists no entries")


def _read_entry(located: Located, file: str, fallback: str) -> Iterator[PairEntry | Problem]:
    where = f"{file}:{located.line}"
    try:
        fields = _fields(located.value)
        instruction, name = _text(fields, INSTRUCTION), _text(fields, PICTURE)
        picture = _inside(PurePosixPath(file).parent, name)
    except _BrokenEntryError as error:
        yield Problem("broken", where, error.picture, str(error))
        return
    yield PairEntry(_task(picture) or fallback, picture, instruction, where)


class _BrokenEntryError(Exception):
    def __init__(self, reason: str, picture: str = "") -> None:
        super().__init__(reason)
        self.picture = picture


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, Unreadable):
        raise _BrokenEntryError(value.reason)
    if not isinstance(value, dict):
        raise _BrokenEntryError(f"expected an object with {PICTURE} and {INSTRUCTION}, found {_kind(value)}")
    fields = cast("dict[str, Any]", value)
    if "cond1" in fields and PICTURE not in fields:
        raise _BrokenEntryError("this is a sample of a run-ready dataset already, not an entry of a paired one")
    return fields


def _text(fields: dict[str, Any], key: str) -> str:
    name = fields.get(PICTURE)
    picture = name.encode(errors="replace").decode() if isinstance(name, str) else ""
    if key not in fields:
        raise _BrokenEntryError(f"it has no '{key}'", picture)
    value = fields[key]
    if not isinstance(value, str):
        raise _BrokenEntryError(f"'{key}' should be text, found {_kind(value)}", picture)
    if not value.strip():
        raise _BrokenEntryError(f"'{key}' is empty", picture)
    if any(0xD800 <= ord(letter) < 0xE000 for letter in value):
        raise _BrokenEntryError(f"'{key}' is not valid Unicode text", picture)
    return value.strip()


def _inside(folder: PurePosixPath, name: str) -> str:
    """Resolve a picture's name lexically: links are followed, but no name may leave the dataset."""
    parts = list(folder.parts)
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        raise _BrokenEntryError(f"'{PICTURE}' is an absolute path; expected one relative to the file", name)
    if "\0" in name:
        raise _BrokenEntryError(f"'{PICTURE}' holds a NUL character", name.replace("\0", "\\0"))
    for part in PurePosixPath(name).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise _BrokenEntryError(f"'{PICTURE}' leads out of the dataset's folder", name)
    return "/".join(parts)


def _task(picture: str) -> str:
    """Name the task after the picture's folders, without the hub's ``Group1``."""
    folders = list(PurePosixPath(picture).parent.parts)
    if folders and _GROUP.fullmatch(folders[-1]):
        folders.pop()
    return "/".join(folders)


def _folder_task(root: Path) -> str:
    folder = root.resolve()
    return folder.parent.name if _GROUP.fullmatch(folder.name) else folder.name


def _kind(value: Any) -> str:
    kinds = ((dict, "an object"), (list, "an array"), (str, "text"), (bool, "true or false"), (type(None), "null"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number")
