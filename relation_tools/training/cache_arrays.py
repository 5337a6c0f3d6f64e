"""Arrays on disk that several processes map: they appear whole and are never truncated while mapped."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from relation_core.weights.atomic import appearing

_ZEROS = bytes(1 << 20)


def allocate(path: Path, shape: tuple[int, ...], dtype: Any) -> None:
    """Make an array of zeros with all its disk space allocated; an existing one is replaced, not changed.

    Raises:
        OSError: there is no room. Without it a write to the mapped array would end the process.
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


def mapped(path: Path, shape: tuple[int, ...], dtype: Any, writable: bool = False) -> np.ndarray | None:
    """Map an array; None where it is missing, damaged, or of another shape."""
    try:
        array = np.load(path, mmap_mode="r")
        if writable:
            array = np.load(path, mmap_mode="r+")  # it would extend a truncated file, so it does not come first
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.dtype(dtype) else None
