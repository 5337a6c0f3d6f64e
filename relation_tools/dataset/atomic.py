"""Files that appear whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class Scratch:
    """A folder of unfinished files, on the file system where the finished ones go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clear(self) -> None:
        """Make the folder, and drop what an earlier, killed process left in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        """Put ``data`` at ``path``, replacing what was there in one step."""
        unfinished = self._unfinished(path)
        unfinished.write_bytes(data)
        _publish(unfinished, path)

    @contextmanager
    def text(self, path: Path) -> Generator[TextIO]:
        """Open a UTF-8 file for writing; it appears at ``path`` when the block ends without an error."""
        unfinished = self._unfinished(path)
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(unfinished, path)

    def _unfinished(self, path: Path) -> Path:
        return self.folder / f"{os.getpid()}-{path.name}"


def _publish(unfinished: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.replace(path)
