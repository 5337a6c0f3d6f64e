"""Progress that holds a worker to the total it announced."""

from __future__ import annotations


class CountedProgress:
    """Counts steps, and the total of the last start; a step before any start is an error."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.taken = 0

    def start(self, total: int) -> None:
        self.total, self.taken = total, 0

    def step(self) -> None:
        assert self.total is not None, "a step before the total was announced"
        self.taken += 1

    @property
    def complete(self) -> bool:
        """Whether there was work, and all of it was reported."""
        return self.taken == self.total and self.taken > 0
