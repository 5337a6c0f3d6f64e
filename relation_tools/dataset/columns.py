"""Which columns of a listing name the pictures of a pair, their instruction and their task."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from relation_core.pictures.picture_file import readable_suffixes

from .roles import Role, role_of

INSTRUCTIONS = (
    *("edit_instruction", "instruction", "edit_prompt", "editing_prompt", "edit_text", "edit"),
    *("edited_prompt_list", "prompt", "text", "caption"),
)
"""Names of the column that says what the edit is; the first of them that is there is taken."""
TASKS = ("task", "task_name", "edit_task", "edit_type", "task_type")


class UnclearColumnsError(Exception):
    """Several columns may be the same picture of a pair."""


@dataclass(frozen=True)
class Columns:
    """Names of a listing's columns."""

    before: str
    after: str
    instruction: str | None
    task: str | None


def find_columns(pictures: Collection[str], texts: Collection[str]) -> Columns | None:
    """Find the columns of a pair; None where there are no two such pictures.

    Args:
        pictures: names of columns with pictures, or with paths of some.
        texts: names of columns with text.

    Raises:
        UnclearColumnsError: several columns fit one role.
    """
    found: dict[Role, list[str]] = {role: [] for role in Role}
    for name in pictures:
        role = role_of(name)
        if role is not None:
            found[role].append(name)
    if not found[Role.BEFORE] and not found[Role.AFTER]:
        return None
    before = found[Role.BEFORE] or found[Role.ANY]
    after = found[Role.AFTER] or found[Role.ANY]
    for role, names in (("before", before), ("after", after)):
        if len(names) > 1:
            shown = ", ".join(f"'{name}'" for name in sorted(names))
            raise UnclearColumnsError(
                f"the columns {shown} may all be the picture {role}; expected one column each, such as 'source' and "
                "'target'. Rename or remove the others"
            )
    if not before or not after:
        return None
    return Columns(before[0], after[0], _first(INSTRUCTIONS, texts), _first(TASKS, texts))


def columns_of_rows(rows: Iterable[Mapping[str, Any]]) -> Columns | None:
    """Find the columns of a listing by some of its rows: columns with pictures are those that mostly name files.

    Raises:
        UnclearColumnsError: as :func:`find_columns`.
    """
    values: dict[str, list[Any]] = {}
    for row in rows:
        for key, value in row.items():
            if value is not None:
                values.setdefault(key, []).append(value)
    pictures = [key for key, some in values.items() if 2 * sum(map(_names_picture, some)) > len(some)]
    texts = [key for key in values if key not in pictures]
    return find_columns(pictures, texts)


def first_text(value: Any) -> Any:
    """Give the first of a list, which some datasets have in place of a text, and anything else as it is."""
    several = cast("list[Any]", value) if isinstance(value, list) else [value]
    return several[0] if several else None


def _names_picture(value: Any) -> bool:
    return isinstance(value, str) and PurePosixPath(value).suffix.lower() in readable_suffixes()


def _first(wanted: Iterable[str], names: Collection[str]) -> str | None:
    by_lower = {name.lower(): name for name in names}
    return next((by_lower[name] for name in wanted if name in by_lower), None)
