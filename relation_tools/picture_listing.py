"""The pictures of a folder, and the files that are skipped."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relation_core.errors import printable
from relation_core.pictures.picture_file import readable_suffixes

_NAMED = 10
"""Files that are named one by one."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureListing:
    """The files of a folder, sorted by name; folders and hidden files are ignored."""

    pictures: tuple[Path, ...]
    """Files with the extension of a readable picture."""
    others: tuple[Path, ...]
    """All other files, and entries that are not regular files."""


def list_pictures(folder: Path) -> PictureListing:
    """List a folder.

    Raises:
        OSError: it cannot be read.
    """
    found = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    readable = [path for path in found if path.suffix.lower() in readable_suffixes() and path.is_file()]
    taken = set(readable)
    return PictureListing(tuple(readable), tuple(path for path in found if path not in taken))


def warn_of_others(others: Sequence[Path]) -> None:
    """Report which files are skipped, and how many of each kind."""
    if not others:
        return
    kinds = Counter(path.suffix.lower() or "no ending" for path in others)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    names = ", ".join(path.name for path in others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
    _LOG.warning(
        "%d files in '%s' are passed over (%s): %s. Pictures are files that end in %s; convert others first.",
        *(len(others), printable(str(others[0].parent)), printable(counts), printable(names)),
        ", ".join(readable_suffixes()),
    )
