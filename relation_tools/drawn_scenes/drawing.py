"""Draws scenes, several times too large and then reduced, so that edges are smooth."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from .scene import SIDE, SUN, Scene, Thing

_SCALE = 4
"""Drawn pixels for one of the picture."""
_HOLLOW = 0.72
"""Size of the hole in a hollow thing, as a share of it."""
_FRAME = 6
_FRAME_COLOUR = (24, 24, 30)

Points = list[tuple[float, float]]


def draw(scene: Scene) -> Image.Image:
    """Draw a scene of 64x64 pixels in RGB."""
    side = SIDE * _SCALE
    picture = Image.new("RGB", (side, side), scene.sky)
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, side - scene.ground_height * _SCALE, side, side), scene.ground)
    x, y, radius = (_SCALE * number for number in scene.sun)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), SUN)
    for thing in scene.things:
        picture.paste(thing.colour, mask=_mask(thing, side))
    if scene.framed:
        pen.rectangle((0, 0, side - 1, side - 1), outline=_FRAME_COLOUR, width=_FRAME * _SCALE)
    return picture.reduce(_SCALE)


def _mask(thing: Thing, side: int) -> Image.Image:
    mask = Image.new("L", (side, side))
    pen = ImageDraw.Draw(mask)
    pen.polygon(_placed(thing, 1.0), 255)
    if thing.hollow:
        pen.polygon(_placed(thing, _HOLLOW), 0)
    return mask


def _placed(thing: Thing, share: float) -> Points:
    size = thing.radius * share
    return [(_SCALE * (thing.x + size * x), _SCALE * (thing.y + size * y)) for x, y in OUTLINES[thing.shape]]


def _regular(corners: int, radius: float = 1.0, turned: float = 0.0) -> Points:
    """Corners on a circle, the first at the top or ``turned`` degrees beside it."""
    angles = [math.radians(turned - 90 + 360 * corner / corners) for corner in range(corners)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _star(points: int, outer: float, inner: float) -> Points:
    pairs = zip(_regular(points, outer), _regular(points, inner, 180 / points), strict=True)
    return [corner for pair in pairs for corner in pair]


def _cross(reach: float, arm: float) -> Points:
    quarter = [(-arm, -reach), (arm, -reach), (arm, -arm)]
    turns = [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)]
    return [(a * x + b * y, c * x + d * y) for a, b, c, d in turns for x, y in quarter]


OUTLINES: dict[str, Points] = {
    "circle": _regular(48),
    "square": _regular(4, 1.25, 45.0),
    "triangle": _regular(3, 1.25),
    "star": _star(5, 1.25, 0.45),
    "cross": _cross(1.1, 0.26),
}
"""Corners of each shape around its centre, for a radius of 1; y points down."""
