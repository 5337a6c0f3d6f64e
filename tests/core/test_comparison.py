"""The comparison sheet: every picture whole and in its place, every label readable."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image

from relation_core.pictures.comparison import comparison_sheet, relation_sheet

COLOURS = ((220, 90, 90), (90, 200, 90), (90, 120, 230), (220, 190, 80))
WHITE = (255, 255, 255)
EQUAL = ((96, 64),) * 4
MIXED = ((500, 300), (300, 500), (1024, 1024), (640, 480))
NARROW = ((64, 512),) * 4
WIDE = ((4000, 100), (100, 100), (2048, 64), (512, 288))
TINY = ((16, 16),) * 4
Sizes = tuple[tuple[int, int], ...]


def sheet_of(sizes: Sizes) -> np.ndarray:
    first, second, third, fourth = (Image.new("RGB", size, colour) for size, colour in zip(sizes, COLOURS, strict=True))
    return np.asarray(comparison_sheet((first, second, third, fourth)))


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is set; it must be a full rectangle."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert mask.sum() == (box[2] - box[0]) * (box[3] - box[1]), "something covers a part of a picture"
    return box


def boxes_of(sheet: np.ndarray) -> list[tuple[int, int, int, int]]:
    return [box_of((sheet == colour).all(-1)) for colour in COLOURS]


@pytest.mark.parametrize("sizes", [EQUAL, MIXED, NARROW, WIDE, TINY])
def test_pictures_stand_in_a_row_as_high_as_the_result(sizes: Sizes) -> None:
    sheet = sheet_of(sizes)
    height = sizes[-1][1]
    boxes = boxes_of(sheet)
    assert boxes[-1][3] - boxes[-1][1] == height
    for (left, top, right, bottom), (width, own_height) in zip(boxes, sizes, strict=True):
        scale = min(2 * height / width, height / own_height)
        assert right - left == pytest.approx(width * scale, abs=1)
        assert bottom - top == pytest.approx(own_height * scale, abs=1)
        assert (top + bottom) / 2 == pytest.approx((boxes[-1][1] + boxes[-1][3]) / 2, abs=1)
        assert left > 0 and right < sheet.shape[1] and top > 0 and bottom < sheet.shape[0]
    assert all(one[2] < other[0] for one, other in itertools.pairwise(boxes))


@pytest.mark.parametrize("sizes", [EQUAL, MIXED, NARROW, WIDE, TINY])
def test_labels_are_whole_and_under_their_pictures(sizes: Sizes) -> None:
    sheet = sheet_of(sizes)
    boxes = boxes_of(sheet)
    below = (sheet[max(box[3] for box in boxes) + 2 :] < 128).all(-1)
    assert not below[-1].any(), "the labels are cut off below"
    columns = np.flatnonzero(below.any(0))
    assert columns[0] > 0 and columns[-1] < sheet.shape[1] - 1, "a label is cut off at the side"
    gap = max(12, sizes[-1][1] // 24)  # more than there is between the words of a label
    words = np.split(columns, np.flatnonzero(np.diff(columns) >= gap) + 1)
    assert len(words) == 4, "labels run into each other"
    for word, (left, _, right, _) in zip(words, boxes, strict=True):
        assert (word[0] + word[-1]) / 2 == pytest.approx((left + right) / 2, abs=3)


def test_signs_stand_between_the_pictures() -> None:
    sheet = sheet_of(MIXED)
    boxes = boxes_of(sheet)
    top, bottom = boxes[-1][1], boxes[-1][3]
    ink = []
    for one, other in itertools.pairwise(boxes):
        between = (sheet[top:bottom, one[2] + 1 : other[0] - 1] < 128).all(-1)
        assert between.any()
        ink.append(int(between.sum()))
        columns = np.flatnonzero(between.any(0))
        assert (columns[0] + columns[-1]) / 2 == pytest.approx(between.shape[1] / 2, abs=3)
    assert ink[0] == ink[2]
    assert ink[1] == pytest.approx(2 * ink[0], rel=0.2), "A : A' :: B : B'"


def test_the_paper_is_white() -> None:
    sheet = sheet_of(EQUAL)
    edge = np.concatenate([sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]])
    assert (edge == WHITE).all()


@pytest.mark.parametrize("side", [128, 512])
def test_a_relation_is_shown_by_its_small_pictures(side: int) -> None:
    """Two, one under the other, as high as the source and the result together with them allow."""
    sizes = ((256, 128), (256, 128), (side, side), (side, side))
    first, second, source, result = (
        Image.new("RGB", size, colour) for size, colour in zip(sizes, COLOURS, strict=True)
    )
    sheet = np.asarray(relation_sheet([first, second], source, result)).astype(int)
    upper, lower, b, made = (box_of((abs(sheet - colour) < 3).all(-1)) for colour in COLOURS)
    assert upper[0] == lower[0] and upper[2] == lower[2] and abs(upper[3] - lower[1]) <= 8
    assert upper[1] == b[1] == made[1] and lower[3] == b[3] == made[3]
    assert lower[2] - lower[0] == pytest.approx(side, abs=2)
    assert lower[2] < b[0] and b[2] < made[0]
