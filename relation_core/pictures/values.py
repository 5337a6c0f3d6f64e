"""The values of pictures and masks, which lie in [0, 1]."""

from __future__ import annotations

import math

import torch

from ..errors import ExemplarError

_OVERSHOOT = 0.5
"""Sharpening, enlarging and bright lights take values a little out of [0, 1]; those are clipped."""


def check_values(what: str, tensor: torch.Tensor) -> None:
    """Refuse values that are not those of a picture or a mask.

    Args:
        what: "picture" or "mask".
        tensor: with at least one value. Of truth values, all are right.

    Raises:
        ExemplarError: they are no floating-point numbers, some are NaN or infinite, or most are far out of [0, 1].
    """
    if tensor.dtype == torch.bool:
        return
    if not tensor.dtype.is_floating_point:
        raise ExemplarError(
            f"The {what} has values of {tensor.dtype}; expected floating-point numbers from 0 to 1. Divide whole "
            "numbers by 255, or check the node that makes it."
        )
    low, high = (float(end) for end in tensor.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ExemplarError(
            f"The {what} has NaN or infinite values; expected values from 0 to 1. Check the node that makes it."
        )
    if (low < -_OVERSHOOT or high > 1 + _OVERSHOOT) and _mostly_outside(tensor):
        raise ExemplarError(
            f"The {what} has values from {low:.3g} to {high:.3g}, and most lie far out of range; expected values "
            "from 0 to 1. Scale them, or check the node that makes it."
        )


def _mostly_outside(tensor: torch.Tensor) -> bool:
    return bool(((tensor - 0.5).abs() > 0.5 + _OVERSHOOT).float().mean() > 0.5)
