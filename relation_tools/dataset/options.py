"""What a build is asked for, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from relation_core.errors import DatasetError
from relation_core.settings.bounds import COUNT, COUNT_OR_NONE, SEED, check_settings

from .unseen_tasks import HeldOutTasks


@dataclass(frozen=True)
class BuildOptions:
    """Options for drawing samples; the defaults are the numbers in the name of the authors' script."""

    per_task: Annotated[int, COUNT] = 2000
    """Most training samples of a task."""
    test_pairs: Annotated[int, COUNT_OR_NONE] = 5
    """Pictures of a task that are held out; their ordered pairs make the test file."""
    seed: Annotated[int, SEED] = 0
    hold_out_tasks: HeldOutTasks = 0
    """Tasks of which nothing is trained on, and held-out pictures make a test file of their own."""

    def __post_init__(self) -> None:
        check_settings(self, DatasetError)
        if self.test_pairs == 1:
            raise DatasetError(
                "Got test_pairs = 1; expected 0 for no test pictures, or at least 2, which make a pair. Change it."
            )
        if self.hold_out_tasks and not self.test_pairs:
            raise DatasetError("Tasks are to be held out, but no test pictures of them: set test_pairs to at least 2.")


@dataclass(frozen=True)
class BuildSummary:
    """The result of a build."""

    pictures: int
    tasks: int
    train_samples: int
    test_samples: int
    unseen_samples: int
    broken: int
    duplicates: int
    notes: int
