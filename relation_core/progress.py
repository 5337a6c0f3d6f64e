"""How long work reports that it goes on, and how it is told to stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called once for every piece of work done; it may raise to stop the work."""

    def step(self) -> None:
        """Report one piece of work."""
        ...


class Silent:
    """Progress that nobody watches."""

    def step(self) -> None:
        """Do nothing."""
