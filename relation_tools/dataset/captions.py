"""Texts that lie beside pictures, in files of their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from relation_core.files.json_file import parse_json, read_text

from .columns import INSTRUCTIONS, TASKS, first_text

CAPTIONS = (".txt", ".caption", ".json")
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


def read_caption(root: Path, file: str) -> Caption:
    """Read a caption: a text, or a JSON object with an instruction.

    Raises:
        CaptionError: the file cannot be read, or says nothing.
    """
    try:
        text = read_text(root / file, _MOST)
        fields: Any = parse_json(text) if file.lower().endswith(".json") else {INSTRUCTIONS[0]: text}
    except OSError as error:
        raise CaptionError(f"'{file}' cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CaptionError(f"'{file}' is no usable text: {error}") from error
    known = cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
    instruction, task = _found(known, INSTRUCTIONS), _found(known, TASKS)
    if not instruction:
        raise CaptionError(f"'{file}' holds no instruction")
    return Caption(instruction, task)


def _found(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = first_text(fields.get(name))
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""
