"""The one layout of pictures in rows, with labels: comparisons, sheets of samples, and what a judge sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil

from PIL import Image, ImageDraw, ImageFont

from .contained import contained, contained_size, paste_centred
from .opaque import WHITE

INK = (40, 40, 46)
_EDGE = (208, 208, 214)


@dataclass(frozen=True)
class Tile:
    """A picture and its label."""

    picture: Image.Image
    label: str = ""


@dataclass(frozen=True)
class TileRow:
    """Pictures beside each other, and lines of text under them."""

    tiles: Sequence[Tile | None]
    """None leaves a place empty."""
    text: Sequence[str] = ()


@dataclass(frozen=True)
class Look:
    """Measures of a sheet, in pixels."""

    cell: tuple[int, int]
    """Width and height that every picture is enlarged or shrunk to fit."""
    gap: int
    """Between columns, and below every row but the last."""
    margin: int
    font: int
    line: int
    """Height of a line of text and of a line of labels."""
    signs: tuple[str, ...] = ()
    """Drawn between the columns of every row."""
    snug: bool = False
    """Whether a column is as wide as its widest picture or label; otherwise it is as wide as the cell."""
    labels_below: bool = False
    framed: bool = False


def lay_out(rows: Sequence[TileRow], look: Look) -> Image.Image:
    """Draw rows of pictures below each other, each picture centred in its place.

    Args:
        rows: at least one; all have the same number of tiles.
        look: the measures.
    """
    columns = _columns(rows, look)
    heights = [look.cell[1] + look.line * (_has_labels(row) + len(row.text)) for row in rows]
    tops = list(accumulate(heights[:-1], lambda top, height: top + height + look.gap, initial=look.margin))
    sheet = Image.new("RGB", (sum(columns[-1]) + look.margin, tops[-1] + heights[-1] + look.margin), WHITE)
    for row, top in zip(rows, tops, strict=True):
        _draw_row(sheet, row, look, columns, top)
    return sheet


def _columns(rows: Sequence[TileRow], look: Look) -> list[tuple[int, int]]:
    """The left edge and the width of every column."""
    count = len(rows[0].tiles)
    widths = [max(_widths(rows, look, column), default=0) if look.snug else look.cell[0] for column in range(count)]
    lefts = list(accumulate(widths[:-1], lambda left, width: left + width + look.gap, initial=look.margin))
    return list(zip(lefts, widths, strict=True))


def _widths(rows: Sequence[TileRow], look: Look, column: int) -> Iterator[int]:
    font = ImageFont.load_default(size=look.font)
    for row in rows:
        tile = row.tiles[column]
        if tile is not None:
            yield max(contained_size(tile.picture.size, look.cell)[0], ceil(font.getlength(tile.label)))


def _has_labels(row: TileRow) -> bool:
    return any(tile is not None and tile.label for tile in row.tiles)


def _draw_row(sheet: Image.Image, row: TileRow, look: Look, columns: list[tuple[int, int]], top: int) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=look.font)
    height, labelled = look.cell[1], _has_labels(row)
    pictures_top = top + look.line * (labelled and not look.labels_below)
    label_top = top + (height if look.labels_below else 0) + (look.line - look.font) // 2
    for tile, (left, width) in zip(row.tiles, columns, strict=True):
        if tile is None:
            continue
        picture = contained(tile.picture, look.cell)
        x, y = paste_centred(sheet, picture, (left, pictures_top, width, height))
        if look.framed:
            draw.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=_EDGE)
        draw.text((left + width / 2, label_top), tile.label, INK, font, anchor="ma")
    for sign, (left, width) in zip(look.signs, columns[:-1], strict=False):
        middle = (left + width + look.gap / 2, pictures_top + height / 2)
        draw.text(middle, sign, INK, font, anchor="mm")
    text_top = top + height + look.line * labelled + (look.line - look.font) // 2
    for number, line in enumerate(row.text):
        draw.text((look.margin, text_top + number * look.line), line, INK, font)
