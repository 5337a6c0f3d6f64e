"""An open weights file, read by calls that can fail rather than through a mapping that can end the process.

Touching a mapped page of a file that has been truncated kills the process (SIGBUS); a read gives an error.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch

from ..errors import CheckpointError
from ..files.regular_file import open_regular


class OpenedFile:
    """A regular file; it is closed when the last tensor that reads from it is gone.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is missing or no regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_regular(path)
        except FileNotFoundError as error:
            raise CheckpointError(f"There is nothing at {path}; expected a file. Check the name and the folder.") from (
                error
            )
        except OSError as error:
            reason = (error.strerror or str(error)).removesuffix("; expected a regular file")
            raise CheckpointError(
                f"{path} cannot be read ({reason}); expected a file. Check the name and the folder."
            ) from error
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._state = self._found()

    @property
    def size(self) -> int:
        """Its size in bytes when it was opened."""
        return self._state[0]

    def read(self, offset: int, length: int) -> torch.Tensor:
        """Read bytes: (length,) uint8.

        Raises:
            CheckpointError: the file was changed since it was opened, or cannot be read.
        """
        if not 0 <= offset <= offset + length <= self.size:
            raise CheckpointError(
                f"{self.path} is not a complete weights file: it points to byte {offset + length:,} and has "
                f"{self.size:,}. Expected a complete download: download the file again."
            )
        data = torch.empty(length, dtype=torch.uint8)
        view, done = memoryview(cast("Any", data.numpy())), 0
        try:
            with self._lock:
                self._file.seek(offset)
                while done < length and (count := cast("Any", self._file).readinto(view[done:])):
                    done += count
                same = self._found() == self._state
        except OSError as error:
            raise CheckpointError(
                f"{self.path} cannot be read: {error.strerror or error}. Expected a whole file: "
                "check the disk, and run again."
            ) from error
        if done < length or not same:
            raise self._changed()
        return data

    @cached_property
    def mapped(self) -> mmap.mmap:
        """The whole file, mapped: for files too large for memory that no one changes in the meantime."""
        if self._found() != self._state:
            raise self._changed()
        return mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_COPY)

    def _found(self) -> tuple[int, int]:
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    def _changed(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path} was changed while it was read: it is not the file that was opened. Expected one that stays "
            "as it is: wait until it is whole, and run the loader again."
        )
