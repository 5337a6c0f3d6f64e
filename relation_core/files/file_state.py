"""What changes when a file is replaced, so that nothing that was made of the old one is taken for the new one's."""

from __future__ import annotations

import stat
from hashlib import blake2b
from pathlib import Path

from .regular_file import open_regular

_HASHED = 16 << 20
"""Bytes up to which contents are hashed: relations, pictures and small models, in 20 ms at most."""


def entry_state(path: Path) -> tuple[int, int, int, int]:
    """A file's length, times and number.

    A copy can bring its old time of modification along. The time of the last change to the file's entry, which a
    Unix system sets by itself, and the file's number tell it all the same. Windows has no such time: there, what is
    written into a file in place, as long as what it replaces, with its old time set again, is not seen.

    Raises:
        OSError: there is no file.
    """
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def file_state(path: Path) -> tuple[object, ...]:
    """A file's path and :func:`entry_state`, and for one of up to 16 MB a hash of its contents.

    Raises:
        OSError: there is no file, or it cannot be read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode) or state.st_size > _HASHED:
        return str(path), *entry_state(path)
    with open_regular(path) as file:
        return str(path), *entry_state(path), blake2b(file.read(_HASHED), digest_size=16).hexdigest()
