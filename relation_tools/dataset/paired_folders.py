"""Pairs whose pictures lie in two folders, under equal names: ``before/1.png`` and ``after/1.jpg``."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import splitext

from relation_core.pictures.picture_file import readable_suffixes

from .caption_tables import CaptionTables
from .captions import CAPTION_WORDS, CAPTIONS, by_ending
from .found_pairs import FoundPair, entries_of_pairs
from .pair_entry import PairEntry, task_of_two
from .problems import Problem
from .roles import Role, role_of
from .tree import Tree

Files = dict[str, list[str]]
"""Files of a folder by their path below it, without their ending."""


@dataclass(frozen=True)
class PairedFolders:
    """Two folders beside each other, of the pictures before and after."""

    parent: str
    """Their folder's path relative to the dataset; empty for the dataset itself."""
    before: tuple[str, ...]
    """Names of the folders that may hold the pictures before: one, or nothing tells which is meant."""
    after: tuple[str, ...]
    captions: tuple[str, ...]


def find_paired_folders(tree: Tree) -> list[PairedFolders]:
    """Find folders whose names say that one holds what the other's pictures were, and are not below such a folder."""
    children = tree.folders()
    found: list[PairedFolders] = []
    waiting = [""]
    while waiting:
        parent = waiting.pop()
        names = children.get(parent, [])
        pair = _pair(parent, names)
        if pair and any(_below(tree, parent, name, readable_suffixes()) for name in (*pair.before, *pair.after)):
            found.append(pair)
        inside = {*pair.before, *pair.after, *pair.captions} if pair else set[str]()
        waiting += [f"{parent}/{name}".lstrip("/") for name in reversed(names) if name not in inside]
    return found


def _pair(parent: str, names: Sequence[str]) -> PairedFolders | None:
    roles = {name: role_of(name) for name in names}
    before, after, plain = (tuple(name for name in names if roles[name] is role) for role in Role)
    if not before and not after:
        return None
    before, after = before or plain, after or plain
    if not before or not after:
        return None
    return PairedFolders(parent, before, after, tuple(name for name in names if name.lower() in CAPTION_WORDS))


def read_paired_folders(
    tables: CaptionTables, folders: Sequence[PairedFolders], dataset: str
) -> Iterator[PairEntry | Problem]:
    """Yield the pairs of such folders, and a problem for each picture that has no counterpart, or several.

    Args:
        tables: the dataset's files of many texts.
        folders: those of :func:`find_paired_folders`.
        dataset: the dataset's name, for pairs whose folders name no task.
    """
    for pair in folders:
        where = pair.parent or "."
        for role, names in (("before", pair.before), ("after", pair.after)):
            if len(names) > 1:
                shown = ", ".join(f"'{name}'" for name in names)
                yield Problem(
                    "broken", where, "", f"the folders {shown} may all hold the pictures {role}; expected one"
                )
        if len(pair.before) == len(pair.after) == 1:
            yield from _entries(tables, pair, where, dataset)


def _entries(tables: CaptionTables, pair: PairedFolders, where: str, dataset: str) -> Iterator[PairEntry | Problem]:
    tree = tables.tree
    sides = [_below(tree, pair.parent, name, readable_suffixes()) for name in (pair.before[0], pair.after[0])]
    inside = (*pair.captions, pair.after[0], pair.before[0])
    texts = [_below(tree, pair.parent, name, CAPTIONS) for name in inside]
    found: list[FoundPair] = []
    for key in sorted({*sides[0], *sides[1]}):
        before, after = (side.get(key, []) for side in sides)
        if len(before) == len(after) == 1:
            folders = (*PurePosixPath(pair.parent).parts, *PurePosixPath(key).parent.parts)
            captions = tuple(name for side in texts for name in sorted(side.get(key, ()), key=by_ending))
            shared = f"{pair.parent}/{key}".lstrip("/")
            found.append(FoundPair(task_of_two(folders) or dataset, before[0], after[0], captions, shared))
        else:
            yield _no_pair(where, before, after, pair)
    around = ("", pair.parent, *(f"{pair.parent}/{name}".lstrip("/") for name in inside))
    yield from entries_of_pairs(tables, where, around, found)


def _below(tree: Tree, parent: str, name: str, suffixes: Sequence[str]) -> Files:
    folder = f"{parent}/{name}".lstrip("/")
    found: Files = {}
    for file in tree.below(folder):
        stem, ending = splitext(file[len(folder) + 1 :])
        if ending.lower() in suffixes:
            found.setdefault(unicodedata.normalize("NFC", stem), []).append(file)
    return found


def _no_pair(where: str, before: Sequence[str], after: Sequence[str], pair: PairedFolders) -> Problem:
    for files in (before, after):
        if len(files) > 1:
            shown = ", ".join(f"'{name}'" for name in files)
            return Problem("broken", where, files[0], f"{shown} have one name: nothing tells which is meant")
    (picture,), other = (before, pair.after[0]) if before else (after, pair.before[0])
    return Problem("broken", where, picture, f"no picture of this name, with any ending, is in '{other}'")
