"""The streams of a command, which may be closed, full or of another encoding."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

BROKEN_PIPE = 141
"""Exit status of a program whose output pipe was closed."""


def prepare_streams() -> None:
    """Show characters that the encoding lacks as escapes, and let a closed stream fail like a full one."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where it was closed
        sys.stdout = _closed(os.O_RDONLY)  # writing to it fails
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = _closed(os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Drop unwritten output, so that the interpreter does not try again at exit."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _closed(how: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.open(os.devnull, how), "w"), encoding="utf-8", write_through=True)
