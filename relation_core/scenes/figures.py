"""Draws houses, trees, path, balloon, boat and moon, several times too large, so that edges are smooth."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from .backdrop import FOG_DEPTH
from .colours import Array, hue_colour, mix
from .landscape import SIDE, Colour, House, Landscape, Tree
from .light import light_of

_SCALE = 4
Point = tuple[float, float]
_SNOW = (0.94, 0.96, 1.0)
_LEAVES = {"fir": ((0.13, 0.28, 0.20), (0.22, 0.38, 0.24)), "round": ((0.22, 0.40, 0.16), (0.40, 0.55, 0.22))}
_LEAVES["poplar"] = ((0.28, 0.44, 0.20), (0.48, 0.60, 0.28))
_FALL = ((0.72, 0.22, 0.10), (0.95, 0.66, 0.16))
_TRUNK = (0.34, 0.25, 0.18)
_LAMP = (1.0, 0.86, 0.42)
_BALLOON = (104.0, 30.0, 12.0)
"""Centre and radius."""
_MOON = (96.0, 20.0, 11.0)
"""Likewise."""
_BOAT_X = 64.0
_BOAT_SIZE = 1.35


class Figures:
    """A pen over a backdrop.

    Args:
        backdrop: (SIDE, SIDE, 3) in [0, 1].
        scene: the landscape that is drawn.
    """

    def __init__(self, backdrop: Array, scene: Landscape) -> None:
        levels = (np.clip(backdrop, 0, 1) * 255 + 0.5).astype(np.uint8)
        side = SIDE * _SCALE
        self.canvas = Image.fromarray(levels).resize((side, side), Image.Resampling.NEAREST)
        self.pen = ImageDraw.Draw(self.canvas)
        self.scene = scene
        self.light = light_of(scene)
        self._on_land: list[float] = self.light.on_land.tolist()
        self._fog: list[float] = self.light.fog.tolist()

    def finished(self) -> Array:
        """The picture (SIDE, SIDE, 3) in [0, 1]."""
        return np.asarray(self.canvas.reduce(_SCALE), np.float32) / np.float32(255)

    def fill(self, points: list[Point], colour: Colour | Array, base: float | None, lit: bool = False) -> None:
        """Fill a polygon in the land's light, behind the fog of its distance."""
        self.pen.polygon([(_SCALE * x, _SCALE * y) for x, y in points], self.tone(colour, base, lit))

    def oval(self, middle: Point, radii: Point, colour: Colour | Array, base: float | None, lit: bool = False) -> None:
        """Fill an ellipse of two radii, across and down, likewise."""
        (x, y), (across, down) = middle, radii
        box = [_SCALE * place for place in (x - across, y - down, x + across, y + down)]
        self.pen.ellipse(box, self.tone(colour, base, lit))

    def tone(self, colour: Colour | Array, base: float | None, lit: bool = False) -> tuple[int, int, int]:
        """A colour as it is seen; ``base`` is the foot's y, None for things in the sky."""
        near = 0.8 if base is None else 0.75 + 0.25 * self.depth(base)
        fog = self.scene.weather.fog
        thick = 1 - math.exp(-FOG_DEPTH * fog * (1.15 - near)) if fog else 0.0
        levels: list[int] = []
        for channel, on_land, mist in zip(colour, self._on_land, self._fog, strict=True):
            level = float(channel) * (1.0 if lit else on_land)
            levels.append(min(int(255 * (level + (mist - level) * thick) + 0.5), 255))
        return levels[0], levels[1], levels[2]

    def depth(self, base: float) -> float:
        """0 at the horizon, 1 at the picture's lower edge."""
        return (base - self.scene.horizon) / (SIDE - self.scene.horizon)


def draw_figures(backdrop: Array, scene: Landscape) -> Array:
    """Draw a landscape's path, houses, trees and guests on its backdrop; (SIDE, SIDE, 3)."""
    pen = Figures(backdrop, scene)
    if "moon" in scene.guests:
        _moon(pen)
    if scene.path is not None and scene.houses:
        _path(pen, scene.path)
    if "boat" in scene.guests and scene.lake is not None:
        _boat(pen, (scene.lake[0] + scene.lake[1]) / 2 + 2)
    for figure in sorted((*scene.houses, *scene.trees), key=lambda one: one.base):
        if isinstance(figure, House):
            _house(pen, figure)
        else:
            _tree(pen, figure)
    if "balloon" in scene.guests:
        _balloon(pen)
    return pen.finished()


def _shadow(pen: Figures, x: float, base: float, across: float) -> None:
    ground = np.asarray(pen.scene.ground, np.float32)
    if pen.scene.weather.snow:
        ground = np.array((0.78, 0.82, 0.92), np.float32)
    elif pen.scene.weather.autumn:
        ground = np.array((0.62, 0.50, 0.24), np.float32)
    pen.oval((x + 0.35 * across, base), (across, 0.22 * across), ground * np.float32(0.68), base)


def _path(pen: Figures, path: tuple[float, float, float]) -> None:
    start, x, y = path
    steps = [step / 12 for step in range(13)]
    bend = 14.0 if start < x else -14.0
    middle = [
        (
            start + (x - start) * share + bend * math.sin(math.pi * 2 * share) * (1 - share),
            SIDE + 2 + (y - SIDE) * share,
        )
        for share in steps
    ]
    wide = [7.5 * (1 - share) ** 1.3 + 1.0 for share in steps]
    left = [(px - width, py) for (px, py), width in zip(middle, wide, strict=True)]
    right = [(px + width, py) for (px, py), width in zip(middle, wide, strict=True)]
    colour = (0.88, 0.88, 0.92) if pen.scene.weather.snow else (0.80, 0.70, 0.52)
    pen.fill([*left, *reversed(right)], colour, y)


def _house(pen: Figures, house: House) -> None:
    size, base = house.size, house.base
    _shadow(pen, house.x, base, 1.15 * size)
    sign = 1.0 if house.gable_left else -1.0

    def at(x: float, y: float) -> Point:
        return house.x + sign * x * size, base - y * size

    wall, roof = np.asarray(house.wall, np.float32), np.asarray(house.roof, np.float32)
    roof = mix(roof, _SNOW, 0.88) if pen.scene.weather.snow else roof
    front, side = (1.0, 0.80) if house.gable_left else (0.80, 1.0)
    pen.fill([at(-0.15, 0), at(-0.15, 0.9), at(1.0, 0.9), at(1.0, 0)], wall * side, base)
    pen.fill([at(-0.95, 0), at(-0.95, 0.9), at(-0.55, 1.5), at(-0.15, 0.9), at(-0.15, 0)], wall * front, base)
    if house.chimney:
        pen.fill([at(0.45, 1.2), at(0.45, 1.75), at(0.65, 1.75), at(0.65, 1.2)], roof * 0.8, base)
    pen.fill([at(-0.05, 0.82), at(-0.55, 1.55), at(0.70, 1.55), at(1.10, 0.82)], roof, base)
    pen.fill([at(-1.05, 0.80), at(-0.55, 1.58), at(-0.48, 1.50), at(-0.97, 0.76)], roof * 0.85, base)
    night = pen.light.night
    glass = mix((0.30, 0.36, 0.44), np.asarray(_LAMP), night)
    for left, low, right, high in ((0.05, 0.34, 0.30, 0.66), (0.62, 0.34, 0.87, 0.66), (-0.66, 0.95, -0.44, 1.18)):
        pen.fill([at(left, low), at(left, high), at(right, high), at(right, low)], glass, base, night > 0.5)
    pen.fill([at(-0.68, 0), at(-0.68, 0.55), at(-0.42, 0.55), at(-0.42, 0)], (0.36, 0.24, 0.17), base)


def _tree(pen: Figures, tree: Tree) -> None:
    x, base, size = tree.x, tree.base, tree.size
    weather = pen.scene.weather
    dark, light = (np.asarray(colour, np.float32) for colour in _LEAVES[tree.kind])
    if weather.autumn and tree.kind != "fir":
        dark, light = (np.asarray(colour, np.float32) for colour in _FALL)
    green = mix(dark, light, tree.shade)
    if weather.snow:
        green = mix(green, _SNOW, 0.55)
    _shadow(pen, x, base, 0.28 * size)
    trunk = 0.035 * size + 0.4
    pen.fill(
        [(x - trunk, base), (x - trunk, base - 0.4 * size), (x + trunk, base - 0.4 * size), (x + trunk, base)],
        _TRUNK,
        base,
    )
    {"fir": _fir, "round": _crown, "poplar": _poplar}[tree.kind](pen, tree, green)


def _fir(pen: Figures, tree: Tree, green: Array) -> None:
    x, base, size = tree.x, tree.base, tree.size
    for low, high, wide in ((0.12, 0.55, 0.27), (0.35, 0.78, 0.21), (0.60, 1.0, 0.14)):
        foot, top = base - low * size, base - high * size
        pen.fill([(x - wide * size, foot), (x, top), (x + wide * size, foot)], green * 0.82, base)
        pen.fill([(x - wide * size, foot), (x, top), (x - 0.1 * wide * size, foot)], green * 1.15, base)
        if pen.scene.weather.snow:
            tip = top + 0.3 * (foot - top)
            pen.fill([(x - 0.33 * wide * size, tip), (x, top), (x + 0.33 * wide * size, tip)], _SNOW, base)


def _crown(pen: Figures, tree: Tree, green: Array) -> None:
    x, y, size = tree.x, tree.base - 0.62 * tree.size, tree.size
    for dx, dy, radius, bright in (
        (0.10, 0.10, 0.26, 0.74),
        (-0.14, 0.10, 0.24, 0.88),
        (0.13, -0.08, 0.23, 0.88),
        (0.0, -0.14, 0.26, 1.0),
        (-0.11, -0.10, 0.20, 1.16),
        (-0.10, -0.20, 0.11, 1.32),
    ):
        pen.oval((x + dx * size, y + dy * size), (radius * size, 0.92 * radius * size), green * bright, tree.base)


def _poplar(pen: Figures, tree: Tree, green: Array) -> None:
    x, y, size = tree.x, tree.base - 0.56 * tree.size, tree.size
    for dx, across, down, bright in ((0.03, 0.15, 0.44, 0.76), (-0.02, 0.12, 0.42, 1.0), (-0.05, 0.06, 0.34, 1.2)):
        pen.oval((x + dx * size, y), (across * size, down * size), green * bright, tree.base)


def _moon(pen: Figures) -> None:
    x, y, radius = _MOON
    pen.oval((x, y), (radius, radius), (1.0, 0.90, 0.58), None, lit=True)
    for dx, dy, hole in ((-0.32, -0.2, 0.22), (0.26, 0.3, 0.26), (0.34, -0.4, 0.14)):
        place = (x + dx * radius, y + dy * radius)
        pen.oval(place, (hole * radius, hole * radius), (0.86, 0.74, 0.46), None, lit=True)


def _balloon(pen: Figures) -> None:
    x, y, radius = _BALLOON

    def draw(points: list[Point], colour: Colour) -> None:
        pen.fill([(x + across * radius, y + down * radius) for across, down in points], colour, None)

    for side in (-1, 1):
        draw([(0.73 * side, 0.7), (0.28 * side, 1.9), (0.28 * side + 0.04, 1.9)], (0.3, 0.25, 0.2))
    draw([(-0.9, 0.45), (-0.2, 1.45), (0.2, 1.45), (0.9, 0.45)], (0.80, 0.16, 0.16))
    for share, hue in ((1.0, 2.0), (0.66, 48.0), (0.30, 2.0)):
        pen.oval((x, y), (share * radius, radius), hue_colour(hue, 0.82, 0.9), None)
    draw([(-0.32, 1.9), (0.32, 1.9), (0.25, 2.23), (-0.25, 2.23)], (0.48, 0.33, 0.20))


def _boat(pen: Figures, water: float) -> None:
    def draw(points: list[Point], colour: Colour) -> None:
        pen.fill([(_BOAT_X + _BOAT_SIZE * x, water + _BOAT_SIZE * y) for x, y in points], colour, water)

    draw([(-11, -3), (11, -3), (7, 2), (-7, 2)], (0.55, 0.22, 0.14))
    draw([(-0.5, -3), (-0.5, -24), (0.5, -24), (0.5, -3)], _TRUNK)
    draw([(1.2, -5), (1.2, -23), (10, -5)], (0.97, 0.95, 0.90))
    draw([(-1.2, -5), (-1.2, -20), (-8, -5)], (0.90, 0.86, 0.78))
