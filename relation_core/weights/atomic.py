"""Files that appear whole or not at all, whenever the process is killed or the power fails."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from .lock import take_lock

_PREFIX, _SUFFIX = ".relation-adapter-", ".part"
_LOCK, _PART = "lock", "part"
_RIGHTS = 0o777


@contextmanager
def appearing(target: Path, synced: bool = True) -> Generator[Path]:
    """Give the name of a file to write, which becomes ``target`` if the block ends well and is removed if not.

    The file is flushed to the disk before it gets its name, replaces what has that name (a link itself, not what it
    points to), and has the rights of any file that this process makes. Until then it lies in a hidden folder beside
    ``target`` that is locked while its process lives; the next file that appears there removes those of dead processes.

    Args:
        target: the file.
        synced: wait until it is on the disk; else the power may fail before it is, and it can be cut short.

    Raises:
        OSError: the file cannot be written. What had the name stays as it was.
    """
    clear_unfinished(target.parent)
    folder = _LockedFolder.beside(target)
    try:
        part = folder.path / _PART
        yield part
        part.chmod(folder.rights)
        if synced:
            _sync_file(part)
        part.replace(target)
        if synced:
            _sync_folder(target.parent)
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


def clear_unfinished(folder: Path) -> None:
    """Remove what processes that are dead left unfinished in a folder."""
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if _is_unfinished(entry)]
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


def _is_unfinished(entry: os.DirEntry[str]) -> bool:
    named = entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)
    return named and entry.is_dir(follow_symlinks=False)


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
        while True:
            path = target.with_name(f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}")
            try:
                path.mkdir(mode=0o700)
                lock = _take(path / _LOCK)
                rights = stat.S_IMODE((path / _LOCK).stat().st_mode) & _RIGHTS
            except (FileExistsError, FileNotFoundError, _ClearedError):
                if not target.parent.is_dir():
                    raise
            else:
                return _LockedFolder(path, lock, rights)

    def remove(self) -> None:
        if self.lock is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            _remove_locked(self.path, self.lock)


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


def _sync_file(part: Path) -> None:
    with part.open("r+b") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where folders can be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot; the file itself is there
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
