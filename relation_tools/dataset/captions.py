"""Texts that lie beside pictures, in files of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import splitext
from typing import Any, cast

from relation_core.files.json_file import parse_json, read_text

from .columns import INSTRUCTIONS, TASKS, first_text

CAPTIONS = (".txt", ".caption", ".json")
"""Endings of their files; where several are of one name, the first says what the edit is."""
CAPTION_WORDS = frozenset(
    f"{word}{plural}" for word in ("caption", "text", "txt", "prompt", "instruction") for plural in ("", "s")
)
"""What folders of captions are called, and parts of their files' names."""
_MOST = 1 << 20


class CaptionError(Exception):
    """A file of text that cannot be used."""


@dataclass(frozen=True)
class Caption:
    """What a file beside a pair says."""

    instruction: str
    task: str = ""


def read_captions(root: Path, files: Sequence[str]) -> Caption:
    """Read the files of one pair: the instruction of the first, and the first task that one of them names.

    A file is a text, or a JSON object with an instruction.

    Args:
        root: the dataset's folder.
        files: paths relative to it, the likeliest first.

    Raises:
        CaptionError: a file cannot be read, or the first says nothing.
    """
    read = [caption_of(_fields(root, file)) for file in files if file == files[0] or _is_json(file)]
    if not read[0].instruction:
        raise CaptionError(f"'{files[0]}' holds no instruction")
    return Caption(read[0].instruction, next((caption.task for caption in read if caption.task), ""))


def by_ending(file: str) -> int:
    """Sort key of files of one name, the likeliest first."""
    return CAPTIONS.index(splitext(file)[1].lower())


def caption_of(fields: dict[str, Any], further: Sequence[str] = ()) -> Caption:
    """Find the instruction and the task in an object; empty where it has none.

    Args:
        fields: the object.
        further: names of an instruction where it has none of the usual ones.
    """
    return Caption(_found(fields, (*INSTRUCTIONS, *further)), _found(fields, TASKS))


def _fields(root: Path, file: str) -> dict[str, Any]:
    try:
        text = read_text(root / file, _MOST)
        fields: Any = parse_json(text) if _is_json(file) else {INSTRUCTIONS[0]: text}
    except OSError as error:
        raise CaptionError(f"'{file}' cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CaptionError(f"'{file}' is no usable text: {error}") from error
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}


def _is_json(file: str) -> bool:
    return file.lower().endswith(".json")


def _found(fields: dict[str, Any], names: Sequence[str]) -> str:
    for name in names:
        value = first_text(fields.get(name))
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""
