"""Draws the icon and the banner that the registry shows: ``python -m scripts.draw_registry``."""

from __future__ import annotations

from .drawing import INK, ORANGE, PACK, PAPER, TEAL, WHITE, Sheet, photographs

ASSETS = PACK / "assets"
ICON_SIDE = 400
BANNER = (1260, 540)
"""21 to 9."""


def icon() -> Sheet:
    """Two rows that change alike: a circle is filled, and so is a square."""
    sheet = Sheet(ICON_SIDE, ICON_SIDE, TEAL)
    for y, radius in ((120, 65), (280, 14)):
        sheet.panel((40, y - 65, 170, y + 65), WHITE, radius=radius)
        sheet.panel((50, y - 55, 160, y + 55), TEAL, radius=max(6, radius - 10))
        sheet.arrow((180, y), (222, y), WHITE, 6)
        sheet.panel((230, y - 65, 360, y + 65), ORANGE, radius=radius)
    return sheet


def banner() -> Sheet:
    """The name, what it does, and a pair with its analogy."""
    width, _ = BANNER
    sheet = Sheet(*BANNER, PAPER)
    sheet.panel((0, 0, width, 170), TEAL, radius=0)
    sheet.text((60, 62), "RelationAdapter for FLUX.1", 54, WHITE, "lm")
    sheet.text(
        (60, 125), "Show an edit on one pair of pictures, get the same edit on another picture.", 28, WHITE, "lm"
    )
    side, gap, left = 240, 50, 60
    pictures = photographs(side)
    signs = iter((":", "::", ":"))
    for index, (name, picture) in enumerate(pictures.items()):
        x = left + index * (side + gap + 10)
        sheet.photograph(picture, (x, 210, x + side, 210 + side))
        sheet.text((x + side / 2, 210 + side + 35), name if name != "B'" else "B'  (sketch)", 34, INK)
        sheet.text((x + side + gap / 2 + 5, 210 + side / 2), next(signs, ""), 44, INK)
    return sheet


def main() -> None:
    """Draw both."""
    icon().save(ASSETS / "icon.png")
    banner().save(ASSETS / "banner.jpg")


if __name__ == "__main__":
    main()
