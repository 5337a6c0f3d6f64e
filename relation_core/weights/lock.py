"""Locks between processes: files that the system unlocks when their process ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""A link in the lock's place is not followed, and a pipe there does not block."""
_TRIES = 100


def take_lock(path: Path) -> int | None:
    """Lock a file, which is made if need be.

    Returns:
        What :func:`drop_lock` takes, or None where another process, or another part of this one, holds the lock.

    Raises:
        OSError: the file cannot be made, or its file system has no locks.
    """
    for _ in range(_TRIES):
        descriptor = os.open(path, _FLAGS, 0o666)
        try:
            taken = _lock(descriptor)
            current = taken and _is_at(path, descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if current:
            return descriptor
        os.close(descriptor)
        if not taken:
            return None  # and where it was taken, its last holder had just removed the file: make it again
    raise OSError(errno.ELOOP, "It is a link, or is replaced all the time", str(path))


def drop_lock(path: Path, descriptor: int) -> None:
    """Remove a lock's file and unlock it."""
    if sys.platform != "win32":  # there, open files cannot be removed
        path.unlink(missing_ok=True)
    os.close(descriptor)
    if sys.platform == "win32":
        try:
            path.unlink(missing_ok=True)
        except PermissionError:  # the next process has it already
            return


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
