"""Work for Ray's workers that is done, refused, or kills them."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relation_core.errors import RelationAdapterError
from relation_tools.commands.spread_scores import made_ready
from relation_tools.evaluation.batch_scoring import Batch


def makes_a_worker(folder: Path) -> Callable[[list[str]], list[str]]:
    """Work that records each try, and dies over an item called ``deadly``."""

    def work(items: list[str]) -> list[str]:
        for item in items:
            with (folder / item).open("a") as file:
                file.write("x")
            if item == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
        return [f"{item} of {len(items)}" for item in items]

    return work


def makes_none() -> Callable[[list[str]], list[str]]:
    raise RelationAdapterError("There are no models.")


def makes_a_faulty_one() -> Callable[[list[str]], list[str]]:
    raise ZeroDivisionError("faulty")


def makes_one_that_tells_its_niceness() -> Callable[[list[str]], list[int]]:
    return lambda items: [os.nice(0) for _ in items]


class Holder:
    """An actor that holds what it was given, and does nothing."""

    def there(self) -> bool:
        return True


def makes_a_scorer(marks: Path, deadly: int, times: int, options: argparse.Namespace) -> Callable[..., list[Any]]:
    """What scores for ``evaluate score``, and dies over a sample so many times."""
    score = made_ready(options)

    def work(batches: list[Batch]) -> list[Any]:
        seen = len(list(marks.iterdir()))
        if seen < times and any(sample.index == deadly for batch in batches for sample in batch.samples):
            (marks / str(seen)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return score(batches)

    return work
