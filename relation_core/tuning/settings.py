"""How a relation is learned. The defaults are those of docs/tuning.md, found on the small model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import RelationAdapterError

MAX_RATE = 1e6
"""Of learning. A rate near it is found to diverge; beyond what float32 holds, not even that."""


class TuningError(RelationAdapterError):
    """A relation cannot be learned, or not from these pairs."""


@dataclass(frozen=True)
class TuningSettings:
    """What the learning of one relation depends on, beside its pairs and the models."""

    steps: int = 400
    learning_rate: float = 0.15
    """At the first step, in units of the tokens' root mean square; it falls to 0 along a cosine."""
    batch_size: int = 16
    """Samples a step: pairs, each with a noise level and noise of its own."""
    seed: int = 0
    guidance: float = 3.5
    """What the model's guidance input is given."""
    check_every: int = 20
    """Steps between two measurements on the pairs that are held out."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises:
            TuningError: a setting is out of its range.
        """
        for name, sound, expected in (
            ("steps", self.steps >= 1, "at least 1"),
            ("learning_rate", 0.0 < self.learning_rate <= MAX_RATE, f"a number above 0 and at most {MAX_RATE:g}"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("seed", 0 <= self.seed < 2**64, "0 to 18446744073709551615"),
            ("guidance", math.isfinite(self.guidance), "a number"),
            ("check_every", self.check_every >= 1, "at least 1"),
        ):
            if not sound:
                raise TuningError(f"Got {name} = {getattr(self, name)}; expected {expected}. Change it.")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0: half a cosine from full to nothing."""
        return self.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
