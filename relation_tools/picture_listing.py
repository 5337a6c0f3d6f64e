"""The pictures of a folder, and the files that are skipped."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from relation_core.errors import printable
from relation_core.pictures.picture_file import readable_suffixes

_NAMED = 10
"""Files that are named one by one."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureListing:
    """The files of a folder, sorted by name; hidden files are ignored."""

    pictures: tuple[Path, ...]
    """Files with the extension of a readable picture."""
    others: tuple[Path, ...]
    """All other files, and entries that are not regular files."""


def list_pictures(folder: Path, below: bool = False) -> PictureListing:
    """List a folder.

    Args:
        folder: the folder.
        below: list the folders in it too, except hidden ones and links.

    Raises:
        OSError: it cannot be read.
    """
    found = sorted(path for path in _files(folder, below) if not path.name.startswith("."))
    readable = [path for path in found if path.suffix.lower() in readable_suffixes() and path.is_file()]
    taken = set(readable)
    return PictureListing(tuple(readable), tuple(path for path in found if path not in taken))


def _files(folder: Path, below: bool) -> Iterator[Path]:
    if not below:
        yield from (path for path in folder.iterdir() if not path.is_dir())
        return

    def fail(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files)


def warn_of_others(others: Sequence[Path], folder: Path) -> None:
    """Report which files of a folder are skipped, and how many of each kind."""
    if not others:
        return
    kinds = Counter(path.suffix.lower() or "no ending" for path in others)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    shown = [str(path.relative_to(folder)) for path in others[:_NAMED]]
    names = ", ".join([*shown, "..."] if len(others) > _NAMED else shown)
    _LOG.warning(
        "%d files in '%s' are passed over (%s): %s. Pictures are files that end in %s; convert others first.",
        *(len(others), printable(str(folder)), printable(counts), printable(names)),
        ", ".join(readable_suffixes()),
    )
