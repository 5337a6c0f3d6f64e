"""The picture that shows what happened: A : A' :: B : B'."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .layout import Look, Tile, TileRow, lay_out
from .opaque import WHITE

LABELS = ("A  before", "A'  after", "B  source", "B'  result")
SIGNS = (":", "::", ":")
RELATION_LABELS, RELATION_SIGNS = ("A : A'  pairs", *LABELS[2:]), SIGNS[1:]
_HIGHEST = 4096
_THINNEST, _NARROW = 4, 256
"""The shown height is at most this many times the width; a width below the second number counts as that many pixels."""


def comparison_sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay before, after, source and result, four pictures, in a row, with labels, all as high as the result.

    A result that is over 4096 pixels high, or long and thin, is shrunk; otherwise the other pictures would grow without
    bound.

    A picture wider than twice that height is shrunk to it; one narrower than its label stands centred over it.
    """
    return _row(pictures, LABELS, SIGNS)


def relation_sheet(pairs: Sequence[Image.Image], source: Image.Image, result: Image.Image) -> Image.Image:
    """Lay what a relation shows of its pairs, source and result in a row, as :func:`comparison_sheet` does.

    Args:
        pairs: small pictures, at least one, each of one pair or more. They are stacked and brought to the row's height.
        source: the picture that was edited.
        result: what it became.
    """
    stack = Image.new("RGB", (max(pair.width for pair in pairs), sum(pair.height for pair in pairs)), WHITE)
    top = 0
    for pair in pairs:
        stack.paste(pair, ((stack.width - pair.width) // 2, top))
        top += pair.height
    return _row((stack, source, result), RELATION_LABELS, RELATION_SIGNS)


def _row(pictures: Sequence[Image.Image], labels: Sequence[str], signs: tuple[str, ...]) -> Image.Image:
    """Lay pictures in a row, all as high as the last."""
    result = pictures[-1]
    height = min(result.height, _HIGHEST, _THINNEST * max(result.width, _NARROW))
    margin, text = max(12, height // 24), max(12, height // 18)
    look = Look(
        cell=(2 * height, height),
        gap=3 * margin,
        margin=margin,
        font=text,
        line=2 * text,
        signs=signs,
        snug=True,
        labels_below=True,
        framed=True,
    )
    return lay_out([TileRow([Tile(*pair) for pair in zip(pictures, labels, strict=True)])], look)
