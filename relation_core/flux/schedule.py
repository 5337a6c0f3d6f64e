"""The authors' noise schedule: flow matching, shifted by the number of image tokens."""

from __future__ import annotations

import math

import torch

from ..settings.bounds import SAMPLING_STEPS, SHARE, check_number

BASE_TOKENS, BASE_SHIFT = 256, 0.5
MAX_TOKENS, MAX_SHIFT = 4096, 1.15


def token_shift(tokens: int) -> float:
    """The shift mu for a number of image tokens, linear as in FLUX.1's own pipeline."""
    slope = (MAX_SHIFT - BASE_SHIFT) / (MAX_TOKENS - BASE_TOKENS)
    return BASE_SHIFT + slope * (tokens - BASE_TOKENS)


def relation_sigmas(steps: int, target_tokens: int, denoise: float = 1.0) -> torch.Tensor:
    """Noise levels from 1 down to 0, shifted for target and source tokens together, as the authors count them.

    No two are equal: in large pictures the shift is so strong that the first ones would be, in float32, and samplers
    that divide by the distance between levels would give NaN. There they are one float32 apart.

    Args:
        steps: sampling steps.
        target_tokens: tokens of the result; a source of the same size is added.
        denoise: share of the schedule that is kept, at its end, in [0, 1]; the number of steps stays the same.

    Returns:
        (steps + 1,) float32; empty for ``denoise`` 0.

    Raises:
        RelationAdapterError: ``steps`` or ``denoise`` is out of its bounds.
    """
    check_number("steps", steps, SAMPLING_STEPS)
    check_number("denoise", denoise, SHARE)
    if denoise == 0.0:
        return torch.empty(0)
    total = max(steps, int(steps / denoise))
    shift = math.exp(token_shift(2 * target_tokens))
    linear = torch.arange(steps, 0, -1, dtype=torch.float64) / total  # the end of linspace(1, 1 / total, total)
    sigmas = shift / (shift + 1.0 / linear - 1.0)
    return torch.cat((_strictly_falling(sigmas.float()), torch.zeros(1)))


def _strictly_falling(levels: torch.Tensor) -> torch.Tensor:
    """Lower the levels (float32, above 0) that are not below the one before, by as little as float32 can tell."""
    places = torch.arange(len(levels), dtype=torch.int32)
    bits = levels.view(torch.int32)  # of positive numbers, in the numbers' own order
    return ((bits + places).cummin(0).values - places).view(torch.float32)


def level_at(percent: float) -> float:
    """The noise level at a share of sampling, as ComfyUI counts it for FLUX.1: with a shift of 1.15 at any size."""
    if percent <= 0.0:
        return 1.0
    if percent >= 1.0:
        return 0.0
    shift = math.exp(MAX_SHIFT)
    return shift / (shift + 1.0 / (1.0 - percent) - 1.0)
