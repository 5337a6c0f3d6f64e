"""The slow drift of colour and light that an edit leaves on what it should have kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch

LIMIT = 0.08
"""The largest drift, on a scale of 0 to 1; a larger difference is an edit."""
_RIDGE = 0.1
_WIDE, _NARROW = 0.6, 0.3
"""Shares of the picture from which on a fit is quadratic, or linear; below, it is a constant."""
_LEAST = 6
"""Cells: as many as a quadratic has terms."""


@dataclass(frozen=True)
class Drift:
    """A smooth surface for each channel."""

    coefficients: torch.Tensor
    """(terms, 3)."""
    low: torch.Tensor
    """(3, 1, 1): the surface's range where the picture is kept; it is cut to that elsewhere."""
    high: torch.Tensor

    def over(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Evaluate the surface (3, rows, columns) at places from -1 to 1 of the picture's height and width."""
        terms = _terms(y, x)[: len(self.coefficients)]
        return torch.einsum("tc,thw->chw", self.coefficients, terms).clamp(self.low, self.high)

    @property
    def largest(self) -> float:
        """Its largest value, on a scale of 0 to 1."""
        return float(torch.cat((self.low, self.high)).abs().max())


def centres(count: int, side: int, length: int) -> torch.Tensor:
    """Places from -1 to 1 of the centres of ``count`` cells of ``side`` pixels along ``length`` pixels."""
    return (torch.arange(count) + 0.5).mul(2 * side / length).sub(1).clamp_max(1)


def no_drift() -> Drift:
    """Zero everywhere."""
    return Drift(torch.zeros(1, 3), torch.zeros(3, 1, 1), torch.zeros(3, 1, 1))


def fit_drift(difference: torch.Tensor, kept: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> Drift:
    """Fit a smooth surface to the difference of the kept cells, by least squares with a small ridge.

    Args:
        difference: (3, rows, columns), mean of result - source over each cell.
        kept: (rows, columns), 1 where the cell is kept.
        y: places of the rows, from :func:`centres`.
        x: places of the columns.
    """
    weights = kept.flatten()
    if int((weights > 0).sum()) < _LEAST:
        return no_drift()
    covered = float((weights > 0).float().mean())
    terms = _terms(y, x).flatten(1)[: 6 if covered > _WIDE else 3 if covered > _NARROW else 1]
    ridge = torch.full((len(terms),), _RIDGE * float(weights.sum()))
    ridge[0] = 0.0
    weighted = terms * weights
    coefficients = (weighted @ terms.T + ridge.diag()).inverse() @ (weighted @ difference.flatten(1).T)
    seen = (coefficients.T @ terms)[:, weights > 0].clamp(-LIMIT, LIMIT)
    return Drift(coefficients, seen.amin(1)[:, None, None], seen.amax(1)[:, None, None])


def _terms(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The monomials of x and y up to the second degree, (6, rows, columns)."""
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])
