"""What lies in a paired dataset and is passed over, since no entry names it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from posixpath import splitext

from relation_core.pictures.picture_file import readable_suffixes

from .archives import ARCHIVES, OTHERS
from .layouts import Layout
from .listings import LISTS
from .problems import Problem
from .table_file import TABLES
from .tree import Tree

_NAMED = 10
"""Pictures of a folder that are named one by one."""


def unlisted(tree: Tree, layout: Layout, prefix: str, listed: Collection[str]) -> Iterator[Problem]:
    """Yield a note for every folder with pictures that no entry names, and for every list or archive that is not read.

    Args:
        tree: the dataset's files.
        layout: what is read of them.
        prefix: what comes before its files' paths in ``listed``.
        listed: the pictures that entries name.
    """
    lists = sorted({file.rpartition("/")[2] for file in layout.lists})
    known = set(layout.read)
    for file in tree.files:
        unread = file.lower().endswith((*TABLES, *ARCHIVES)) or (
            lists and "/" not in file and file.lower().endswith(LISTS)
        )
        if unread and file not in known:
            yield Problem("note", file, "", f"it is not read, since {_reason(lists)}")
        elif file.lower().endswith(OTHERS) and not file.lower().endswith(ARCHIVES):
            yield Problem("note", file, "", "it is not read: archives of this kind are not; unpack it")
    for link in tree.links:
        yield Problem("note", link, "", "it is a link to a folder, which is not followed; give the folder itself")
    folders: dict[str, list[str]] = {}
    for file in tree.files:
        if prefix + file not in listed and splitext(file)[1].lower() in readable_suffixes():
            folder, _, name = file.rpartition("/")
            folders.setdefault(folder or ".", []).append(name)
    for folder, names in folders.items():
        shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        told = f"no list names {len(names)} pictures there" if lists else f"{len(names)} pictures there are of no pair"
        yield Problem("note", folder, "", f"{told}: {shown}")


def _reason(lists: list[str]) -> str:
    if not lists:
        return "pictures that make pairs lie beside it"
    return f"{', '.join(lists[:_NAMED])}{', ...' if len(lists) > _NAMED else ''} files list the pictures"
