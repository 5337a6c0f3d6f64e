"""How long work reports that it goes on, and how it is told to stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told how much there is to do, then once for every piece of work done; it may raise to stop the work."""

    def start(self, total: int) -> None:
        """Say how many pieces of work there are. The worker whose loop it is says so, before the first piece."""
        ...

    def step(self) -> None:
        """Report one piece of work."""
        ...


class ByteProgress(Protocol):
    """Called as bytes arrive; it may raise to stop, and what has arrived is kept for the next time."""

    def __call__(self, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` bytes are on disk."""
        ...


class Silent:
    """Progress that nobody watches."""

    def start(self, total: int) -> None:
        """Do nothing."""

    def step(self) -> None:
        """Do nothing."""
