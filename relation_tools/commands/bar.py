"""A progress bar on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from relation_core.progress import ByteProgress, Progress

from .extras import imported


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def start(self, total: int) -> None:
        self._bar.reset(total)

    def step(self) -> None:
        self._bar.update()


@contextmanager
def progress_bar(what: str, extra: str) -> Generator[Progress]:
    """Show the progress of the work in the block."""
    tqdm = imported("tqdm", extra)
    with tqdm.tqdm(desc=what, unit="", smoothing=0.05, dynamic_ncols=True) as bar:
        yield _Bar(bar)


@contextmanager
def byte_bar(what: str, extra: str) -> Generator[ByteProgress]:
    """Show how many bytes of a download have arrived, and how fast."""
    tqdm = imported("tqdm", extra)
    with tqdm.tqdm(desc=what, unit="B", unit_scale=True, delay=0.5, dynamic_ncols=True) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


@contextmanager
def loss_bar(total: int, done: int, extra: str) -> Generator[Callable[[float], None]]:
    """Show the steps, the last one's loss and the remaining time; ``done`` steps have been taken before."""
    tqdm = imported("tqdm", extra)
    with tqdm.tqdm(total=total, initial=done, desc="learn", unit="step", smoothing=0.05, dynamic_ncols=True) as bar:

        def report(loss: float) -> None:
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()

        yield report
