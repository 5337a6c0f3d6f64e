"""A request to stop that waits for the end of a step."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from ..ending import Requests


@contextmanager
def asked_to_stop() -> Generator[Callable[[], bool]]:
    """Yield a function that says whether a request to end has arrived; a second request ends at once."""
    asked, requests = False, Requests()

    def ask(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if requests.is_new():
            if asked:
                raise KeyboardInterrupt
            asked = True

    before = {kind: signal.signal(kind, ask) for kind in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
