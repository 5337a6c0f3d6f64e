"""Paint a landscape: its backdrop, its figures, and the weather in front of them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .backdrop import cover_with_water, grid, paint_backdrop
from .colours import Array, mix
from .figures import draw_figures
from .landscape import SIDE, Landscape
from .light import light_of

_FLOOD = 92.0
"""y that a flood rises to."""
_DROPS = 170
_RAIN_SEED = 5
"""Rain falls the same way in all scenes, so that a source determines its target."""


def paint(scene: Landscape) -> Image.Image:
    """Paint a landscape of 128x128 pixels in RGB."""
    picture = draw_figures(paint_backdrop(scene), scene)
    if scene.weather.flood:
        _, y = grid()
        cover_with_water(picture, np.clip(y - _FLOOD, 0, 1), _FLOOD, light_of(scene), 0.6)
    if scene.weather.rain:
        picture = _rained(picture, scene)
    return Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))


def _rained(picture: Array, scene: Landscape) -> Array:
    rng = np.random.default_rng(_RAIN_SEED)
    mask = Image.new("L", (2 * SIDE, 2 * SIDE))
    pen = ImageDraw.Draw(mask)
    x, y = rng.uniform(0, 2.2 * SIDE, _DROPS), rng.uniform(-20, 2 * SIDE, _DROPS)
    length = rng.uniform(14, 26, _DROPS)
    for left, top, reach in zip(x, y, length, strict=True):
        pen.line((left, top, left - 0.28 * reach, top + reach), 150, 2)
    streaks = np.asarray(mask.reduce(2), np.float32)[..., None] / 255
    return mix(picture, np.array((0.86, 0.90, 0.96), np.float32), 0.75 * streaks)
