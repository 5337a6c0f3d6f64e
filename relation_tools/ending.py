"""Requests to end a command: Ctrl-C, and the signals by which systems end programs."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_REQUESTS: list[signal.Signals] = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
_SAME = 2.0
"""Seconds in which a further signal repeats a request: ``timeout`` signals a command, and then its group."""
_AGAIN = 0.05
"""Seconds until an interrupt that got lost is raised again."""


class Requests:
    """Tells requests to end from their repetitions."""

    def __init__(self) -> None:
        self._repeated_until = float("-inf")

    def is_new(self) -> bool:
        """Take note of a signal, and say whether it is a request and not the last one once more."""
        if time.monotonic() < self._repeated_until:
            return False
        self._repeated_until = time.monotonic() + _SAME
        return True

    def forget(self) -> None:
        """Take the next signal for a request."""
        self._repeated_until = float("-inf")


@contextmanager
def ending_cleanly() -> Generator[None]:
    """Let a request to end raise once in the block, unless its signal is ignored, as under ``nohup``.

    Raises:
        KeyboardInterrupt: one arrived.
    """
    requests = Requests()

    def end(_number: int, _frame: FrameType | None) -> None:
        if requests.is_new():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _REQUESTS}
    before = {n: handler for n, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)}
    with _handled_by(end, before), _raised_again(requests, list(before)):
        yield


@contextmanager
def uninterrupted() -> Generator[None]:
    """Put off requests to end until the block has ended.

    Processes that start in it put them off until they call :func:`interruptible`, so that none ends half-started.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _REQUESTS} if main else {}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        with _handled_by(note, before), _blocked():
            yield
    finally:
        for number in came[:1]:
            signal.raise_signal(number)


def interruptible() -> None:
    """Let requests through to a process that was started in :func:`uninterrupted`."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)


def interrupt(number: signal.Signals) -> None:
    """Signal the main thread from another, also where it waits for the system."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        _thread.interrupt_main(number)


@contextmanager
def _handled_by(handle: Callable[[int, FrameType | None], None], before: dict[signal.Signals, Any]) -> Generator[None]:
    """Handle some signals in the block in place of the handlers that they had before."""
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _raised_again(requests: Requests, numbers: list[signal.Signals]) -> Generator[None]:
    """Raise an interrupt once more where Python drops it: in a destructor, or in a callback as its imports have."""
    before, waiting = sys.unraisablehook, list[threading.Timer]()

    def look(dropped: Any) -> None:
        if not numbers or not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        requests.forget()
        waiting.append(threading.Timer(_AGAIN, interrupt, numbers[:1]))
        waiting[-1].start()

    sys.unraisablehook = look
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in waiting:
            timer.cancel()


@contextmanager
def _blocked() -> Generator[None]:
    """Have the system hold back requests in the block, where it can, from this thread and what it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
