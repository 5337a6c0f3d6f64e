"""The picture that shows what happened: A : A' :: B : B'."""

from __future__ import annotations

from math import ceil

from PIL import Image, ImageDraw, ImageFont

from .opaque import WHITE
from .thumbnails import contained

LABELS = ("A  before", "A'  after", "B  source", "B'  result")
SIGNS = (":", "::", ":")
_HIGHEST = 4096
_THINNEST, _NARROW = 4, 256
"""A result is shown at most so many times as high as wide, or as so many pixels."""
_INK, _PAPER_EDGE = (40, 40, 46), (208, 208, 214)


def comparison_sheet(pictures: tuple[Image.Image, Image.Image, Image.Image, Image.Image]) -> Image.Image:
    """Lay before, after, source and result in a row, with labels, all as high as the result.

    A result over 4096 pixels high, or long and thin, is shrunk: the other pictures would grow without bound.

    A picture wider than twice that height is shrunk to it; one narrower than its label stands centred over it.
    """
    result = pictures[-1]
    height = min(result.height, _HIGHEST, _THINNEST * max(result.width, _NARROW))
    margin, text = max(12, height // 24), max(12, height // 18)
    font = ImageFont.load_default(size=text)
    gap = 3 * margin
    shown = [contained(picture, (2 * height, height)) for picture in pictures]
    columns = [max(picture.width, ceil(font.getlength(label))) for picture, label in zip(shown, LABELS, strict=True)]
    width = 2 * margin + sum(columns) + gap * len(SIGNS)
    sheet = Image.new("RGB", (width, margin + height + 2 * text + margin // 2), WHITE)
    draw = ImageDraw.Draw(sheet)
    left = margin
    for index, (picture, column) in enumerate(zip(shown, columns, strict=True)):
        x, y = left + (column - picture.width) // 2, margin + (height - picture.height) // 2
        sheet.paste(picture, (x, y))
        draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=_PAPER_EDGE)
        draw.text((left + column / 2, margin + height + text // 2), LABELS[index], _INK, font, anchor="ma")
        left += column + gap
        if index < len(SIGNS):
            draw.text((left - gap / 2, margin + height / 2), SIGNS[index], _INK, font, anchor="mm")
    return sheet
