"""The environment of a command: streams that are closed, full or of another encoding, and termination signals."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType

BROKEN_PIPE = 141
"""Exit status of a program whose output pipe was closed."""
_REQUESTS = ("SIGTERM", "SIGHUP")


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


@contextmanager
def ending_cleanly() -> Generator[None]:
    """Treat termination signals like Ctrl-C in the block, unless they are ignored, as under ``nohup``.

    Raises:
        KeyboardInterrupt: one arrived.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    known = [getattr(signal, name) for name in _REQUESTS if hasattr(signal, name)]
    taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _closed(how: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.open(os.devnull, how), "w"), encoding="utf-8", write_through=True)
