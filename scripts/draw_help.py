"""Draws the pictures of the help pages: ``python -m scripts.draw_help [NODE ...]``."""

from __future__ import annotations

import json
import sys
from typing import Any

from .drawing import ORANGE, PACK, TEAL, WHITE, Colour, Sheet
from .help_pictures import HEIGHT, PICTURES, WIDTH

IMAGES = PACK / "web" / "docs" / "images"


def slots(texts: dict[str, Any]) -> Sheet:
    """Inputs, title and outputs of a node that has no drawing of its own.

    Args:
        texts: the node's entry of ``nodeDefs.json``.
    """
    sheet = Sheet(WIDTH, HEIGHT)
    sheet.panel((270, 90, 530, 210), WHITE, TEAL)
    sheet.text((400, 150), texts["display_name"], 20)
    _column(sheet, 140, ORANGE, [slot["name"] for slot in texts["inputs"].values()])
    _column(sheet, 660, TEAL, [slot["name"] for slot in texts.get("outputs", {}).values()])
    return sheet


def _column(sheet: Sheet, x: float, colour: Colour, names: list[str]) -> None:
    pitch = HEIGHT / (len(names) + 1)
    for place, name in enumerate(names, 1):
        sheet.chip((x, pitch * place), name, colour, min(18, pitch / 2.2))


def sheet_of(node: str, texts: dict[str, Any]) -> Sheet:
    """The picture of a node's help page; ``texts`` as for :func:`slots`."""
    return PICTURES[node]() if node in PICTURES else slots(texts)


def node_texts() -> dict[str, Any]:
    """The English texts of all nodes."""
    return json.loads((PACK / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))


def main(nodes: list[str]) -> None:
    """Draw the pictures of these nodes, or of all."""
    texts = node_texts()
    for node in nodes or texts:
        sheet_of(node, texts[node]).save(IMAGES / f"{node}.jpg")


if __name__ == "__main__":
    main(sys.argv[1:])
