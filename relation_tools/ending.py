"""Requests to end a command: Ctrl-C, and the signals by which systems end programs."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_REQUESTS: list[signal.Signals] = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
_SAME = 2.0
"""Seconds in which a further signal repeats a request: ``timeout`` signals a command, and then its group."""
_AGAIN = 0.05
"""Seconds until an interrupt that got lost is raised again."""
_IMPORTING = "<frozen importlib._bootstrap>"
"""The file of the frames that import a module."""


def forget_interrupts() -> None:
    """Let the process end with the status that it gives, after an interrupt that was caught.

    Where one came out of the code of a string, as dataclasses run it, Python notes it down, and ends by SIGINT whatever
    becomes of it: unless another string is run.
    """
    exec("")  # noqa: S102 - which clears the note


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

    def end(_number: int, frame: FrameType | None) -> None:
        if requests.is_new():
            again.look_after(frame)
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _REQUESTS}
    before = {n: handler for n, handler in before.items() if handler in (signal.SIG_DFL, signal.default_int_handler)}
    again = _RaisedAgain(requests, list(before))
    with _handled_by(end, before), again.watching():
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


class _RaisedAgain:
    """Raises an interrupt once more where it gets lost.

    Python drops one in a destructor, and in a callback as its imports have. A module that is being imported drops one
    where it takes any exception for the lack of a library.
    """

    def __init__(self, requests: Requests, numbers: list[signal.Signals]) -> None:
        self._requests, self._numbers = requests, numbers
        self._waiting: threading.Timer | None = None

    @contextmanager
    def watching(self) -> Generator[None]:
        """Look for lost interrupts in the block."""
        before = sys.unraisablehook

        def look(dropped: Any) -> None:
            if not self._numbers or not issubclass(dropped.exc_type, KeyboardInterrupt):
                before(dropped)
                return
            self._after_a_while(self._raise)

        sys.unraisablehook = look
        try:
            yield
        finally:
            sys.unraisablehook = before
            self._cancel()

    def look_after(self, frame: FrameType | None) -> None:
        """See to it that the interrupt which is about to be raised here leaves the import that it is raised in."""
        importing = [each for each in _frames(frame) if each.f_code.co_filename == _IMPORTING]
        if importing:
            self._after_a_while(partial(self._raise_within, importing[-1]))

    def _raise_within(self, frame: FrameType) -> None:
        main = threading.main_thread().ident or 0
        now = sys._current_frames().get(main)  # pyright: ignore[reportPrivateUsage] - there is no other way
        if any(each is frame for each in _frames(now)):
            self._raise()

    def _raise(self) -> None:
        self._requests.forget()
        interrupt(self._numbers[0])

    def _after_a_while(self, act: Callable[[], None]) -> None:
        self._cancel()
        self._waiting = threading.Timer(_AGAIN, act)
        self._waiting.start()

    def _cancel(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


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
