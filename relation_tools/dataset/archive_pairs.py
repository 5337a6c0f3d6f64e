"""Pairs in two archives beside each other: ``before.zip`` and ``after.zip``, with pictures of equal names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from posixpath import basename, dirname

from relation_core.pictures.picture_file import readable_suffixes

from .archives import ARCHIVES, stem_of
from .paired_folders import PairedFolders
from .roles import Role, role_of, split_role
from .tree import Tree

SIDES = ("before", "after")
"""Folders that two archives are unpacked to."""


def grouped(packed: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield archives and tables in their order, two archives of the pictures before and after together."""
    sides: dict[tuple[str, str], dict[Role, list[str]]] = {}
    for file in packed:
        split = split_role(stem_of(basename(file))) if file.lower().endswith(ARCHIVES) else None
        if split:
            shared, role = split
            sides.setdefault((dirname(file), shared), {Role.BEFORE: [], Role.AFTER: []})[role].append(file)
    found = [(*files[Role.BEFORE], *files[Role.AFTER]) for files in sides.values() if all(map(len, files.values()))]
    pairs = [pair for pair in found if len(pair) == 2]
    first = {min(pair): pair for pair in pairs}
    inside = {file for pair in pairs for file in pair}
    for file in packed:
        if file in first or file not in inside:
            yield first.get(file, (file,))


def folders_of_two(tree: Tree) -> PairedFolders:
    """The two folders of archives that are unpacked to :data:`SIDES`, each without the one folder that was packed.

    A folder that is in both is a task's.
    """
    tops = [_top(tree, side) for side in SIDES]
    both = len({"", *tops}) == 3
    before, after = (
        f"{side}/{top}" if top and (both or role_of(top) is not None) else side
        for side, top in zip(SIDES, tops, strict=True)
    )
    return PairedFolders("", (before,), (after,), ())


def holds_pictures(tree: Tree) -> bool:
    """Tell whether there is any picture among some files."""
    return any(file.lower().endswith(readable_suffixes()) for file in tree.files)


def _top(tree: Tree, side: str) -> str:
    """The folder that all of a side lies in; empty where there is none."""
    names = tree.folders().get(side, [])
    whole = len(names) == 1 and len(tree.below(f"{side}/{names[0]}")) == len(tree.below(side))
    return names[0] if whole else ""
