"""Pairs in one folder: ``1.before.png`` and ``1.after.png``, or ``1/source.jpg`` and ``1/target.jpg``.

So do the pairs of webdataset shards, once they are unpacked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from relation_core.pictures.picture_file import readable_suffixes

from .caption_tables import CaptionTables
from .captions import CAPTION_WORDS, CAPTIONS, by_ending
from .found_pairs import FoundPair, entries_of_pairs
from .pair_entry import PairEntry, task_of_two
from .problems import Problem
from .roles import Role, split_role
from .tree import Tree


@dataclass
class _Sample:
    """What shares a name in a folder."""

    pictures: dict[Role, list[str]] = field(default_factory=lambda: {role: [] for role in Role})
    texts: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def side(self, role: Role) -> list[str]:
        """Its pictures in a role; those without a role take the one that is free."""
        other = Role.AFTER if role is Role.BEFORE else Role.BEFORE
        return self.pictures[role] or (self.pictures[Role.ANY] if self.pictures[other] else [])

    @property
    def is_pair(self) -> bool:
        return len(self.side(Role.BEFORE)) == len(self.side(Role.AFTER)) == 1


Samples = dict[str, dict[str, _Sample]]
"""By folder, and by what their names share."""


def find_paired_names(tree: Tree) -> Samples:
    """Find the folders in which pictures' names make pairs."""
    found: Samples = defaultdict(lambda: defaultdict(_Sample))
    for file in tree.files:
        path = PurePosixPath(file)
        suffix = path.suffix.lower()
        if suffix in readable_suffixes():
            key, role = split_role(path.stem) or (path.stem, Role.ANY)
            found[_folder(path)][key].pictures[role].append(file)
        elif suffix in CAPTIONS:
            for key, rank in _texts_of(path.stem):
                found[_folder(path)][key].texts.append((rank, file))
    return {folder: keys for folder, keys in found.items() if any(sample.is_pair for sample in keys.values())}


def _folder(path: PurePosixPath) -> str:
    folder = path.parent.as_posix()
    return "" if folder == "." else folder


def _texts_of(stem: str) -> Iterator[tuple[str, int]]:
    """The names that a text may belong to, and how likely it is theirs: the lower, the likelier."""
    yield stem, 0
    shared = split_role(stem)
    if shared:
        yield shared[0], 2 if shared[1] is Role.AFTER else 3
    *start, last = re.split(r"[._\- ]", stem)
    if last.lower() in CAPTION_WORDS:
        yield stem[: -len(last) - 1] if start else "", 1


def read_paired_names(tables: CaptionTables, samples: Samples, dataset: str) -> Iterator[PairEntry | Problem]:
    """Yield the pairs of such folders, and a problem for each picture that has no counterpart, or several.

    Args:
        tables: the dataset's files of many texts.
        samples: those of :func:`find_paired_names`.
        dataset: the dataset's name, for pairs whose folders name no task.
    """
    alone = [folder for folder, keys in samples.items() if "" in keys and keys[""].is_pair]
    for folder, keys in samples.items():
        if folder not in alone:
            yield from _entries(tables, folder or ".", keys, dataset)
    parents: dict[str, dict[str, _Sample]] = defaultdict(dict)
    for folder in alone:
        parent, _, name = folder.rpartition("/")
        parents[parent][name] = samples[folder][""]
        yield from (
            _no_pair(folder, sample) for key, sample in samples[folder].items() if key and _tells_a_role(sample)
        )
    for parent, keys in parents.items():
        yield from _entries(tables, parent or ".", keys, dataset)


def _entries(
    tables: CaptionTables, where: str, keys: dict[str, _Sample], dataset: str
) -> Iterator[PairEntry | Problem]:
    folder = "" if where == "." else where
    task = task_of_two(PurePosixPath(where).parts) or dataset
    found: list[FoundPair] = []
    for key, sample in keys.items():
        if sample.is_pair:
            before, after = sample.side(Role.BEFORE)[0], sample.side(Role.AFTER)[0]
            texts = tuple(file for _, file in sorted(sample.texts, key=lambda text: (text[0], by_ending(text[1]))))
            found.append(FoundPair(task, before, after, texts, f"{folder}/{key}".lstrip("/"), key))
        elif _tells_a_role(sample):
            yield _no_pair(where, sample)
    yield from entries_of_pairs(tables, where, ("", folder), found)


def _tells_a_role(sample: _Sample) -> bool:
    return bool(sample.pictures[Role.BEFORE] or sample.pictures[Role.AFTER])


def _no_pair(where: str, sample: _Sample) -> Problem:
    files: Sequence[str] = [file for role in Role for file in sample.pictures[role]]
    shown = ", ".join(f"'{PurePosixPath(file).name}'" for file in files)
    reason = f"{shown} {'make' if len(files) > 1 else 'makes'} no pair; expected one picture before and one after"
    return Problem("broken", where, files[0], reason)
