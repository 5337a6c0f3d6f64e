"""Means, extremes and contrast over a square window around every pixel.

Axes: a picture is (C, height, width); at the border a window holds the pixels that there are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def window_mean(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Mean over windows of ``2 * radius + 1`` pixels a side."""
    for side in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        padding = (side[0] // 2, side[1] // 2)
        picture = F.avg_pool2d(picture[None], side, 1, padding, count_include_pad=False)[0]
    return picture


def window_maximum(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Maximum over windows of ``2 * radius + 1`` pixels a side."""
    for side in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        picture = F.max_pool2d(picture[None], side, 1, (side[0] // 2, side[1] // 2))[0]
    return picture


def contrast(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Standard deviation over windows, (height, width): root mean square of that of the channels."""
    variance = window_mean(picture.square(), radius) - window_mean(picture, radius).square()
    return variance.clamp_min(0).mean(0).sqrt()


def magnitude(difference: torch.Tensor, radius: int) -> torch.Tensor:
    """Root mean square over channels and windows, (height, width)."""
    squares = difference.square().mean(0, keepdim=True)
    return (window_mean(squares, radius) if radius else squares)[0].sqrt()
