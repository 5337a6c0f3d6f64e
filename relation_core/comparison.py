"""The picture that shows what happened: A : A' :: B : B'."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont, ImageOps

from .pictures import WHITE

LABELS = ("A  before", "A'  after", "B  source", "B'  result")
SIGNS = (":", "::", ":")
_INK, _PAPER_EDGE = (40, 40, 46), (208, 208, 214)


def comparison_sheet(pictures: tuple[Image.Image, Image.Image, Image.Image, Image.Image]) -> Image.Image:
    """Lay before, after, source and result in a row, with labels, all as high as the result.

    A picture wider than twice that height is shrunk to it.
    """
    height = pictures[-1].height
    margin, text = max(12, height // 24), max(12, height // 18)
    font = ImageFont.load_default(size=text)
    gap = 3 * margin
    shown = [ImageOps.contain(picture, (2 * height, height)) for picture in pictures]
    width = 2 * margin + sum(picture.width for picture in shown) + gap * len(SIGNS)
    sheet = Image.new("RGB", (width, margin + height + 2 * text + margin // 2), WHITE)
    draw = ImageDraw.Draw(sheet)
    left = margin
    for index, picture in enumerate(shown):
        top = margin + (height - picture.height) // 2
        sheet.paste(picture, (left, top))
        draw.rectangle((left - 1, top - 1, left + picture.width, top + picture.height), outline=_PAPER_EDGE)
        centre = left + picture.width / 2
        draw.text((centre, margin + height + text // 2), LABELS[index], _INK, font, anchor="ma")
        left += picture.width + gap
        if index < len(SIGNS):
            draw.text((left - gap / 2, margin + height / 2), SIGNS[index], _INK, font, anchor="mm")
    return sheet
