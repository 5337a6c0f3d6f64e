"""Notices halves that are shifted against each other, as they are when something between them was not dropped."""

from __future__ import annotations

import numpy as np
from PIL import Image

_FARTHEST = 0.15
"""Share of the width up to which a shift is looked for."""
_ALIKE, _BETTER = 0.5, 0.2
"""Correlation that shifted halves must reach, and by how much it must exceed that of the halves as they are."""
_HEIGHT = 64
"""Rows to which halves are reduced; columns stay as they are."""


def find_shift(before: Image.Image, after: Image.Image) -> int:
    """Find by how many columns ``after`` lies too far to the right, or left if below 0; 0 if they fit as they are."""
    first, second = _differences(before), _differences(after)
    width = min(first.shape[1], second.shape[1])
    most = int(width * _FARTHEST)
    fits = {
        by: _correlation(first[:, max(-by, 0) : width - max(by, 0)], second[:, max(by, 0) : width - max(-by, 0)])
        for by in range(-most, most + 1)
    }
    best = max(fits, key=lambda by: (fits[by], -abs(by)))
    return best if fits[best] >= _ALIKE and fits[best] - fits[0] >= _BETTER else 0


def _differences(picture: Image.Image) -> np.ndarray:
    """Differences of neighbouring columns, in which an edge fits at one place only."""
    grey = picture.convert("L").resize((picture.width, _HEIGHT), Image.Resampling.BOX)
    return np.diff(np.asarray(grey, dtype=np.float64), axis=1)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    norm = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return abs(float((first * second).sum())) / norm if norm else 0.0
