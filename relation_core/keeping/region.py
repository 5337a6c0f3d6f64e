"""Where the edit is: a mask that follows its outline to the pixel."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .cells import Cells, hue_of
from .drift import centres
from .reduced import Reduced, strips
from .windows import contrast, enlarge, magnitude, window_maximum, window_mean

_WINDOWS = 256
"""Pictures with sides of this many pixels have windows of radius 1."""
_LOWEST, _HIGHEST = 0.06, 0.08
"""Bounds of the automatic difference above which a flat pixel is changed."""
_ABOVE_NOISE = 3.0
"""Times the median difference of kept flat pixels."""
_FLAT = 0.03
_OF_CONTRAST, _OF_WIDE_CONTRAST = 0.7, 3.0
"""Times the source's contrast: what softening explains in a pixel, and around it where a weak change is to be told."""
_AROUND = 3
"""Radius of that mean: it tells of weak changes."""
_DENSE = 0.6
"""Share of a changed pixel's window that must be changed."""
_REACH = 3
"""Windows within which an edit's strength is looked up."""
_BEGIN, _FULL = 0.25, 0.45
"""Shares of the edit's strength nearby from which on a pixel takes some of the result, or all: less is what a soft
outline spills over."""
_SPILL = 1.4
"""Times the result's contrast: the most that can be spilled. None is spilled where the result is flat."""
_WEAK = 0.6
"""Share of the strength nearby that a weak edit's pixels need at most."""


@dataclass(frozen=True)
class Outline:
    """What a pixel's share of the result is found from; the maps are (1, height, width), reduced."""

    begin: torch.Tensor
    """Difference, of 1, from which on it takes some."""
    near: torch.Tensor
    """0 where it takes none."""
    inside: torch.Tensor
    """1 where it takes the result alone: within the edit, whether it differs or not."""


def edited_region(source: torch.Tensor, result: torch.Tensor, pictures: Reduced, cells: Cells) -> torch.Tensor:
    """Give the share (height, width) in [0, 1] that every pixel of the full size takes of the result.

    Args:
        source: (height, width, 3).
        result: likewise.
        pictures: both, reduced.
        cells: what they say.
    """
    outline, factor, (height, width) = _outline(pictures, cells), pictures.factor, pictures.size
    begin, near, inside = (enlarge(each, factor, pictures.size)[0] for each in vars(outline).values())
    y, x = centres(height, 1, height), centres(width, 1, width)
    reach, mask = factor // 2, torch.empty(height, width)
    for first, last in strips(height, 1):
        top, bottom = max(0, first - reach), min(height, last + reach)
        residual = (result[top:bottom] - source[top:bottom]).permute(2, 0, 1) - cells.drift.over(y[top:bottom], x)
        pixel = magnitude(residual, reach)[first - top : last - top]
        share = ((pixel / begin[first:last] - 1) / (_FULL / _BEGIN - 1)).clamp_(0, 1).mul_(near[first:last])
        mask[first:last] = share.maximum(inside[first:last])
    return mask


def _outline(pictures: Reduced, cells: Cells) -> Outline:
    height, width = pictures.source.shape[1:]
    radius = _radius(pictures)
    y, x = (centres(side, pictures.factor, full) for side, full in zip((height, width), pictures.size, strict=True))
    residual = pictures.result - pictures.source - cells.drift.over(y, x)
    size, local = magnitude(residual, radius), contrast(pictures.source, radius)
    kept = _spread_out(cells.kept, pictures)
    limit = _limit(size[kept & (local < _FLAT)])
    if cells.fixed:
        limit = cells.tolerance
    core = _core(residual, size, local, limit, pictures, cells)[None]
    strength = window_maximum(size[None] * core, _REACH * radius)
    spilled = (_BEGIN * strength).minimum(_SPILL * contrast(pictures.result, radius)[None])
    begin = spilled.maximum((_WEAK * strength).clamp_max(limit)).clamp_min(1e-6)
    closed = window_maximum(core, pictures.cell)
    inside = 1 - window_maximum(1 - closed, pictures.cell + radius)
    return Outline(begin, window_maximum(core, radius), inside)


def _core(
    residual: torch.Tensor, size: torch.Tensor, local: torch.Tensor, limit: float, pictures: Reduced, cells: Cells
) -> torch.Tensor:
    """Pixels (height, width) that are surely changed: 1, others 0."""
    radius = _radius(pictures)
    edited = _spread_out(window_maximum((~cells.kept).float()[None], 1)[0] > 0, pictures)
    hue, own_hue = magnitude(hue_of(residual), radius), contrast(hue_of(pictures.source), radius)
    around = window_mean(residual, _AROUND).square().mean(0).sqrt()
    above = (
        _beyond(size, limit, _OF_CONTRAST * local)
        | _beyond(hue, limit, _OF_CONTRAST * own_hue)
        | _beyond(around, cells.tolerance, _OF_WIDE_CONTRAST * contrast(pictures.source, _AROUND))
    )
    above = (above & edited).float()
    return above * (window_mean(above[None], radius)[0] > _DENSE)


def _beyond(size: torch.Tensor, limit: float, allowed: torch.Tensor) -> torch.Tensor:
    """Where a difference is larger than a flat picture's limit and what the source's contrast allows together."""
    return size > (limit**2 + allowed.square()).sqrt()


def _radius(pictures: Reduced) -> int:
    """Of the windows that pixels are compared over."""
    return max(1, round(min(pictures.source.shape[1:]) / _WINDOWS))


def _spread_out(cells: torch.Tensor, pictures: Reduced) -> torch.Tensor:
    """Give every reduced pixel what holds for its cell."""
    height, width = pictures.source.shape[1:]
    side = pictures.cell
    return cells.repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width]


def _limit(size: torch.Tensor) -> float:
    """A difference above the noise of kept flat pixels."""
    return min(_HIGHEST, max(_LOWEST, _ABOVE_NOISE * float(size.median()))) if size.numel() else _HIGHEST
