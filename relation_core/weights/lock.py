"""Locks between processes: files that the system unlocks when their process ends, however it ends.

The library ``filelock`` is not used: it leaves its file behind, and on systems without locks its lock outlives a killed
process. Versions before 3.20.1, which ComfyUI allows, empty the target of a link in the lock's place.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from ..errors import RelationAdapterError, printable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""A link in the lock's place is not followed, and a pipe does not block."""
_TRIES = 100
_LOCK = ".relation-adapter.lock"
_POLL = 0.1
"""Seconds between two tries while waiting."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_LOG = logging.getLogger(__name__)


class BusyError(RelationAdapterError):
    """Another process is doing the same work in the same place."""


@contextmanager
def alone_in(folder: Path, work: str, wait: bool = False) -> Generator[None]:
    """Keep other processes out of a folder during the block; it is made if need be. A kill releases the folder.

    Args:
        folder: the folder. If nothing is written to it, a folder that was made is removed again.
        work: the activity there, such as "training in".
        wait: wait until the others are done in place of an error.

    Raises:
        BusyError: another process is in it.
        OSError: the folder cannot be written.
    """
    with _made(folder), _locked(folder / _LOCK, folder, work, wait):
        yield


@contextmanager
def alone_at(file: Path, work: str) -> Generator[None]:
    """Keep other processes from making the same file in the block, as :func:`alone_in` keeps them out of a folder.

    Raises:
        BusyError: another process makes it.
        OSError: its folder cannot be written.
    """
    name = blake2b(file.name.casefold().encode(errors="surrogatepass"), digest_size=8).hexdigest()
    with _made(file.parent), _locked(file.with_name(f".relation-adapter-{name}.lock"), file, work, wait=False):
        yield


@contextmanager
def _made(folder: Path) -> Generator[None]:
    """Make a folder and those around it; remove again what is still empty after the block."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # it is not empty
            for path in made:
                path.rmdir()


@contextmanager
def _locked(path: Path, place: Path, work: str, wait: bool) -> Generator[None]:
    try:
        lock = _take(path)
        if lock is None and wait:
            _LOG.info("Another process is %s '%s'; waiting for it.", work, printable(str(place)))
        while lock is None and wait:
            time.sleep(_POLL)
            lock = _take(path)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise OSError(error.errno, error.strerror, str(place)) from error
        path.unlink(missing_ok=True)
        _LOG.warning("The disk of '%s' has no locks. Let no other process write there.", printable(str(place)))
        yield
        return
    if lock is None:
        raise BusyError(
            f"Another process is {work} '{printable(str(place))}'. Expected no other: wait for it to finish and run "
            "again, or choose another place."
        )
    try:
        yield
    finally:
        drop_lock(path, lock)


def _take(path: Path) -> int | None:
    path.parent.mkdir(parents=True, exist_ok=True)  # another process may have removed it, having put nothing there
    return take_lock(path)


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
