"""The files of a folder and of the folders below it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_LISTS = (".json", ".jsonl", ".csv")
"""A folder that is called like a list is listed too, so that reading it says what is wrong."""
_SYSTEM = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))
"""What operating systems leave in folders and archives."""


@dataclass(frozen=True)
class Tree:
    """The files below a folder, by their paths relative to it with forward slashes."""

    root: Path
    files: tuple[str, ...]
    """Folder by folder, sorted; without hidden ones."""
    links: tuple[str, ...]
    """Links to folders, which are not followed."""

    def below(self, folder: str) -> Sequence[str]:
        """Give the files below one of its folders; all for an empty name."""
        start, end = self._spans.get(folder, (0, 0)) if folder else (0, len(self.files))
        return self.files[start:end]

    def folders(self) -> dict[str, list[str]]:
        """Give the names of the folders in each folder that has some."""
        found: dict[str, list[str]] = {}
        for folder in self._spans:
            parent, _, name = folder.rpartition("/")
            found.setdefault(parent, []).append(name)
        return {parent: sorted(names) for parent, names in found.items()}

    @cached_property
    def _spans(self) -> dict[str, tuple[int, int]]:
        """Where a folder's files begin and end: they follow each other."""
        spans: dict[str, tuple[int, int]] = {}
        for number, file in enumerate(self.files):
            place = file.rfind("/")
            while place >= 0:
                folder = file[:place]
                spans[folder] = (spans.get(folder, (number, 0))[0], number + 1)
                place = file.rfind("/", 0, place)
        return spans


def is_passed_over(name: str) -> bool:
    """Tell whether a file or folder is hidden, or an operating system's."""
    return name.startswith(".") or name in _SYSTEM


def look_through(root: Path, leave_out: Path | None = None) -> Tree:
    """List a folder and all below it.

    Args:
        root: the folder.
        leave_out: a folder that may lie in it and is no part of it.

    Raises:
        OSError: a folder cannot be read.
    """
    files: list[str] = []
    links: list[str] = []
    real, left_out = Path(os.path.realpath(root)), leave_out and Path(os.path.realpath(leave_out))

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(root, onerror=fail):
        inside = Path(place).relative_to(root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        kept = sorted(name for name in folders if not is_passed_over(name) and real / inside / name != left_out)
        links += [prefix + name for name in kept if Path(place, name).is_symlink()]
        folders[:] = kept
        names += [name for name in kept if name.endswith(_LISTS)]
        files += [prefix + name for name in sorted(names) if not is_passed_over(name)]
    return Tree(root, tuple(files), tuple(links))
