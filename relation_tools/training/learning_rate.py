"""The learning rate over a run."""

from __future__ import annotations


def learning_rate_factor(step: int, steps: int, warmup: int, decay: int) -> float:
    """The share of the full learning rate: up linearly in ``warmup`` steps, then even, down to 0 in the last ``decay``.

    Because it is even in between, a run can be made longer than it was planned, up to where the decay began.
    """
    up = (step + 1) / warmup if warmup else 1.0
    down = (steps - step) / decay if decay else 1.0
    return max(0.0, min(1.0, up, down))
