"""Entries of pairs that were found by their names, with the texts beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .captions import CAPTION_WORDS, CAPTIONS, Caption, CaptionError, read_caption
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
    name: str = ""
    """What their halves are called; empty for the name of the picture before."""


def entries_of_pairs(root: Path, where: str, pairs: Sequence[FoundPair]) -> Iterator[PairEntry | Problem]:
    """Yield the entries of one folder's pairs. Where some have texts, all must; where none has, one may be for all.

    Args:
        root: the dataset's folder.
        where: the folder, for messages.
        pairs: its pairs.
    """
    shared = [name for word in sorted(CAPTION_WORDS) if (root / (name := f"{where}/{word}.txt")).is_file()]
    captioned = any(pair.captions for pair in pairs) or bool(shared)
    if pairs and not captioned:
        wanted = f"expected {' or '.join(CAPTIONS[:2])} files of the pictures' names for others"
        yield Problem(
            "note", where, "", f"no texts lie beside its pictures: the text of its samples is empty; {wanted}"
        )
    for pair in pairs:
        texts = (*pair.captions, *shared)
        try:
            caption = read_caption(root, texts[0]) if texts else Caption("")
        except CaptionError as error:
            yield Problem("broken", where, pair.before, str(error))
            continue
        if captioned and not texts:
            yield Problem("broken", where, pair.before, "no text of this name lies beside it, as with other pictures")
            continue
        yield PairEntry(
            sys.intern(caption.task or pair.task), pair.before, caption.instruction, where, pair.after, pair.name
        )
