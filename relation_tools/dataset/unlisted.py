"""What lies in a paired dataset and is passed over, since no list names it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ..picture_listing import list_pictures
from .entries import listing_files
from .problems import Problem

_NAMED = 10
"""Pictures of a folder that are named one by one."""


def unlisted(pairs: Path, out: Path, listed: Collection[str]) -> Iterator[Problem]:
    """Yield a note for every folder with pictures that no entry names, and for every list that is not read.

    Args:
        pairs: the dataset; for a list in place of a folder there are none, since anything may lie beside it.
        out: a folder that may lie in it and is no part of it.
        listed: the pictures that entries name, relative to the dataset.

    Raises:
        OSError: a folder cannot be read.
    """
    if not pairs.is_dir():
        return
    read = set(listing_files(pairs))
    for path in sorted(path for path in pairs.iterdir() if path.suffix.lower() in (".jsonl", ".json")):
        if path not in read:
            yield Problem("note", path.name, "", "it is not read, since labels.json files list the pictures")
    folders: dict[str, list[str]] = {}
    for path in list_pictures(pairs, below=True).pictures:
        name = path.relative_to(pairs)
        if name.as_posix() not in listed and out not in path.parents:
            folders.setdefault(name.parent.as_posix(), []).append(name.name)
    for folder, names in folders.items():
        shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        yield Problem("note", folder, "", f"no list names {len(names)} pictures there: {shown}")
