"""Settings of learning. The defaults were found on a small model of drawn scenes (docs/tuning.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from ..errors import RelationAdapterError
from ..settings.bounds import GUIDANCE, LEARNING_RATE, SEED, Bounds, check_settings

LEARNING_STEPS = Bounds(1, 100_000, whole=True)
BATCH_SIZE = Bounds(1, 1024, whole=True)


class TuningError(RelationAdapterError):
    """A relation cannot be learned from these pairs or settings."""


@dataclass(frozen=True)
class TuningSettings:
    """Everything that learning depends on besides the pairs and the models."""

    steps: Annotated[int, LEARNING_STEPS] = 400
    learning_rate: Annotated[float, LEARNING_RATE] = 0.15
    """At the first step, in units of the tokens' root mean square; it falls to 0 along a cosine."""
    batch_size: Annotated[int, BATCH_SIZE] = 16
    """Samples a step: pairs, each with a noise level and noise of its own."""
    seed: Annotated[int, SEED] = 0
    guidance: Annotated[float, GUIDANCE] = 3.5
    """What the model's guidance input is given."""
    check_every: Annotated[int, LEARNING_STEPS] = 20
    """Steps between two measurements on the pairs that are held out."""

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            TuningError: a setting is out of its bounds.
        """
        check_settings(self, TuningError)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0: half a cosine, falling to 0."""
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
