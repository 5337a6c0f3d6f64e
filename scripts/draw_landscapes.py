"""Draws what each family of relations makes of a landscape: ``python -m scripts.draw_landscapes OUT.jpg``."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from relation_core.scenes.families import FAMILIES, Family
from relation_core.scenes.landscape import SIDE
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import Step, relation_of
from relation_core.scenes.splits import draw_scene

_SEED, _COLUMNS, _GAP, _LINE = 1000, 4, 12, 20
_VALUES = {
    "houses": 280,
    "sky": 340,
    "time": 0.62,
    "fog": 0.55,
    "turn": 90,
    "hues": 200,
    "contrast": 1.2,
    "pixelate": 8,
    "blur": 2.4,
}


def main() -> None:
    """Draw the sheet: beside every landscape what its relation makes of it."""
    parser = argparse.ArgumentParser(prog="python -m scripts.draw_landscapes", description=__doc__)
    parser.add_argument("out", type=Path, help="the picture file to write")
    out: Path = parser.parse_args().out
    wide, high = 2 * SIDE + _GAP, SIDE + _LINE
    rows = -(-len(FAMILIES) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * wide + _GAP, rows * high + _GAP), "white")
    for number, family in enumerate(FAMILIES):
        left, top = _GAP + number % _COLUMNS * wide, _GAP + number // _COLUMNS * high
        _draw(sheet, family, number, left, top)
    sheet.save(out, quality=88)


def _draw(sheet: Image.Image, family: Family, number: int, left: int, top: int) -> None:
    relation = relation_of(Step(family.name, _VALUES.get(family.name, 0)))
    scene = draw_scene(relation, _SEED, 10 * number)
    for place, picture in enumerate((paint(scene), relation.apply(scene))):
        sheet.paste(picture, (left + place * SIDE, top))
    title = f"{family.name} (held out)" if family.held_out else family.name
    ImageDraw.Draw(sheet).text((left, top + SIDE + 2), title, (30, 30, 36), ImageFont.load_default(size=13))


if __name__ == "__main__":
    main()
