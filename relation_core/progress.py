"""Progress reports of long work, through which it can also be stopped."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the amount of work, then one call per finished piece; it may raise to stop the work."""

    def start(self, total: int) -> None:
        """Announce the number of pieces. The code that runs the loop calls this before the first piece."""
        ...

    def step(self) -> None:
        """Report one piece of work."""
        ...


class ByteProgress(Protocol):
    """Called as bytes arrive; it may raise to stop, and what has arrived is kept."""

    def __call__(self, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` bytes are on disk."""
        ...


class Silent:
    """Ignores all progress."""

    def start(self, total: int) -> None:
        """Do nothing."""

    def step(self) -> None:
        """Do nothing."""
