"""Means, extremes and contrast over a square window around every pixel, and means over cells.

Axes: a picture is (C, height, width); at the border a window holds the pixels that there are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_AXES = (-1, -2)
_WIDE = 8
"""Radius above which a running sum is the faster way."""


def window_mean(picture: torch.Tensor, radius: int, axes: tuple[int, ...] = _AXES) -> torch.Tensor:
    """Mean over windows of ``2 * radius + 1`` pixels a side, or along some axes only."""
    for axis in axes:
        sums = _wide_sums(picture, radius, axis) if radius > _WIDE else _sums(picture, radius, axis)
        at = torch.arange(picture.shape[axis], dtype=picture.dtype, device=picture.device)
        count = (at + radius).clamp_max(len(at) - 1) - (at - radius).clamp_min(0) + 1
        picture = sums.div_(count if axis == -1 else count[:, None])
    return picture


def _sums(picture: torch.Tensor, radius: int, axis: int) -> torch.Tensor:
    side, sums = picture.shape[axis], picture.clone()
    for step in range(1, min(radius, side - 1) + 1):
        rest = side - step
        sums.narrow(axis, 0, rest).add_(picture.narrow(axis, step, rest))
        sums.narrow(axis, step, rest).add_(picture.narrow(axis, 0, rest))
    return sums


def _wide_sums(picture: torch.Tensor, radius: int, axis: int) -> torch.Tensor:
    """The same as differences of a running sum, whose cost is that of any radius."""
    running = F.pad(picture.cumsum(axis), (1, 0) if axis == -1 else (0, 0, 1, 0))
    at = torch.arange(picture.shape[axis], device=picture.device)
    begin, end = (at - radius).clamp_min(0), (at + radius + 1).clamp_max(len(at))
    return running.index_select(axis, end).sub_(running.index_select(axis, begin))


def window_maximum(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Maximum over windows of ``2 * radius + 1`` pixels a side; each pass doubles the window."""
    for axis in _AXES:
        reach = 0
        while reach < radius:
            step = min(reach + 1, radius - reach)
            picture = _with_neighbours(picture, step, axis)
            reach += step
    return picture


def _with_neighbours(picture: torch.Tensor, step: int, axis: int) -> torch.Tensor:
    """Maximum of every pixel and those ``step`` before and after it along an axis."""
    rest = picture.shape[axis] - step
    if rest <= 0:
        return picture.amax(axis, keepdim=True).expand_as(picture)
    greatest = picture.clone()
    first, last = greatest.narrow(axis, 0, rest), greatest.narrow(axis, step, rest)
    torch.maximum(first, picture.narrow(axis, step, rest), out=first)
    torch.maximum(last, picture.narrow(axis, 0, rest), out=last)
    return greatest


def cell_mean(picture: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over cells of ``side`` pixels a side; the last of a row or column may be smaller."""
    return F.avg_pool2d(picture[None], side, side, 0, True, False)[0]


def enlarge(picture: torch.Tensor, factor: int, size: tuple[int, int]) -> torch.Tensor:
    """Undo :func:`cell_mean` of that side, smoothly: (C, rows, columns) becomes (C, *size)."""
    if factor == 1:
        return picture
    rows, columns = size
    return F.interpolate(picture[None], scale_factor=factor, mode="bilinear")[0, :, :rows, :columns]


def contrast(picture: torch.Tensor, radius: int) -> torch.Tensor:
    """Standard deviation over windows, (height, width): root mean square of that of the channels."""
    squares, means = picture.square().mean(0, keepdim=True), window_mean(picture, radius)
    return (window_mean(squares, radius)[0] - means.square().mean(0)).clamp_min(0).sqrt()


def magnitude(difference: torch.Tensor, radius: int) -> torch.Tensor:
    """Root mean square over channels and windows, (height, width)."""
    squares = difference.square().mean(0, keepdim=True)
    return (window_mean(squares, radius) if radius else squares)[0].sqrt()
