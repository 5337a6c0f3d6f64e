"""How a result differs from its source, beyond what autoencoder and sampler add.

Both soften edges and add noise. So a pixel counts as changed if its difference is large compared to the noise, which is
estimated from the picture itself, and to the contrast of the source there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .drift import fit_drift
from .windows import contrast, magnitude, window_mean

LOWEST, HIGHEST = 0.02, 0.08
"""Bounds of the automatic threshold."""
_ABOVE_NOISE = 3.0
"""Times the median difference of kept pixels."""
_OF_CONTRAST = 0.5
"""Share of the source's contrast that softening can account for."""
_FLAT, _EVEN = 0.03, 0.06
"""Contrasts below which a pixel tells of noise, or of drift."""
_PLAUSIBLE = 0.12
"""Upper bound of drift and noise together."""
_WINDOWS = 256
"""Pictures with sides of this many pixels have windows of radius 1."""
_ROUNDS = 4
_DENSE = 0.3
"""Share of a changed pixel's window that must be changed."""


@dataclass(frozen=True)
class Difference:
    """A result against its source; all maps are (height, width) or (3, height, width)."""

    residual: torch.Tensor
    """Result - source - drift."""
    drift: torch.Tensor
    threshold: float
    """Magnitude above which a flat pixel is changed."""
    size: torch.Tensor
    """Magnitude of the residual over windows."""
    relative: torch.Tensor
    """That, over what is explained by noise and softening."""
    contrast: torch.Tensor
    """Of the source."""
    changed: torch.Tensor
    """Whether a pixel's window is changed."""
    radius: int
    """Of windows."""


def difference_of(source: torch.Tensor, result: torch.Tensor, threshold: float) -> Difference:
    """Compare a result with its source.

    Args:
        source: (3, height, width) float32 in [0, 1].
        result: likewise.
        threshold: magnitude above which a flat pixel is changed; 0 finds it.
    """
    radius = max(1, round(min(source.shape[1:]) / _WINDOWS))
    raw, local = result - source, contrast(source, radius)
    even = (local < _EVEN).float()
    kept = (window_mean(raw, radius).abs().amax(0) < _PLAUSIBLE).float()
    limit = threshold or HIGHEST
    drift, size, relative = raw, local, local
    for _ in range(_ROUNDS):
        drift = fit_drift(raw, kept * even)
        size = magnitude(raw - drift, radius)
        limit = threshold or _above_noise(size, local, limit)
        relative = size / (limit**2 + (_OF_CONTRAST * local).square()).sqrt()
        kept = (relative < 1).float()
    above = torch.gt(relative, 1.0)
    changed = above & torch.gt(window_mean(above.float()[None], radius)[0], _DENSE)
    return Difference(raw - drift, drift, limit, size, relative, local, changed, radius)


def _above_noise(size: torch.Tensor, local: torch.Tensor, limit: float) -> float:
    """A threshold above the noise of the pixels that the last one kept."""
    flat = local < _FLAT
    if flat.float().mean() < 0.05:  # hardly any: take them all
        flat = torch.ones_like(flat)
    below = size[flat & (size < max(limit, 1.5 * LOWEST))]
    if not below.numel():
        return limit
    return min(HIGHEST, max(LOWEST, _ABOVE_NOISE * float(below.median())))
