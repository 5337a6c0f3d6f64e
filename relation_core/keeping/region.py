"""Where the edit is: a mask that follows its outline to the pixel."""

from __future__ import annotations

import torch

from .difference import Difference
from .windows import contrast, magnitude, window_maximum

_REACH = 3
"""Windows within which an edit's strength is looked up."""
_BEGIN, _FULL = 0.25, 0.45
"""Shares of the edit's strength nearby from which on a pixel takes some of the result, or all: less is what a soft
outline spills over."""
_SPILL = 1.4
"""Times the result's contrast: the most that can be spilled. None is spilled where the result is flat."""
_CLEAR = 2.0
"""Times the threshold: a pixel alone is noisier than its window."""
_WEAK = 0.6
"""Share of the strength nearby that a weak edit's pixels need at most."""


def edited_region(difference: Difference, result: torch.Tensor) -> torch.Tensor:
    """Give the share (height, width) in [0, 1] that every pixel takes of the result."""
    radius = difference.radius
    core = difference.changed.float()
    strength = window_maximum((difference.size * core)[None], _REACH * radius)[0]
    near = window_maximum(core[None], radius)[0]
    spilled = (_BEGIN * strength).minimum(_SPILL * contrast(result, radius))
    begin = spilled.maximum((_WEAK * strength).clamp_max(_CLEAR * difference.threshold)).clamp_min(1e-6)
    pixel = magnitude(difference.residual, radius // 2)
    return ((pixel / begin - 1) / (_FULL / _BEGIN - 1)).clamp(0, 1) * near
