"""Simple diagrams: photographs, labels, chips and arrows on a sheet, drawn large and reduced to be smooth."""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

PACK = Path(__file__).resolve().parents[1]
PAPER, INK, FAINT = (245, 244, 240), (43, 43, 51), (150, 150, 160)
TEAL, ORANGE, WHITE = (32, 110, 118), (201, 106, 42), (255, 255, 255)
FINE = 3
"""Times larger than the result while it is drawn."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]


def photographs(side: int) -> dict[str, Image.Image]:
    """The pictures to try, cut to squares: A before and after, B before, and B as the same filter draws it.

    No model made the last one: it shows what is meant, not what comes out.
    """
    before, after, source = (
        ImageOps.fit(Image.open(PACK / "pictures" / name).convert("RGB"), (FINE * side, FINE * side))
        for name in ("cat_before.jpg", "cat_after.jpg", "coffee.jpg")
    )
    return {"A": before, "A'": after, "B": source, "B'": pencil(source)}


def pencil(picture: Image.Image) -> Image.Image:
    """Draw a picture with a pencil: the grey picture divided by a blurred copy of itself."""
    grey = picture.convert("L")
    blurred = grey.filter(ImageFilter.GaussianBlur(picture.width / 40))
    inverse = ImageChops.invert(blurred).point([max(value, 1) for value in range(256)])
    dodged = [
        min(255, 255 * top // max(1, 255 - low)) for top, low in zip(grey.tobytes(), inverse.tobytes(), strict=True)
    ]
    drawn = Image.new("L", grey.size)
    drawn.putdata(dodged)
    return drawn.convert("RGB")


class Sheet:
    """A sheet of paper. Places and sizes are pixels of the result."""

    def __init__(self, width: int, height: int, paper: Colour = PAPER) -> None:
        self._image = Image.new("RGB", (FINE * width, FINE * height), paper)
        self._draw = ImageDraw.Draw(self._image)

    def save(self, path: Path) -> None:
        """Reduce the sheet to its size and write it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        small = self._image.reduce(FINE)
        if path.suffix == ".jpg":
            small.save(path, quality=88, subsampling=0, optimize=True)
        else:
            small.save(path, optimize=True)

    def text(self, place: Point, text: str, size: float = 24, colour: Colour = INK, anchor: str = "mm") -> None:
        """Write a line of text; ``anchor`` as in Pillow."""
        self._draw.text((FINE * place[0], FINE * place[1]), text, colour, ImageFont.load_default(FINE * size), anchor)

    def photograph(self, picture: Image.Image, box: Box, label: str = "") -> None:
        """Put a picture in a box, with rounded corners and a label under it."""
        left, top, right, bottom = (round(FINE * value) for value in box)
        size = (right - left, bottom - top)
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), 10 * FINE, 255)
        self._image.paste(ImageOps.fit(picture, size), (left, top), mask)
        self._draw.rounded_rectangle((left, top, right - 1, bottom - 1), 10 * FINE, outline=FAINT, width=FINE)
        if label:
            self.text(((box[0] + box[2]) / 2, box[3] + 20), label)

    def panel(self, box: Box, fill: Colour | None = None, line: Colour | None = None, radius: float = 12) -> None:
        """Draw a rounded rectangle."""
        self._draw.rounded_rectangle(_fine(box), radius * FINE, fill, line, round(2.5 * FINE))

    def chip(self, centre: Point, text: str, colour: Colour = TEAL, size: float = 24) -> Box:
        """Draw what travels along a link; return its box."""
        half = ImageFont.load_default(FINE * size).getlength(text) / FINE / 2 + 0.8 * size
        box = (centre[0] - half, centre[1] - size, centre[0] + half, centre[1] + size)
        self.panel(box, colour, radius=size)
        self.text(centre, text, size, WHITE)
        return box

    def line(self, points: list[Point], colour: Colour = TEAL, width: float = 3) -> None:
        """Draw a line through points."""
        self._draw.line([_fine(point) for point in points], colour, round(width * FINE), "curve")

    def arrow(self, start: Point, end: Point, colour: Colour = TEAL, width: float = 3) -> None:
        """Draw an arrow."""
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        head = 5 * width
        neck = (end[0] - head * math.cos(angle), end[1] - head * math.sin(angle))
        self.line([start, neck], colour, width)
        sides = [
            (neck[0] + turn * head / 2 * math.sin(angle), neck[1] - turn * head / 2 * math.cos(angle))
            for turn in (1, -1)
        ]
        self._draw.polygon([_fine(point) for point in (end, *sides)], colour)

    def file(self, box: Box, name: str, colour: Colour = TEAL) -> None:
        """Draw a file: a sheet with a folded corner, and its name under it."""
        left, top, right, bottom = box
        fold = min(right - left, 100) / 3.5
        corner = [(right - fold, top), (right - fold, top + fold), (right, top + fold)]
        outline = [(left, top), corner[0], corner[2], (right, bottom), (left, bottom)]
        self._draw.polygon([_fine(point) for point in outline], WHITE)
        self.line([*outline, outline[0], outline[1]], colour)
        self.line(corner, colour)
        self.text(((left + right) / 2, bottom + 20), name, 18)


def _fine(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(FINE * value for value in values)
