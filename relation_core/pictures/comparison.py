"""The picture that shows what happened: A : A' :: B : B'."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .layout import Look, Tile, TileRow, lay_out

LABELS = ("A  before", "A'  after", "B  source", "B'  result")
SIGNS = (":", "::", ":")
_HIGHEST = 4096
_THINNEST, _NARROW = 4, 256
"""The shown height is at most this many times the width; a width below the second number counts as that many pixels."""


def comparison_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay before, after, source and result, four pictures, in a row, with labels, all as high as the result.

    A result that is over 4096 pixels high, or long and thin, is shrunk; otherwise the other pictures would grow without
    bound.

    A picture wider than twice that height is shrunk to it; one narrower than its label stands centred over it.
    """
    result = pictures[-1]
    height = min(result.height, _HIGHEST, _THINNEST * max(result.width, _NARROW))
    margin, text = max(12, height // 24), max(12, height // 18)
    look = Look(
        cell=(2 * height, height),
        gap=3 * margin,
        margin=margin,
        font=text,
        line=2 * text,
        signs=SIGNS,
        snug=True,
        labels_below=True,
        framed=True,
    )
    return lay_out([TileRow([Tile(*pair) for pair in zip(pictures, LABELS, strict=True)])], look)
