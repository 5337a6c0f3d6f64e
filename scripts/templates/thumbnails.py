"""Draws the thumbnails: what a workflow takes, and that it makes the missing picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from PIL import Image, ImageFilter

from relation_core.scenes.examples import draw_example, draw_pair

from ..drawing import TEAL, Box, Sheet, photographs

SIDE, MARGIN, GAP = 640, 28, 64
PANEL = (SIDE - 2 * MARGIN - GAP) // 2
DARK, PALE, LIGHT = (24, 26, 31), (38, 42, 53), (150, 208, 226)
LEFT, RIGHT = MARGIN, MARGIN + PANEL + GAP
"""Where columns begin, and rows too."""


@cache
def _photographs() -> dict[str, Image.Image]:
    return photographs(PANEL)


def _sheet() -> Sheet:
    return Sheet(SIDE, SIDE, DARK)


def _box(left: float, top: float, side: float = PANEL) -> Box:
    return (left, top, left + side, top + side)


def _photo(sheet: Sheet, name: str, box: Box) -> None:
    sheet.photograph(_photographs()[name], box)


def _question(sheet: Sheet, box: Box) -> None:
    """The picture that the workflow makes."""
    sheet.panel(box, PALE, LIGHT, 18)
    sheet.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), "?", (box[2] - box[0]) * 0.6, LIGHT)


def _across(sheet: Sheet, y: float) -> None:
    sheet.arrow((LEFT + PANEL + 12, y), (RIGHT - 12, y), LIGHT, 5)


def _down(sheet: Sheet, x: float) -> None:
    sheet.arrow((x, LEFT + PANEL + 12), (x, RIGHT - 12), LIGHT, 5)


def _pair(sheet: Sheet) -> None:
    _photo(sheet, "A", _box(LEFT, LEFT))
    _photo(sheet, "A'", _box(RIGHT, LEFT))
    _across(sheet, LEFT + PANEL / 2)


def _source_and_result(sheet: Sheet) -> None:
    _photo(sheet, "B", _box(LEFT, RIGHT))
    _question(sheet, _box(RIGHT, RIGHT))
    _across(sheet, RIGHT + PANEL / 2)


def try_it_small() -> Sheet:
    """Landscapes: a pair, a source, and what it should become."""
    sheet = _sheet()
    places = ((LEFT, LEFT), (RIGHT, LEFT), (LEFT, RIGHT), (RIGHT, RIGHT))
    for place, picture in zip(places, draw_example("sky_orange", 0, 1), strict=True):
        sheet.photograph(picture, _box(*place))
    for y in (LEFT, RIGHT):
        _across(sheet, y + PANEL / 2)
    return sheet


def _many_pairs(sheet: Sheet, pairs: list[tuple[Image.Image, Image.Image]]) -> None:
    """Small pairs, one under the other, that become one edit."""
    side = (SIDE - 2 * MARGIN - 3 * 20) / 4
    for place, (before, after) in enumerate(pairs):
        top = MARGIN + place * (side + 20)
        sheet.photograph(before, _box(MARGIN, top, side))
        sheet.photograph(after, _box(MARGIN + side + 34, top, side))
        sheet.arrow((MARGIN + side + 5, top + side / 2), (MARGIN + side + 30, top + side / 2), LIGHT, 4)
    right = MARGIN + 2 * side + 34
    sheet.arrow((right + 14, SIDE / 2), (right + 66, SIDE / 2), LIGHT, 6)


_EDITED = SIDE - 2 * MARGIN - 2 * 131 - 34 - 80
"""The side of a picture beside many pairs."""


def try_it_small_tune() -> Sheet:
    """Landscapes: four pairs of an edit, and another one before and after it."""
    sheet = _sheet()
    _many_pairs(sheet, [draw_pair("sepia_unseen", number) for number in range(4)])
    left, gap = SIDE - MARGIN - _EDITED, 50
    top = (SIDE - 2 * _EDITED - gap) / 2
    for place, picture in enumerate(draw_pair("sepia_unseen", 100)):
        sheet.photograph(picture, _box(left, top + place * (_EDITED + gap), _EDITED))
    middle = left + _EDITED / 2
    sheet.arrow((middle, top + _EDITED + 8), (middle, top + _EDITED + gap - 8), LIGHT, 5)
    return sheet


def tune_relation() -> Sheet:
    """Many pairs, a source, and the picture that is made of it."""
    sheet = _sheet()
    cut = _photographs()
    whole = cut["A"].width
    parts = [
        _box(whole * x, whole * y, whole * side)
        for x, y, side in ((0.0, 0.0, 1.0), (0.1, 0.15, 0.6), (0.35, 0.3, 0.6), (0.2, 0.4, 0.55))
    ]
    _many_pairs(sheet, [(cut["A"].crop(part), cut["A'"].crop(part)) for part in parts])
    left, gap = SIDE - MARGIN - _EDITED, 50
    top = (SIDE - 2 * _EDITED - gap) / 2
    _photo(sheet, "B", _box(left, top, _EDITED))
    _question(sheet, _box(left, top + _EDITED + gap, _EDITED))
    middle = left + _EDITED / 2
    sheet.arrow((middle, top + _EDITED + 8), (middle, top + _EDITED + gap - 8), LIGHT, 5)
    return sheet


def relation_transfer() -> Sheet:
    """A : A' :: B : ?"""
    sheet = _sheet()
    _pair(sheet)
    _source_and_result(sheet)
    _down(sheet, RIGHT + PANEL / 2)
    return sheet


def relation_transfer_simple() -> Sheet:
    """The same, by one node."""
    sheet = relation_transfer()
    sheet.chip((SIDE / 2, SIDE / 2), "1 node", TEAL, 34)
    return sheet


def relation_pairs_mask() -> Sheet:
    """Two pairs, and a result of which a part is painted over."""
    sheet = _sheet()
    half = (PANEL - 20) / 2
    for top in (LEFT, LEFT + half + 20):
        _photo(sheet, "A" if top == LEFT else "B", _box(LEFT + half / 2, top, half))
        _photo(sheet, "A'" if top == LEFT else "B'", _box(RIGHT + half / 2, top, half))
        sheet.arrow((LEFT + 1.5 * half + 30, top + half / 2), (RIGHT + half / 2 - 30, top + half / 2), LIGHT, 5)
    _photo(sheet, "B", _box(LEFT, RIGHT))
    _photo(sheet, "B", _box(RIGHT, RIGHT))
    _across(sheet, RIGHT + PANEL / 2)
    inner = _box(RIGHT + PANEL * 0.22, RIGHT + PANEL * 0.18, PANEL * 0.56)
    sheet.panel(inner, PALE, LIGHT, PANEL * 0.28)
    sheet.text(((inner[0] + inner[2]) / 2, (inner[1] + inner[3]) / 2), "?", PANEL * 0.36, LIGHT)
    _down(sheet, RIGHT + PANEL / 2)
    return sheet


def relation_save() -> Sheet:
    """A pair becomes a file."""
    sheet = _sheet()
    _pair(sheet)
    _down(sheet, SIDE / 2)
    sheet.panel((SIDE / 2 - 90, RIGHT, SIDE / 2 + 90, RIGHT + 220), PALE, LIGHT, 14)
    _small_pair(sheet, (SIDE / 2 - 72, RIGHT + 26), 66)
    sheet.text((SIDE / 2, RIGHT + 140), "relation", 28, LIGHT)
    sheet.text((SIDE / 2, RIGHT + 180), "2 MB", 24, LIGHT)
    return sheet


def relation_reuse() -> Sheet:
    """A file and a source become a picture."""
    sheet = _sheet()
    sheet.panel((RIGHT + 40, LEFT, RIGHT + PANEL - 40, LEFT + 220), PALE, LIGHT, 14)
    _small_pair(sheet, (RIGHT + 58, LEFT + 26), 66)
    sheet.text((RIGHT + PANEL / 2, LEFT + 140), "relation", 28, LIGHT)
    sheet.text((RIGHT + PANEL / 2, LEFT + 180), "2 MB", 24, LIGHT)
    _source_and_result(sheet)
    sheet.arrow((RIGHT + PANEL / 2, LEFT + 232), (RIGHT + PANEL / 2, RIGHT - 12), LIGHT, 5)
    return sheet


def _small_pair(sheet: Sheet, place: tuple[float, float], side: float) -> None:
    left, top = place
    _photo(sheet, "A", _box(left, top, side))
    _photo(sheet, "A'", _box(left + side + 12, top, side))


def relation_controlnet() -> Sheet:
    """Edges of the source beside it."""
    sheet = _sheet()
    half = (PANEL - 20) / 2
    _pair(sheet)
    _photo(sheet, "B", _box(LEFT, RIGHT))
    _question(sheet, _box(RIGHT, RIGHT))
    _across(sheet, RIGHT + PANEL / 2)
    _down(sheet, RIGHT + PANEL / 2)
    grey = _photographs()["B"].convert("L").resize((300, 300)).filter(ImageFilter.GaussianBlur(2))
    edges = grey.filter(ImageFilter.FIND_EDGES).point([min(255, 12 * max(0, value - 6)) for value in range(256)])
    sheet.photograph(edges.convert("RGB"), _box(LEFT + half + 20, RIGHT + half + 20, half))
    return sheet


def relation_upscale() -> Sheet:
    """A small result becomes a large one."""
    sheet = _sheet()
    small, large = 130, 300
    second = LEFT + small + 20
    _photo(sheet, "A", _box(LEFT, LEFT, small))
    _photo(sheet, "A'", _box(second, LEFT, small))
    _photo(sheet, "B", _box(LEFT, second, small))
    _question(sheet, _box(second, second, small))
    _question(sheet, _box(SIDE - MARGIN - large, SIDE - MARGIN - large, large))
    sheet.arrow(
        (second + small + 14, second + small / 2), (SIDE - MARGIN - large / 2, SIDE - MARGIN - large - 14), LIGHT, 5
    )
    sheet.text((SIDE - MARGIN - large / 2, LEFT + small), "2 x", 72, LIGHT)
    return sheet


def _stack(sheet: Sheet, left: float, top: float, side: float, draw: Callable[[Sheet, Box], None]) -> None:
    for step in (2, 1, 0):
        box = _box(left + 18 * step, top + 18 * (2 - step), side)
        sheet.panel(box, PALE, LIGHT, 18)
        if step == 0:
            draw(sheet, box)


def relation_folder() -> Sheet:
    """One pair, many sources, many results."""
    sheet = _sheet()
    _pair(sheet)
    _down(sheet, RIGHT + PANEL / 2)
    side = PANEL - 36
    _stack(sheet, LEFT, RIGHT, side, lambda on, box: _photo(on, "B", box))
    _stack(sheet, RIGHT, RIGHT, side, _question)
    _across(sheet, RIGHT + PANEL / 2)
    return sheet


def relation_dataset() -> Sheet:
    """Many samples, each with its own pair."""
    sheet = _sheet()
    for left, top in ((96, 24), (60, 60), (24, 96)):
        sheet.panel((left, top, left + 520, top + 520), DARK, LIGHT, 20)
    side = 210
    for name, (left, top) in {"A": (48, 120), "A'": (310, 120), "B": (48, 382)}.items():
        _photo(sheet, name, _box(left, top, side))
    _question(sheet, _box(310, 382, side))
    for y in (225, 487):
        sheet.arrow((268, y), (300, y), LIGHT, 4)
    sheet.arrow((415, 340), (415, 372), LIGHT, 4)
    return sheet


def relation_fast() -> Sheet:
    """The plain transfer, faster."""
    sheet = relation_transfer()
    sheet.chip((SIDE / 2, SIDE / 2), "3 x as fast", TEAL, 34)
    return sheet


def relation_fp8() -> Sheet:
    """The plain transfer, in 8 bits."""
    sheet = relation_transfer()
    sheet.chip((SIDE / 2, SIDE / 2), "8 bit", TEAL, 34)
    return sheet


THUMBNAILS: dict[str, Callable[[], Sheet]] = {
    draw.__name__: draw
    for draw in (
        try_it_small,
        try_it_small_tune,
        relation_transfer_simple,
        relation_transfer,
        relation_fast,
        tune_relation,
        relation_pairs_mask,
        relation_save,
        relation_reuse,
        relation_controlnet,
        relation_upscale,
        relation_folder,
        relation_dataset,
        relation_fp8,
    )
}
"""By the name of the workflow."""
