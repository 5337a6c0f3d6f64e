"""Draws what each family of relations makes of a landscape: ``python -m scripts.draw_landscapes OUT.jpg``."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from relation_core.pictures.layout import Look, Tile, TileRow, lay_out
from relation_core.scenes.families import FAMILIES, Family
from relation_core.scenes.landscape import SIDE
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import Step, relation_of
from relation_core.scenes.splits import draw_scene

_SEED, _COLUMNS = 1000, 4
_LOOK = Look(cell=(2 * SIDE, SIDE), gap=12, margin=12, font=13, line=20, labels_below=True)
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
    tiles = [_tile(family, number) for number, family in enumerate(FAMILIES)]
    tiles += [None] * (-len(tiles) % _COLUMNS)
    rows = [TileRow(tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    lay_out(rows, _LOOK).save(out, quality=88)


def _tile(family: Family, number: int) -> Tile | None:
    relation = relation_of(Step(family.name, _VALUES.get(family.name, 0)))
    scene = draw_scene(relation, _SEED, 10 * number)
    pair = Image.new("RGB", (2 * SIDE, SIDE))
    for place, picture in enumerate((paint(scene), relation.apply(scene))):
        pair.paste(picture, (place * SIDE, 0))
    return Tile(pair, f"{family.name} (held out)" if family.held_out else family.name)


if __name__ == "__main__":
    main()
