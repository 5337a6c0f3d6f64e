"""Decide whether an edit left a part of the picture unchanged.

If it did, the kept pixels differ by noise alone and have the source's tones and structure. Where an edit changed the
whole picture, the pixels that happen to be near the source's lie anywhere below the threshold, follow another tone
curve, or hold no structure at all (a blurred picture agrees with its source where that is flat).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from .difference import Difference
from .windows import contrast, window_mean

Verdict = Literal["local", "global"]
LEAST_KEPT = 0.03
"""Share of the picture."""
_SPREAD = 0.42
"""Median of kept pixels' differences over the threshold; about a third for noise, a half for coincidence."""
_TONE = 0.02
"""Root mean square by which a cubic curve moves the kept tones, on a scale of 0 to 1."""
_DRIFT = 0.06
"""Largest drift that is not an edit, of 1."""
_UNSEEN = 0.012
"""Drift, of 1, that is not an edit though nothing else is."""
_SURVIVING = 0.35
"""Share of the kept structure's fine detail that is there in the result."""
_ALL, _ALMOST_ALL = 0.97, 0.9
"""Shares of the structure that change where flat parts do not: it moved, or (almost all, and less contrast) blurred."""
_MOVED, _BLURRED = 0.79, 0.7
"""Shares of that below which the change of flat parts lies then. A new background changes nearly all of them."""
_EMPTIER = 0.8
"""Contrast of the result over the source's below which it is blurred."""
_DARK, _BRIGHT = 0.05, 0.97
"""Means of the channels beyond which a pixel is black or white: darkening keeps the former, and says nothing by it."""
_COLOURFUL, _MANY, _FEWER = 0.2, 0.3, 0.3
"""Range of the channels from which on a pixel has a colour; share of the picture from which on these speak; and share
of what is kept elsewhere that an edit of colours keeps of them at most."""
_SAMPLES = 50_000


@dataclass(frozen=True)
class Evidence:
    """Measurements of a result's difference from its source."""

    kept: float
    """Share of the picture that is neither black nor white."""
    spread: float
    tone: float
    drift: float
    """Its largest value."""
    surviving: float
    """Share of the kept structure's detail that is in the result; 1 where no structure is kept."""
    structure_changed: float
    """Share of the pixels with structure."""
    flat_changed: float
    """Share of the others."""
    contrast: float
    """Of the result over the source's."""
    colour_kept: float
    """Share of what is kept of colourful pixels over that of others; 1 where hardly any are colourful."""


def verdict_on(source: torch.Tensor, result: torch.Tensor, difference: Difference) -> Verdict:
    """Judge an edit; the pictures are (3, height, width)."""
    seen = evidence_of(source, result, difference)
    moved = seen.structure_changed > _ALL and seen.flat_changed < _MOVED * seen.structure_changed
    blurred = (
        seen.structure_changed > _ALMOST_ALL
        and seen.flat_changed < _BLURRED * seen.structure_changed
        and seen.contrast < _EMPTIER
    )
    recoloured = seen.structure_changed <= _ALL and seen.colour_kept < _FEWER
    only_drift = not bool(difference.changed.any()) and seen.drift > _UNSEEN
    kept = (
        seen.kept >= LEAST_KEPT
        and seen.spread <= _SPREAD
        and seen.tone <= _TONE
        and seen.drift <= _DRIFT
        and seen.surviving >= _SURVIVING
    )
    return "local" if kept and not (moved or blurred or recoloured or only_drift) else "global"


def evidence_of(source: torch.Tensor, result: torch.Tensor, difference: Difference) -> Evidence:
    """Take the measurements that a verdict is based on."""
    kept, structured = ~difference.changed, difference.contrast > 2 * difference.threshold
    means = source.mean(0)
    share = _share(kept, (means > _DARK) & (means < _BRIGHT))
    return Evidence(
        kept=share,
        spread=float(difference.relative[kept].median()) if share else 1.0,
        tone=_tone_shift(source[:, kept], difference.residual[:, kept]) if share else 0.0,
        drift=float(difference.drift.abs().max()),
        surviving=_surviving(source, result, kept & structured, difference.radius),
        structure_changed=_share(difference.changed, structured),
        flat_changed=_share(difference.changed, ~structured),
        contrast=float(contrast(result, difference.radius).mean() / difference.contrast.mean().clamp_min(1e-6)),
        colour_kept=_colour_kept(source, kept),
    )


def _colour_kept(source: torch.Tensor, kept: torch.Tensor) -> float:
    colourful = source.amax(0) - source.amin(0) > _COLOURFUL
    others = _share(kept, ~colourful)
    many = float(colourful.float().mean()) > _MANY
    return _share(kept, colourful) / others if many and others else 1.0


def _share(of: torch.Tensor, among: torch.Tensor) -> float:
    return float(of[among].float().mean()) if among.any() else 0.0


def _tone_shift(tones: torch.Tensor, residual: torch.Tensor) -> float:
    """Root mean square of a cubic in the tone, fitted to the residual of each channel; both are (3, pixels)."""
    step = -(-tones.shape[1] // _SAMPLES)
    squares = list[torch.Tensor]()
    for tone, moved in zip(tones[:, ::step].double(), residual[:, ::step].double(), strict=True):
        powers = torch.stack([(tone - tone.mean()) ** degree for degree in range(4)], dim=1)
        ridge = 1e-9 * len(tone) * torch.eye(4, dtype=torch.float64)
        fitted = powers @ ((powers.T @ powers + ridge).inverse() @ (powers.T @ moved))
        squares.append(fitted.square().mean())
    return float(torch.stack(squares).mean().sqrt())


def _surviving(source: torch.Tensor, result: torch.Tensor, where: torch.Tensor, radius: int) -> float:
    """Regression of the result's fine detail on the source's; 1 where there is none."""
    before, after = ((picture - window_mean(picture, 2 * radius)).mean(0)[where] for picture in (source, result))
    energy = float(before.square().sum())
    return float((before * after).sum()) / energy if energy > 0 else 1.0
