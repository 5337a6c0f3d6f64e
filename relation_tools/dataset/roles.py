"""Words that name the picture before an edit, and the picture after it, in columns, folders and file names."""

from __future__ import annotations

import re
from enum import Enum

_BEFORE = frozenset(("before", "source", "src", "input", "control", "original", "orig", "conditioning", "condition"))
_AFTER = frozenset(("after", "target", "tgt", "output", "edited", "result"))
_ANY = frozenset(("image", "img", "picture", "pic", "photo", "file", "filename", "filepath", "name", "path"))
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+|[^\W\dA-Za-z_]+")
_BREAK = re.compile(r"([._\- ]+)")
_LONGEST = 3
"""Words of a role, such as ``input_image_file``."""


class Role(Enum):
    """What a picture is in a pair."""

    BEFORE = "before"
    AFTER = "after"
    ANY = "picture"
    """It is called a picture, and nothing else."""


def role_of(name: str) -> Role | None:
    """Tell what a column, a folder or a part of a file name calls its pictures; None where it is another word."""
    words = [word.lower() for word in _WORD.findall(name)]
    named = {word for word in map(_singular, words) if word not in _ANY}
    if not named:
        return Role.ANY if words else None
    if len(named) > 1:
        return None
    return Role.BEFORE if named <= _BEFORE else Role.AFTER if named <= _AFTER else None


def split_role(stem: str) -> tuple[str, Role] | None:
    """Split a file name, without its ending, into what both pictures of a pair share and this one's role.

    The role stands last or first: ``cat_before``, ``0001.input_image``, ``target-7``; or alone, and nothing is shared.
    None where the name tells no role.
    """
    parts = _BREAK.split(stem)
    for count in range(_LONGEST, 0, -1):
        size = 2 * count - 1
        for words, key in ((parts[-size:], parts[: -size - 1]), (parts[:size], parts[size + 1 :])):
            role = role_of("".join(words))
            if role in (Role.BEFORE, Role.AFTER) and len(words) == size:
                return "".join(key), role
    return None


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and word[:-1] in _BEFORE | _AFTER | _ANY else word
