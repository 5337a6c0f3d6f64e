"""One entry of a paired dataset, and what its task is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .roles import role_of

_GROUP = re.compile(r"group\d*", re.IGNORECASE)
_SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"))
_SETS = frozenset(("data", "dataset", "pairs", "part", "shard", "shards"))
_SHARD = re.compile(r"([._-]*(part|shard)[._-]*\d+|[._-]?\d{3,})([._-]of[._-]\d+)?([._-][0-9a-f]{8,})?$", re.IGNORECASE)
"""A shard's number: three digits or more, as tools write it, or after a word that says so."""


@dataclass(frozen=True, slots=True)
class PairEntry:
    """A pair: one picture that shows both halves, or two pictures."""

    task: str
    picture: str
    """Its path relative to the dataset's folder, with forward slashes; where there are two, that of the one before."""
    instruction: str
    where: str
    """The file and line that list it, or the folder that it was found in."""
    after: str = ""
    """The path of the picture after; empty where ``picture`` shows both."""
    name: str = ""
    """What its halves are called; empty for the name of ``picture``."""


def task_of_double(folders: Iterable[str]) -> str:
    """Name the task of a picture that shows both halves after its folders, without the hub's ``Group1``."""
    return "/".join(name for name in folders if not _GROUP.fullmatch(name))


def task_of_two(folders: Iterable[str]) -> str:
    """Name the task of two pictures after their folders, without what is a group, a split, a role or no name at all."""
    return "/".join(name for name in folders if not _says_nothing(name))


def task_of_packed(stem: str, otherwise: str) -> str:
    """Name the task of what lies in an archive or a table after it, without a shard's number.

    Args:
        stem: the file's name without its ending.
        otherwise: what to take where the name says nothing, as ``train-00000-of-00004`` does.
    """
    name = _SHARD.sub("", stem).strip("._- ")
    return otherwise if not name or _says_nothing(name) else name


def _says_nothing(name: str) -> bool:
    return bool(_GROUP.fullmatch(name)) or name.lower() in _SPLITS | _SETS or role_of(name) is not None
