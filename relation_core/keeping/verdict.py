"""Decide whether an edit left a part of the picture unchanged.

If it did, most cells either agree with the source to within its noise or are clearly edited, whether they are flat
or not, and fine detail survives in those that agree. Where an edit changed the whole picture, cells agree by chance:
many are nearly alike, flat ones agree more often than those with structure, or detail is lost, sharpened or covered by
noise; or the result is nearer to the source turned or mirrored. In doubt an edit counts as global: the result comes
through untouched.

How much agrees says little, since a new background leaves only an object. What such an edit leaves is compact, agrees
well, and has clearly edited cells all around; what agrees by chance fades into cells that nearly agree.

A filter of a drawing changes what is near its edges alone. What :mod:`.softness` and :mod:`.edges` measure tells it
from a local edit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from .cells import TEXTURED, Cells
from .drift import centres
from .edges import Edges, compare_edges
from .reduced import Reduced
from .softness import best_detail, left_by_blur
from .windows import window_maximum

Verdict = Literal["local", "global"]
_LEAST_KEPT = 0.05
"""Share of the picture."""
_TOLERANCE = 0.042
"""Of the cells that agree best; more is no noise."""
_DOUBTFUL, _DOUBTFUL_IF_FLAT = 0.15, 0.3
"""Cells that nearly agree, over those that agree; more of them are outlines where a picture is mostly flat."""
_NEARLY = 2.5
"""Times the tolerance that they stay below."""
_COMPACT, _EXACT, _OUTLINED = 0.2, 0.02, 0.88
"""What a compact part shows: the least share of inner cells, the greatest difference there, and the least share of
clearly edited cells around."""
_DRIFT = 0.065
"""Largest drift that is not an edit, on a scale of 0 to 1."""
_STRUCTURE, _OF_FLAT = 0.08, 0.3
"""Shares of the cells with structure that are kept at least: of all of them, and over the share of flat cells."""
_STRUCTURED = 0.15
"""Share of cells with structure below which a picture is mostly flat: those cells are few outlines, and say little."""
_SOFT, _SOFTER, _UNEVEN = 0.2, 0.12, 0.34
"""Gain of detail: its median and lower quartile at least, and lower over upper quartile. A median filter loses texture
and keeps edges, and so is uneven."""
_LOST, _EXPLAINED = 0.1, 0.5
"""Gain of detail below which it is lost for certain, and difference that a blur leaves, below which the gains above
count: weak autoencoders lose detail unevenly too, but a blur does not explain an edit."""
_BLURRED, _NO_DETAIL = 0.35, 0.5
"""Difference that a blur leaves, and detail that is kept at best, below which the picture is blurred."""
_SHARP = 1.12
"""Gain of detail, its median at most."""
_NOISE = 0.028
"""Root mean square of added detail, on a scale of 0 to 1."""
_TURNED = 0.5
"""Difference from the turned source over that from the source."""
_THUMBNAIL = 32
_FINE = 0.008
"""Root mean square from which on a cell has detail."""
_ENOUGH = 8
"""Cells."""
_DARK, _BRIGHT = 0.05, 0.97
"""Means beyond which a cell is black or white: darkening keeps the former, and says nothing by it."""


@dataclass(frozen=True)
class Evidence:
    """Measurements of a result's difference from its source. Shares are 1 where there is nothing to count."""

    structured: float
    """Share of the source's cells that have structure."""

    tolerance: float
    kept: float
    """Share of the cells that are neither black nor white."""
    doubtful: float
    drift: float
    structure_kept: float
    structure_over_flat: float
    detail: tuple[float, float, float]
    """Quartiles of the gain of detail over kept cells that have any; 1 where few have."""
    left_by_blur: float
    """Least squared difference of the result from the blurred source, over that from the source itself."""
    best_detail: float
    """Gain of detail that a tenth of the cells with detail has, kept or not."""
    edges: Edges
    noise: float
    turned: float
    """Least squared difference of the result from the source turned or mirrored, over that from the source itself."""
    inner: float
    """Share of the kept cells whose neighbours are all kept."""
    inner_difference: float
    """Median difference of these, of 1."""
    outlined: float
    """Share of the cells just beyond the outline around these that are clearly edited; 0 if there are none."""

    @property
    def compact(self) -> bool:
        """Whether what is kept is a part of the picture, clearly set off from the rest."""
        return self.inner > _COMPACT and self.inner_difference < _EXACT and self.outlined > _OUTLINED


def verdict_on(pictures: Reduced, cells: Cells) -> Verdict:
    """Judge an edit."""
    return "global" if reasons(evidence_of(pictures, cells)) else "local"


def reasons(seen: Evidence) -> tuple[str, ...]:
    """Name what speaks for a global edit."""
    lower, middle, upper = seen.detail
    rich, compact = seen.structured > _STRUCTURED, seen.compact
    found = {
        "no cell agrees well": not compact and seen.tolerance > _TOLERANCE,
        "hardly any cell agrees": seen.kept < _LEAST_KEPT,
        "many cells nearly agree": not compact and seen.doubtful > (_DOUBTFUL if rich else _DOUBTFUL_IF_FLAT),
        "colours shift": seen.drift > _DRIFT,
        "structure moves": rich
        and (seen.structure_over_flat < _OF_FLAT or (not compact and seen.structure_kept < _STRUCTURE)),
        "it is turned": seen.turned < _TURNED,
        "no detail is left": middle < _LOST,
        "detail is lost": seen.left_by_blur < _EXPLAINED
        and (middle < _SOFT or (rich and (lower < _SOFTER or lower < _UNEVEN * upper))),
        "it is blurred": seen.left_by_blur < _BLURRED and seen.best_detail < _NO_DETAIL,
        "edges move everywhere": seen.edges.move_everywhere,
        "detail is sharpened": middle > _SHARP,
        "noise is added": seen.noise > _NOISE,
    }
    return tuple(reason for reason, holds in found.items() if holds)


def evidence_of(pictures: Reduced, cells: Cells) -> Evidence:
    """Take the measurements that a verdict is based on."""
    light = cells.colour.mean(0)
    textured = cells.contrast > TEXTURED
    nearly = (cells.relative > 1) & (cells.relative < _NEARLY)
    own, added, shared = pictures.detail
    gain = shared / own.clamp_min(1e-9)
    fine = textured & (own > _FINE**2) & (cells.relative < 1)
    inner, around = _inner_and_around(cells.kept)
    sides = zip(pictures.source.shape[1:], pictures.size, strict=True)
    y, x = (centres(side, pictures.factor, full) for side, full in sides)
    steady = pictures.result - cells.drift.over(y, x)
    return Evidence(
        structured=float(textured.float().mean()),
        tolerance=cells.tolerance,
        kept=_share(cells.kept, (light > _DARK) & (light < _BRIGHT)),
        doubtful=float(nearly.float().mean() / cells.kept.float().mean().clamp_min(1e-3)),
        drift=cells.drift.largest,
        structure_kept=_share(cells.kept, textured),
        structure_over_flat=_ratio(cells.kept, textured),
        detail=_quartiles(gain[fine]),
        left_by_blur=left_by_blur(pictures.source, steady),
        best_detail=best_detail(pictures.source, pictures.result, pictures.cell),
        edges=compare_edges(pictures.source, steady, pictures.cell),
        noise=float((added - gain * shared).clamp_min(0).sqrt().median()),
        turned=_turned(pictures.source, pictures.result),
        inner=_share(inner, cells.kept),
        inner_difference=float((cells.relative * cells.tolerance)[inner].median()) if inner.any() else 1.0,
        outlined=_share(cells.relative > _NEARLY, around) if around.any() else 0.0,
    )


def _inner_and_around(kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Kept cells with none but kept neighbours, and the cells at a distance of three from these.

    Those at a distance of one are kept, and at two lies the outline.
    """
    inner = 1 - window_maximum(1 - kept[None].float(), 1)
    near, far = (window_maximum(inner, reach)[0] > 0 for reach in (2, 3))
    return inner[0] > 0, far & ~near


def _turned(source: torch.Tensor, result: torch.Tensor) -> float:
    """Compare small squares of both, the source's in all eight positions."""
    own, other = (F.adaptive_avg_pool2d(picture, _THUMBNAIL) for picture in (source, result))
    turns = [own.rot90(quarters, (1, 2)) for quarters in range(4)]
    errors = [float((turn - other).square().mean()) for turn in (*turns, *(turn.flip(2) for turn in turns))]
    return max(min(errors[1:]), 1e-6) / max(errors[0], 1e-6)


def _share(of: torch.Tensor, among: torch.Tensor) -> float:
    return float(of[among].float().mean()) if among.any() else 1.0


def _ratio(of: torch.Tensor, among: torch.Tensor) -> float:
    """Share among some cells over that among the others."""
    others = _share(of, ~among)
    return _share(of, among) / others if others else 1.0


def _quartiles(values: torch.Tensor) -> tuple[float, float, float]:
    if values.numel() <= _ENOUGH:
        return 1.0, 1.0, 1.0
    found = torch.quantile(values, torch.tensor((0.25, 0.5, 0.75)))
    return float(found[0]), float(found[1]), float(found[2])
