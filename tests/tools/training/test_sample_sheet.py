"""Every picture stands where its row and its column are."""

from __future__ import annotations

import pytest
from PIL import Image

from relation_core.pictures.sample_sheet import GAP, LABELS, LINE, SIDE, SheetRow, sample_sheet


def colour(row: int, place: int) -> tuple[int, int, int]:
    return 40 * row, 40 * place, 100


def rows(count: int) -> list[SheetRow]:
    return [
        (f"edit {row}", [Image.new("RGB", (64, 64), colour(row, place)) for place in range(len(LABELS))])
        for row in range(count)
    ]


@pytest.mark.parametrize(("count", "columns"), [(3, 1), (4, 2), (5, 2), (1, 2)])
def test_every_picture_is_in_its_place(count: int, columns: int) -> None:
    sheet, lines = sample_sheet(rows(count), columns), -(-count // columns)
    for row in range(count):
        for place in range(len(LABELS)):
            column = row // lines * (len(LABELS) * (SIDE + GAP) + GAP) + place * (SIDE + GAP)
            centre = (GAP + column + SIDE // 2, LINE + GAP + row % lines * (SIDE + LINE + GAP) + SIDE // 2)
            assert sheet.getpixel(centre) == colour(row, place)


def test_a_row_without_a_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        sample_sheet([("edit", rows(1)[0][1][:4])])
