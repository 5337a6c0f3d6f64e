"""The loss curve as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from .chart import Axes, Line, draw_chart

_SIZE, _STEPS, _SMOOTH = (960, 540), "#c9c9d6", "#3b4cc0"
SMOOTHED = 20
"""Steps in the smooth line's average."""


def smoothed(losses: Sequence[float]) -> list[float]:
    """Average every loss with those of the steps before it, :data:`SMOOTHED` in all where there are as many."""
    parts = (losses[max(0, end - SMOOTHED) : end] for end in range(1, len(losses) + 1))
    return [sum(part) / len(part) for part in parts]


def draw_loss_curve(losses: Sequence[float]) -> Image.Image:
    """Draw the loss of every step, and a smooth line through it, on a logarithmic scale.

    Args:
        losses: one a step, finite and at least 0; at least one.
    """
    smooth = smoothed(losses)
    each, line = ([(step, math.log10(max(loss, 1e-12))) for step, loss in enumerate(row)] for row in (losses, smooth))
    low, high = min(log for _, log in each), max(log for _, log in each)
    axes = Axes(
        title=f"loss, averaged over {SMOOTHED} steps: {smooth[0]:.3g} to {smooth[-1]:.3g}",
        start="step 1",
        end=f"step {len(losses)}",
        shown=lambda log: f"{10**log:.3g}",
    )
    heights = (low, high) if high - low > 1e-3 else (low - 0.5, high + 0.5)
    return draw_chart([Line(each, _STEPS, 1), Line(line, _SMOOTH, 3)], axes, heights, _SIZE)
