"""The slow drift of colour and light that an edit leaves on what it should have kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F

LIMIT = 0.08
"""The largest drift, on a scale of 0 to 1; a larger difference is an edit."""
_GRID = 48
"""Cells per side that the fit is made on."""
_RIDGE = 0.1
_WIDE, _NARROW = 0.6, 0.3
"""Shares of the picture from which on a fit is quadratic, or linear; below, it is a constant."""


def fit_drift(difference: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Fit a smooth surface to the difference of the kept pixels, by least squares with a small ridge.

    Args:
        difference: (3, height, width), result - source.
        kept: (height, width), 1 where the picture is kept.

    Returns:
        (3, height, width), within the range that the surface has where the picture is kept.
    """
    rows, columns = difference.shape[1:]
    grid = min(rows, _GRID), min(columns, _GRID)
    share = F.adaptive_avg_pool2d(kept[None], grid)[0]
    means = (F.adaptive_avg_pool2d(difference * kept, grid) / share.clamp_min(1e-6)).flatten(1)
    weights = torch.where(share > 0.5, share, 0.0).flatten()
    covered = float((weights > 0).float().mean())
    if int((weights > 0).sum()) < 6:  # fewer cells than a quadratic has terms
        return torch.zeros_like(difference)
    degree = 2 if covered > _WIDE else 1 if covered > _NARROW else 0
    terms = _terms(grid, degree).flatten(1)
    ridge = torch.full((len(terms),), _RIDGE * float(weights.sum()))
    ridge[0] = 0.0
    weighted = terms * weights
    coefficients = (weighted @ terms.T + ridge.diag()).inverse() @ (weighted @ means.T)
    seen = (coefficients.T @ terms)[:, weights > 0]
    surface = torch.einsum("tc,thw->chw", coefficients, _terms((rows, columns), degree))
    low, high = seen.amin(1)[:, None, None], seen.amax(1)[:, None, None]
    return surface.clamp(low, high).clamp(-LIMIT, LIMIT)


def _terms(size: tuple[int, int], degree: int) -> torch.Tensor:
    """The monomials of x and y in [-1, 1] up to a degree, (terms, rows, columns)."""
    y, x = (torch.linspace(-1.0, 1.0, side) for side in size)
    y, x = torch.meshgrid(y, x, indexing="ij")
    by_degree = ([torch.ones_like(x)], [x, y], [x * x, x * y, y * y])
    return torch.stack([term for terms in by_degree[: degree + 1] for term in terms])
