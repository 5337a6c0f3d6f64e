"""Charts of a few lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

INK = "#303030"
_LEFT, _TOP, _RIGHT, _BOTTOM = 90, 40, 30, 50
_GRID = "#e8e8ee"
_LINES = 5
"""Horizontal grid lines."""


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    points: Sequence[tuple[float, float]]
    """At least one, from left to right."""
    colour: str
    width: int


@dataclass(frozen=True)
class Axes:
    """What the numbers of a chart mean."""

    title: str
    start: str
    """Text under the left end."""
    end: str
    """Text under the right end."""
    shown: Callable[[float], str]
    """The text at a horizontal grid line."""


def draw_chart(lines: Sequence[Line], axes: Axes, heights: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """Draw lines over a grid.

    Args:
        lines: at least one; later ones lie on top.
        axes: the texts.
        heights: lowest and highest value of the vertical axis.
        size: width and height in pixels.
    """
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    across = [x for line in lines for x, _ in line.points]
    (low, high), (first, last) = heights, (min(across), max(across))
    width, height = size[0] - _LEFT - _RIGHT, size[1] - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + width * (x - first) / ((last - first) or 1), _TOP + height * (high - y) / (high - low)

    for number in range(_LINES):
        value = low + (high - low) * number / (_LINES - 1)
        y = place(first, value)[1]
        draw.line([(_LEFT, y), (size[0] - _RIGHT, y)], _GRID)
        draw.text((_LEFT - 8, y), axes.shown(value), INK, font, "rm")
    for line in lines:
        points = [place(x, y) for x, y in line.points]
        draw.line(points, line.colour, line.width)
        if len(points) == 1:
            (x, y), radius = points[0], 2 * line.width
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), line.colour)
    draw.text((_LEFT, size[1] - _BOTTOM + 12), axes.start, INK, font)
    draw.text((size[0] - _RIGHT, size[1] - _BOTTOM + 12), axes.end, INK, font, "ra")
    draw.text((_LEFT, 10), axes.title, INK, font)
    return sheet
