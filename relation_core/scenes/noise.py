"""Smooth noise and crests of ridges."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from .colours import Array

_SHEET = 512
"""Side of the sheets that textures are cut from."""
_SHEETS = 4


def texture(rng: np.random.Generator, side: int, across: int, down: int) -> Array:
    """Noise (side, side) in about [-1, 1], in spots of three sizes, the largest ``across`` x ``down`` pixels.

    It is cut from a sheet at a random place, which is far faster than making new noise.
    """
    sheet = _sheet(across, down, int(rng.integers(_SHEETS)))
    x, y = rng.integers(0, _SHEET - side, 2)
    cut = sheet[y : y + side, x : x + side]
    return cut[:, ::-1] if rng.random() < 0.5 else cut


@lru_cache(maxsize=32)
def _sheet(across: int, down: int, number: int) -> Array:
    rng = np.random.default_rng((across, down, number))
    total = np.zeros((_SHEET, _SHEET), np.float32)
    for octave in range(3):
        columns, rows = _SHEET * 2**octave // across, _SHEET * 2**octave // down
        grid = rng.uniform(-1.0, 1.0, (rows + 2, columns + 2)).astype(np.float32)
        inner = (0.5, 0.5, columns + 1.5, rows + 1.5)
        enlarged = Image.fromarray(grid).resize((_SHEET, _SHEET), Image.Resampling.BICUBIC, box=inner)
        total += np.asarray(enlarged, np.float32) * np.float32(0.57 * 0.5**octave)
    return total


def crest(rng: np.random.Generator, points: int, waves: int, craggy: bool) -> Array:
    """A profile (points,) in about [-1, 1]; craggy ones have sharp peaks."""
    places = np.linspace(0.0, 1.0, points)
    total = np.zeros(points, np.float32)
    strength, reach = 1.0, 0.0
    for octave in range(6 if craggy else 3):
        knots = (waves << octave) + 2
        heights = rng.uniform(-1.0, 1.0, knots).astype(np.float32)
        offset = rng.uniform(0.0, 1.0)
        along = places * (knots - 2) + offset
        left = along.astype(int)
        share = (along - left).astype(np.float32)
        if not craggy:
            share = share * share * (3 - 2 * share)
        total += strength * (heights[left] * (1 - share) + heights[left + 1] * share)
        reach += strength
        strength *= 0.5 if craggy else 0.4
    return (total / (0.62 * reach)).astype(np.float32)
