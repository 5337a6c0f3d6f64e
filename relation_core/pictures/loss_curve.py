"""The loss curve as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SIZE, _LEFT, _TOP, _RIGHT, _BOTTOM = (960, 540), 90, 40, 30, 50
_STEPS, _SMOOTH, _INK, _GRID = "#c9c9d6", "#3b4cc0", "#303030", "#e8e8ee"
SMOOTHED = 20
"""Steps in the smooth line's average."""
_LINES = 5
"""Horizontal grid lines."""


def smoothed(losses: Sequence[float]) -> list[float]:
    """Average every loss with those of the steps before it, :data:`SMOOTHED` in all where there are as many."""
    parts = (losses[max(0, end - SMOOTHED) : end] for end in range(1, len(losses) + 1))
    return [sum(part) / len(part) for part in parts]


def draw_loss_curve(losses: Sequence[float]) -> Image.Image:
    """Draw the loss of every step, and a smooth line through it, on a logarithmic scale.

    Args:
        losses: one a step, finite and at least 0; at least one.
    """
    sheet = Image.new("RGB", _SIZE, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    logs = [math.log10(max(loss, 1e-12)) for loss in losses]
    low, high = min(logs), max(logs)
    low, high = (low, high) if high - low > 1e-3 else (low - 0.5, high + 0.5)
    width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM

    def place(step: int, log: float) -> tuple[float, float]:
        x = _LEFT + width * step / max(1, len(losses) - 1)
        return x, _TOP + height * (high - log) / (high - low)

    for line in range(_LINES):
        log = low + (high - low) * line / (_LINES - 1)
        y = place(0, log)[1]
        draw.line([(_LEFT, y), (_SIZE[0] - _RIGHT, y)], _GRID)
        draw.text((_LEFT - 8, y), f"{10**log:.3g}", _INK, font, "rm")
    smooth = smoothed(losses)
    for values, colour, thick in ((losses, _STEPS, 1), (smooth, _SMOOTH, 3)):
        points = [place(step, math.log10(max(value, 1e-12))) for step, value in enumerate(values)]
        draw.line(points if len(points) > 1 else points * 2, colour, thick)
    draw.text((_LEFT, _SIZE[1] - _BOTTOM + 12), "step 1", _INK, font)
    draw.text((_SIZE[0] - _RIGHT, _SIZE[1] - _BOTTOM + 12), f"step {len(losses)}", _INK, font, "ra")
    draw.text((_LEFT, 10), f"loss, averaged over {SMOOTHED} steps: {smooth[0]:.3g} to {smooth[-1]:.3g}", _INK, font)
    return sheet
