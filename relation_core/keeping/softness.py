"""Whether a blur explains a result: how near to it the blurred source comes, and how much detail survives at best.

A blur of a picture with flat areas changes what is near its edges alone, and so looks like an edit of a part. What
tells it from one is that a blur of the whole source comes near to the result, and that no detail is left anywhere. An
autoencoder softens a whole picture too, but less.
"""

from __future__ import annotations

from itertools import product

import torch

from .windows import cell_mean, window_mean

_RADII = (1, 2)
"""Of windows that are averaged over twice, at every size; the first is more than an autoencoder's softening."""
_DIRECTIONS = ((-1, -2), (-1,), (-2,))
"""Axes that are averaged along: both, as a Gaussian does, or one, as motion does."""
_SMALLEST = 12
"""Pixels of the shorter side, at the smallest size that is blurred."""
_LEVELS = 4
"""Sizes at which detail is looked for, each half of the one before."""
_FINE = 0.008
"""Root mean square from which on a cell has detail."""
_ENOUGH = 8
"""Cells."""
_BEST = 0.9
"""Share of the cells that keep less of their detail than the best."""


def left_by_blur(source: torch.Tensor, result: torch.Tensor) -> float:
    """Give the least squared difference of the blurred source from a result, over that of the source itself.

    Both are halved again and again, so that few radii make a blur of any strength.

    Args:
        source: (3, height, width) in [0, 1].
        result: likewise, without its drift.
    """
    left = [torch.ones(())]
    while min(source.shape[1:]) >= _SMALLEST:
        whole = (result - source).square().mean().clamp_min(1e-8)
        for radius, axes in product(_RADII, _DIRECTIONS):
            blurred = window_mean(window_mean(source, radius, axes), radius, axes)
            left.append((result - blurred).square().mean() / whole)
        source, result = cell_mean(source, 2), cell_mean(result, 2)
    return float(torch.stack(left).min())


def best_detail(source: torch.Tensor, result: torch.Tensor, side: int) -> float:
    """Give the share of their detail that the best tenth of the cells keep at least; 1 where few cells have any.

    Detail is what is finer than three pixels along one axis, at the largest size at which the source has some: of the
    two axes, the one that keeps less, since motion blurs along one.

    Args:
        source: (3, height, width) in [0, 1].
        result: likewise.
        side: of a cell, in pixels.
    """
    return min(_best_along(axis, source.mean(0, True), result.mean(0, True), side) for axis in _DIRECTIONS[0])


def _best_along(axis: int, source: torch.Tensor, result: torch.Tensor, side: int) -> float:
    for _ in range(_LEVELS):
        before, after = (light - window_mean(light, 1, (axis,)) for light in (source, result))
        own, shared = (cell_mean(before * one, side) for one in (before, after))
        gains = (shared / own.clamp_min(1e-9))[own > _FINE**2]
        if gains.numel() > _ENOUGH:
            return float(torch.quantile(gains, _BEST))
        source, result = cell_mean(source, 2), cell_mean(result, 2)
    return 1.0
