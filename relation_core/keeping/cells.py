"""Which cells of a picture an edit kept.

Autoencoders, samplers and JPEG soften edges and add noise, but hardly change the mean colour of a cell. So a cell is
kept where that mean differs from the source's by little beside what the best-agreeing cells differ by, once a smooth
drift is taken out, and where its structure is the source's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .drift import Drift, centres, fit_drift, no_drift
from .reduced import Reduced
from .windows import cell_mean

LOWEST, HIGHEST = 0.012, 0.06
"""Bounds of the automatic tolerance."""
_ABOVE_NOISE = 3.0
"""Times the median difference of kept cells."""
_OF_CONTRAST = 0.25
"""Share of a cell's contrast that a shift by parts of a pixel moves its mean by."""
_PLAUSIBLE = 0.12
"""Upper bound of drift and noise together, in the mean of a cell."""
_EVEN, TEXTURED, _FLAT = 0.06, 0.04, 0.03
"""Contrasts: below which a cell tells of drift, above which it has structure, below which it has none."""
_ALIKE = 0.4
"""Correlation of source and result from which on a cell has the source's structure."""
_ENOUGH = 0.3
"""Share of the picture that is kept where the drift is known elsewhere too."""
_ROUNDS = 4
_FEW = 8


@dataclass(frozen=True)
class Cells:
    """A comparison by cells; all maps are (rows, columns) or (3, rows, columns)."""

    drift: Drift
    correction: Drift
    """What is taken out of the edited part: the drift, or none where too little is kept to know it elsewhere."""
    tolerance: float
    """Difference, of 1, that a flat kept cell stays below."""
    relative: torch.Tensor
    """Difference of the means over the cell's tolerance."""
    kept: torch.Tensor
    """Whether mean and structure are the source's."""
    contrast: torch.Tensor
    """Of the source."""
    colour: torch.Tensor
    """Mean of the source."""
    fixed: bool
    """Whether the tolerance was given."""


def compare_cells(pictures: Reduced, threshold: float) -> Cells:
    """Compare result and source; a threshold above 0 is the tolerance, 0 finds one."""
    means, variances, shared = _statistics(pictures)
    raw = means[1] - means[0]
    side = pictures.factor * pictures.cell
    y, x = (centres(count, side, length) for count, length in zip(raw.shape[1:], pictures.size, strict=True))
    even = (variances[0] < _EVEN**2).float()
    kept = (raw.abs().amax(0) < _PLAUSIBLE).float()
    tolerance, drift, relative = threshold or HIGHEST, fit_drift(raw, kept * 0, y, x), kept
    own_hue = hue_of(pictures.source)
    hue_variance = _variance(own_hue, cell_mean(own_hue, pictures.cell), pictures.cell)
    for _ in range(_ROUNDS):
        weights = kept * even
        drift = fit_drift(raw, weights if float(weights.mean()) > 0.05 else kept, y, x)
        residual = raw - drift.over(y, x)
        size, hue = (part.square().mean(0).sqrt() for part in (residual, hue_of(residual)))
        tolerance = threshold or _tolerance(size, tolerance)
        relative = size / (tolerance**2 + _OF_CONTRAST**2 * variances[0]).sqrt()
        relative = relative.maximum(hue / (tolerance**2 + _OF_CONTRAST**2 * hue_variance).sqrt())
        kept = torch.lt(relative, 1.0).float()
    alike = _structure_kept(variances[0], variances[1], shared)
    kept = (kept > 0) & alike
    correction = drift if float(kept.float().mean()) > _ENOUGH else no_drift()
    return Cells(drift, correction, tolerance, relative, kept, variances[0].sqrt(), means[0], threshold > 0)


def hue_of(picture: torch.Tensor) -> torch.Tensor:
    """Colour less its mean over the channels (3, ...): a softened edge between light and dark does not change it."""
    return picture - picture.mean(0, keepdim=True)


def _statistics(pictures: Reduced) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Means (3, rows, columns) of both pictures' cells, their variances, and the covariance (rows, columns)."""
    both, side = (pictures.source, pictures.result), pictures.cell
    means = [cell_mean(picture, side) for picture in both]
    variances = [_variance(picture, mean, side) for picture, mean in zip(both, means, strict=True)]
    return means, variances, (cell_mean(both[0] * both[1], side) - means[0] * means[1]).mean(0)


def _variance(picture: torch.Tensor, mean: torch.Tensor, side: int) -> torch.Tensor:
    return (cell_mean(picture.square(), side) - mean.square()).clamp_min(0).mean(0)


def _tolerance(size: torch.Tensor, last: float) -> float:
    below = size[size < last]
    if below.numel() < _FEW:
        return last
    return min(HIGHEST, max(LOWEST, _ABOVE_NOISE * float(below.median())))


def _structure_kept(source: torch.Tensor, result: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    correlated = shared / (source * result).clamp_min(1e-8).sqrt() > _ALIKE
    without = (source < _FLAT**2) & (result < _FLAT**2)
    return correlated | without | (source + result - 2 * shared < _FLAT**2)
