"""What a watched run showed, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..pictures.chart import INK, Axes, Line, draw_chart
from ..pictures.contained import contained, paste_centred
from ..pictures.opaque import WHITE
from .shares import WatchedRun

_RAMP = ((10, 10, 40), (90, 20, 120), (200, 50, 80), (250, 150, 20), (255, 250, 170))
"""From no share to the highest: dark blue, violet, red, orange, pale yellow."""
_COLOURS = {"double": "#3b4cc0", "single": "#d9622b"}
_LEAST_SCALE = 0.01
"""The brightest colour means at least this share, so that next to nothing does not look like much."""
_LEAST_SPAN = 1 / 3
"""The colours span at least this part of the highest share, so that small differences do not look like large ones."""
_OVER = 0.55
"""How much of the heat map covers the picture."""
_NARROWEST, _LARGEST = 768, 2048
"""Pixels of a heat map's longer side; its words need the first."""
_FONT, _LINE, _SCALE = 17, 28, 320
"""Pixels of a letter's height, a line's height, and the colour scale's width."""
_CHART = (960, 360)


def describe(run: WatchedRun, picture: int) -> list[str]:
    """Say in words what one picture's heat map shows."""
    if not run.reached:
        return [
            "No relation acts on this model.",
            "Apply RelationAdapter is missing, its strength is 0, or its start is not before its end.",
        ]
    if not run.acted:
        return ["The relation gave nothing.", "Its range holds none of the noise levels, or its mask is black."]
    levels = f"at {run.acted} of {len(run.levels)} noise levels"
    if run.heat is None:
        return [
            f"The relation acted {levels}.",
            "There is no map: the model was called on tiles or windows, and where they lie is not known.",
        ]
    heat = run.heat[picture].flatten()
    mean, strongest = heat.mean(), heat.topk(max(1, round(len(heat) / 10))).values.mean()
    return [
        f"Share of the attention: {100 * mean:.1f} % on average, {100 * heat.max():.1f} % at most, {levels}.",
        f"The strongest tenth of the picture gets {strongest / mean.clamp_min(1e-12):.1f} times the average; "
        "1.0 means everywhere alike.",
    ]


def draw_heat_map(run: WatchedRun, picture: int, image: Image.Image) -> Image.Image:
    """Lay the shares of one picture over it, with a scale and words below.

    Args:
        run: a finished run.
        picture: which of the run's pictures it is.
        image: the picture that the run made. A small one is enlarged, one over 2048 pixels shrunk.
    """
    side = min(max(_NARROWEST, *image.size), _LARGEST)
    shown = contained(image, (side, side))
    heat = torch.zeros(len(run.samples), 1, 1) if run.heat is None else run.heat
    top = max(_LEAST_SCALE, float(heat.max()))
    bottom = min(float(heat.min()), top * (1 - _LEAST_SPAN))
    levels = (heat[picture] - bottom) / (top - bottom)
    levels = np.asarray(Image.fromarray(levels.numpy()).resize(shown.size, Image.Resampling.BICUBIC))
    mixed = Image.blend(shown.convert("L").convert("RGB"), Image.fromarray(_coloured(levels)), _OVER)

    lines = describe(run, picture)
    sheet = Image.new("RGB", (max(side, _NARROWEST), mixed.height + _LINE * (len(lines) + 2)), WHITE)
    paste_centred(sheet, mixed, (0, 0, sheet.width, mixed.height))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    scale = _coloured(np.linspace(0, 1, _SCALE)[None].repeat(_FONT, axis=0))
    middle, left = mixed.height + _LINE, (sheet.width - _SCALE) // 2
    sheet.paste(Image.fromarray(scale), (left, middle - _FONT // 2))
    draw.text((left - _FONT, middle), f"{100 * bottom:.1f} %", INK, font, "rm")
    draw.text((left + _SCALE + _FONT, middle), f"{100 * top:.1f} %", INK, font, "lm")
    for number, line in enumerate(lines):
        draw.text((sheet.width / 2, middle + _LINE * (number + 1)), line, INK, font, "mm")
    return sheet


def draw_shares(run: WatchedRun) -> Image.Image:
    """Draw the shares over noise levels, and over blocks below it."""
    double, single = (len(run.by_block[kind]) for kind in _COLOURS)
    over_levels = {kind: list(enumerate(run.by_level[kind])) for kind in _COLOURS}
    over_blocks = {
        kind: list(enumerate(run.by_block[kind], start)) for kind, start in zip(_COLOURS, (0, double), strict=True)
    }
    charts = [
        _chart(over_levels, "by noise level", f"first: {run.levels[0]:.3g}", f"last: {run.levels[-1]:.3g}"),
        _chart(over_blocks, "by block", "double block 1", f"single block {single}"),
    ]
    sheet = Image.new("RGB", (_CHART[0], len(charts) * _CHART[1]), WHITE)
    for number, chart in enumerate(charts):
        sheet.paste(chart, (0, number * _CHART[1]))
    return sheet


def _chart(points: dict[str, list[tuple[int, float]]], over: str, start: str, end: str) -> Image.Image:
    lines = [Line(points[kind], colour, 3) for kind, colour in _COLOURS.items() if points[kind]]
    top = max(_LEAST_SCALE, *(y for line in lines for _, y in line.points))
    title = f"share of the attention {over}; blue: double blocks, orange: single blocks"
    return draw_chart(lines, Axes(title, start, end, lambda share: f"{100 * share:.1f} %"), (0.0, top), _CHART)


def _coloured(values: np.ndarray) -> np.ndarray:
    """Colour values of 0 to 1: (height, width) becomes (height, width, 3) of 8 bits."""
    ramp = np.array(_RAMP, dtype=np.float64)
    places = np.linspace(0, 1, len(ramp))
    channels = [np.interp(values.clip(0, 1), places, ramp[:, channel]) for channel in range(3)]
    stacked: Any = np.stack(channels, axis=-1)
    return stacked.round().astype(np.uint8)
