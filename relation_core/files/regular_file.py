"""Open files that may not be trusted: regular files only, and never more of one than is expected.

A pipe or a device under a file's name can block for ever or never end; so can a link to one.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
SETTINGS_BYTES = 16 << 20
"""The largest file of settings, records or workflows that is read."""


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a file for reading bytes; links are followed.

    Args:
        path: the file.
        most: bytes that it may have; None for any number.

    Raises:
        OSError: it is missing, no regular file, or larger.
    """
    _check(path, path.stat(), most)  # opening some devices has effects, and opening a pipe waits
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _check(path, os.fstat(file.fileno()), most)  # another may lie there by now
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """Read a file whole.

    Raises:
        OSError: it is missing, no regular file, or larger than ``most`` bytes, whatever size it claims to have.
    """
    with open_regular(path, most) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, len(data), most)
    return data


def _check(path: Path, found: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "no regular file")
        raise OSError(errno.EINVAL, f"it is {kind}; expected a regular file", str(path))
    if most is not None and found.st_size > most:
        raise _too_large(path, found.st_size, most)


def _too_large(path: Path, size: int, most: int) -> OSError:
    return OSError(errno.EFBIG, f"it has {size / 1e6:,.1f} MB; expected at most {most / 1e6:,.1f} MB", str(path))
