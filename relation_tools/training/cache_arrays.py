"""Arrays on disk that several processes use, row by row: read and written with calls that fail, not through a mapping.

Touching a mapped page ends the process (SIGBUS) where the file was cut short meanwhile, or the disk is full.
"""

from __future__ import annotations

import ast
import math
import os
import threading
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from relation_core.errors import DatasetError
from relation_core.files.regular_file import open_regular
from relation_core.weights.atomic import appearing

_ZEROS = bytes(1 << 20)
_HEADER_BYTES = 1 << 16


def allocate(path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    """Make an array of zeros with all its disk space allocated; an existing one is replaced, not changed.

    Raises:
        OSError: there is no room.
    """
    with appearing(path) as part, part.open("wb") as file:
        header: dict[str, Any] = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        left = math.prod(shape) * np.dtype(dtype).itemsize
        if hasattr(os, "posix_fallocate") and left:
            file.flush()
            os.posix_fallocate(file.fileno(), file.tell(), left)
            return
        while left:
            left -= file.write(_ZEROS[:left])


class RowArray:
    """An array in a ``.npy`` file, whose first axis is read and written by rows.

    Args:
        path: the file.
        file: opened, without a buffer.
        start: where the values begin in it, in bytes.
        shape: of the array.
        dtype: of its values.
    """

    def __init__(self, path: Path, file: FileIO, start: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._path, self._file, self._start = path, file, start
        self.shape, self.dtype = shape, dtype
        self._row = math.prod(shape[1:]) * dtype.itemsize
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.shape[0]

    def __del__(self) -> None:
        self._file.close()

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read rows by their numbers, of any shape: (*rows.shape, *shape[1:]).

        Raises:
            DatasetError: the file was cut short, or cannot be read.
        """
        flat = rows.reshape(-1)
        found = np.empty((len(flat), *self.shape[1:]), self.dtype)
        view = memoryview(cast("Any", found)).cast("B") if found.nbytes else memoryview(b"")
        with self._lock:
            for place, row in enumerate(flat):
                self._read_row(int(row), view[place * self._row : (place + 1) * self._row])
        return found.reshape(*rows.shape, *self.shape[1:])

    def write(self, rows: np.ndarray | list[int], values: np.ndarray) -> None:
        """Write rows, one value a row.

        Raises:
            OSError: the disk is full, or broken.
        """
        with self._lock:
            for row, value in zip(rows, np.ascontiguousarray(values, self.dtype), strict=True):
                self._file.seek(self._start + int(row) * self._row)
                left = memoryview(value.tobytes())
                while left:
                    left = left[self._file.write(left) :]

    def sync(self) -> None:
        """Bring what was written to the disk.

        Raises:
            OSError: it cannot be.
        """
        os.fsync(self._file.fileno())

    def _read_row(self, row: int, view: memoryview) -> None:
        done = 0
        try:
            self._file.seek(self._start + row * self._row)
            while done < len(view) and (count := cast("Any", self._file).readinto(view[done:])):
                done += count
        except OSError as error:
            raise DatasetError(
                f"Cannot read '{self._path}': {error.strerror or error}. Check the disk, and run again."
            ) from error
        if done < len(view):
            raise DatasetError(
                f"'{self._path}' was cut short while it was read. Expected the cache to stay as it is: run again, and "
                "it is made anew."
            )


def open_rows(path: Path, shape: tuple[int, ...], dtype: Any, writable: bool = False) -> RowArray | None:
    """Open an array; None where it is missing, damaged, or of another shape."""
    try:
        file = open_regular(path)
    except (OSError, ValueError):
        return None
    try:
        start = _values_start(file, shape, np.dtype(dtype))
        if start is not None and writable:
            file.close()
            file = path.open("r+b")
        if start is not None:
            return RowArray(path, cast("Any", file).detach(), start, shape, np.dtype(dtype))
    except (OSError, ValueError, EOFError, SyntaxError, RecursionError, MemoryError, TypeError, KeyError):
        pass
    file.close()
    return None


def _values_start(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int | None:
    """Where the values begin; None where the header or the file's length is another array's."""
    expected: dict[str, Any] = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    head = file.read(_HEADER_BYTES)
    length = 10 + int.from_bytes(head[8:10], "little")
    if head[:8] != b"\x93NUMPY\x01\0" or length > len(head):
        return None
    found: Any = ast.literal_eval(head[10:length].decode("latin-1"))
    whole = file.seek(0, os.SEEK_END) == length + math.prod(shape) * dtype.itemsize
    return length if found == expected and whole else None
