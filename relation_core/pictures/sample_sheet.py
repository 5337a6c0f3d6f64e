"""A picture of edits, one a row: A : A' :: B : B' beside the target."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .layout import Look, Tile, TileRow, lay_out
from .opaque import WHITE

LABELS = ("A", "A'", "B", "B'", "target")
SheetRow = tuple[str, Sequence[Image.Image]]
"""The name of an edit, and a picture for every label."""
SIDE, GAP, LINE = 128, 10, 18
_LOOK = Look(cell=(SIDE, SIDE), gap=GAP, margin=GAP, font=13, line=LINE)


def sample_sheet(rows: Sequence[SheetRow], columns: int = 1) -> Image.Image:
    """Draw a sheet.

    Args:
        rows: the edits; pictures are enlarged or shrunk to 128 pixels.
        columns: how many edits stand beside each other; they are read column by column.
    """
    lines = -(-len(rows) // columns)
    parts = [_column(rows[start : start + lines]) for start in range(0, len(rows), lines)]
    sheet = Image.new("RGB", ((parts[0].width - GAP) * columns + GAP, parts[0].height), WHITE)
    for number, part in enumerate(parts):
        sheet.paste(part, (number * (part.width - GAP), 0))
    return sheet


def _column(rows: Sequence[SheetRow]) -> Image.Image:
    """Draw edits below each other, with the labels above the first."""
    labels = [LABELS, *[("",) * len(LABELS)] * (len(rows) - 1)]
    return lay_out(
        [
            TileRow([Tile(*pair) for pair in zip(pictures, above, strict=True)], [name])
            for (name, pictures), above in zip(rows, labels, strict=True)
        ],
        _LOOK,
    )
