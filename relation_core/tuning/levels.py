"""Noise levels at which a relation is learned."""

from __future__ import annotations

import torch

_SPAN, _POWER = 0.95, 2.5


def draw_levels(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw noise levels (count,) in [0.05, 1], 1 being pure noise: 1 - 0.95 u^2.5 of uniform u.

    When relation and source determine the target, nearly all learning happens near pure noise. The u are stratified,
    one in each of ``count`` equal parts of [0, 1): a batch always spans all levels.
    """
    places = torch.randperm(count, generator=generator)
    u = (places + torch.rand(count, generator=generator)) / count
    return 1.0 - _SPAN * u**_POWER
