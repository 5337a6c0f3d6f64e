"""Entries of pairs that were found by their names, with the texts beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .caption_tables import CaptionTable, CaptionTables
from .captions import CAPTION_WORDS, CAPTIONS, Caption, CaptionError, read_captions
from .pair_entry import PairEntry
from .problems import Problem


@dataclass(frozen=True, slots=True)
class FoundPair:
    """Two pictures, by their paths relative to the dataset."""

    task: str
    before: str
    after: str
    captions: tuple[str, ...]
    """Files that may say what the edit is, the likeliest first."""
    shared: str
    """What the names share, as a path relative to the dataset."""
    name: str = ""
    """What their halves are called; empty for the name of the picture before."""


def entries_of_pairs(
    tables: CaptionTables, where: str, folders: Sequence[str], pairs: Sequence[FoundPair]
) -> Iterator[PairEntry | Problem]:
    """Yield the entries of one folder's pairs. Where some have texts, all must; where none has, one may be for all.

    Args:
        tables: the dataset's files of many texts.
        where: the folder, for messages.
        folders: those in which such files are looked for.
        pairs: its pairs.
    """
    root = tables.tree.root
    shared = [name for word in sorted(CAPTION_WORDS) if (root / (name := f"{where}/{word}.txt")).is_file()]
    found: list[CaptionTable] = []
    for one in tables.in_folders(folders, {file for pair in pairs for file in pair.captions}):
        if isinstance(one, Problem):
            yield one
        else:
            found.append(one)
    said = [_said(tables, pair, found, shared) for pair in pairs]
    captioned = any(said)
    if pairs and not captioned:
        wanted = f"expected {' or '.join(CAPTIONS[:2])} files of the pictures' names for others"
        yield Problem(
            "note", where, "", f"no texts lie beside its pictures: the text of its samples is empty; {wanted}"
        )
    for pair, caption in zip(pairs, said, strict=True):
        if isinstance(caption, CaptionError):
            yield Problem("broken", where, pair.before, str(caption))
        elif captioned and caption is None:
            yield Problem("broken", where, pair.before, "no text of this name lies beside it, as with other pictures")
        else:
            yield _entry(pair, caption or Caption(""), where)


def _said(
    tables: CaptionTables, pair: FoundPair, found: Sequence[CaptionTable], shared: Sequence[str]
) -> Caption | CaptionError | None:
    """What the texts say of a pair: its own, then those of many, then that of all; None where there is none."""
    try:
        if pair.captions:
            return read_captions(tables.tree.root, pair.captions)
        for path in (pair.after, pair.before, pair.shared):
            for table in found:
                caption = table.find(path)
                if caption is not None:
                    return caption
        return read_captions(tables.tree.root, shared[:1]) if shared else None
    except CaptionError as error:
        return error


def _entry(pair: FoundPair, caption: Caption, where: str) -> PairEntry:
    task = sys.intern(caption.task or pair.task)
    return PairEntry(task, pair.before, caption.instruction, where, pair.after, pair.name)
