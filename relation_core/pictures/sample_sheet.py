"""A picture of edits, one a row: A : A' :: B : B' beside the target."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .opaque import WHITE

LABELS = ("A", "A'", "B", "B'", "target")
SheetRow = tuple[str, Sequence[Image.Image]]
"""The name of an edit, and a picture for every label."""
SIDE, GAP, LINE = 128, 10, 18
_INK = (30, 30, 36)


def sample_sheet(rows: Sequence[SheetRow], columns: int = 1) -> Image.Image:
    """Draw a sheet.

    Args:
        rows: the edits; pictures are enlarged or shrunk to 128 pixels.
        columns: how many edits stand beside each other; they are read column by column.
    """
    width, height = len(LABELS) * (SIDE + GAP) + GAP, SIDE + LINE + GAP
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * width, LINE + GAP + height * lines), WHITE)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for number, (name, pictures) in enumerate(rows):
        left, top = GAP + number // lines * width, LINE + GAP + number % lines * height
        draw.text((left, top + SIDE + 1), name, _INK, font)
        for place, (label, picture) in enumerate(zip(LABELS, pictures, strict=True)):
            x = left + place * (SIDE + GAP)
            sheet.paste(_enlarged(picture), (x, top))
            if number % lines == 0:
                draw.text((x + SIDE / 2, GAP / 2), label, _INK, font, anchor="ma")
    return sheet


def _enlarged(picture: Image.Image) -> Image.Image:
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
