"""Files that appear whole or not at all, whenever the process is killed or the power fails."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .lock import take_lock

_LOCK, _PART = "lock", "part"
_RIGHTS = 0o777


@contextmanager
def appearing(target: Path, synced: bool = True) -> Generator[Path]:
    """Give the name of a file to write, which becomes ``target`` if the block ends well and is removed if not.

    The file is flushed to the disk before it gets its name. It replaces what has that name (a link itself, not what it
    points to) and keeps the rights of a file that it replaces; a new file has the rights that the umask gives. Until
    then it lies in a hidden folder beside ``target``, in a folder that is locked while its process lives; the next file
    that appears there removes those of dead processes.

    Args:
        target: the file.
        synced: wait until it is on the disk; else the power may fail before it is, and it can be cut short.

    Raises:
        OSError: the file cannot be written. What had the name stays as it was.
    """
    folder = _LockedFolder.beside(target)
    part = folder.path / _PART
    try:
        yield part
        _finish(part, _rights_of(target, folder.rights), synced)
        part.replace(target)
        if synced:
            _sync_folder(target.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part)):  # a write to a full disk names no file
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
    finally:
        folder.remove()


def write_whole(target: Path, data: bytes, synced: bool = True) -> None:
    """Put ``data`` at ``target`` in one step, as :func:`appearing` does; folders are made if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with appearing(target, synced) as part:
        part.write_bytes(data)


@contextmanager
def appearing_text(target: Path) -> Generator[TextIO]:
    """Open a UTF-8 file for writing, which appears as by :func:`appearing`; folders are made if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with appearing(target) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield file


def _unfinished_in(folder: Path) -> Path:
    """The hidden folder of what is unfinished in a folder: one for every user, since users cannot enter each other's.

    Looking for what dead processes left costs the same, however many files lie beside it.
    """
    user = "" if sys.platform == "win32" else f"-{os.getuid()}"
    return folder / f".relation-adapter{user}.parts"


def _clear(unfinished: Path) -> None:
    """Remove what processes that are dead left unfinished."""
    with os.scandir(unfinished) as entries:
        found = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    for path in found:
        with suppress(OSError):  # no locks here, or another process clears it now
            lock = take_lock(path / _LOCK)
            if lock is not None:
                _remove_locked(path, lock)


def _remove_locked(folder: Path, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
    if os.name == "nt":  # there, a file that is open stays
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _LockedFolder:
    """A new folder that no other process writes to; its name is short, whatever the file's."""

    path: Path
    lock: int | None
    """None where the file system has no locks: then others cannot tell that its process is dead, and leave it."""
    rights: int
    """Of a file that this process makes, by its umask."""

    @staticmethod
    def beside(target: Path) -> _LockedFolder:
        try:
            made = None
            while made is None:
                made = _LockedFolder._made(target.parent)
        except FileExistsError:
            raise
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from error
        return made

    @staticmethod
    def _made(folder: Path) -> _LockedFolder | None:
        """Make one, or None where another process takes it for a dead one's, or removes the folder around it."""
        unfinished = _unfinished_in(folder)
        with suppress(FileExistsError):
            unfinished.mkdir(mode=0o700)
        path = unfinished / secrets.token_hex(8)
        try:
            if not stat.S_ISDIR(unfinished.lstat().st_mode):  # never clear where a link leads
                raise FileExistsError(errno.EEXIST, "It is a link or a file; expected a folder", str(unfinished))
            _clear(unfinished)
            path.mkdir(mode=0o700)
            lock = _take(path / _LOCK)
            return _LockedFolder(path, lock, stat.S_IMODE((path / _LOCK).stat().st_mode) & _RIGHTS)
        except (FileNotFoundError, _ClearedError):
            return None

    def remove(self) -> None:
        if self.lock is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            _remove_locked(self.path, self.lock)
        with suppress(OSError):  # others write here still
            self.path.parent.rmdir()


class _ClearedError(Exception):
    """Another process took a new folder for a dead one's, in the moment before it was locked."""


def _take(path: Path) -> int | None:
    path.touch()
    try:
        lock = take_lock(path)
    except FileNotFoundError:
        raise
    except OSError:  # no locks on this file system
        return None
    if lock is None:
        raise _ClearedError
    return lock


def _rights_of(target: Path, new: int) -> int:
    """Of the file that has the name; ``new`` where there is none, or another thing."""
    try:
        found = target.lstat()
    except OSError:
        return new
    return stat.S_IMODE(found.st_mode) & _RIGHTS if stat.S_ISREG(found.st_mode) else new


def _finish(part: Path, rights: int, synced: bool) -> None:
    with part.open("r+b") as file:
        part.chmod(rights)
        if synced:
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where folders can be opened."""
    if os.name == "nt":
        return
    with suppress(OSError):  # some network file systems cannot, some folders may not be read; the file itself is there
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
