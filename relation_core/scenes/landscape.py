"""Small landscapes: sky, sun, clouds, ridges, meadow or lake, houses, trees and a path.

The adapter sees an exemplar pair as a set: nothing tells it which picture came first. So a landscape before an edit is
always *quiet* - noon in summer, clear air, a blue sky above with the sun on the left, walls in pale or earthen colours
- and every relation makes something that no quiet landscape shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

SIDE = 128
"""Pixels a side; places and sizes are in such pixels, y pointing down."""
MAX_SCENE = 2**31 - 1

_WALLS: tuple[Colour, ...] = (
    (0.93, 0.90, 0.83),
    (0.86, 0.80, 0.70),
    (0.78, 0.72, 0.66),
    (0.70, 0.55, 0.42),
    (0.88, 0.87, 0.86),
)
_ROOFS: tuple[Colour, ...] = ((0.62, 0.30, 0.22), (0.45, 0.34, 0.30), (0.40, 0.42, 0.47), (0.55, 0.40, 0.28))
_GROUNDS: tuple[Colour, ...] = ((0.44, 0.60, 0.28), (0.38, 0.55, 0.30), (0.52, 0.62, 0.30), (0.40, 0.58, 0.34))
_ZENITHS: tuple[Colour, ...] = ((0.30, 0.54, 0.86), (0.36, 0.60, 0.88), (0.26, 0.48, 0.80), (0.42, 0.64, 0.88))

_TRIES = 100
"""Places tried for trees."""

TreeKind = Literal["fir", "round", "poplar"]
_TREES: tuple[TreeKind, ...] = ("fir", "round", "poplar")


@dataclass(frozen=True)
class House:
    """A house, seen at an angle."""

    x: float
    """x of its middle."""
    base: float
    """y of its foot."""
    size: float
    """Height of its walls."""
    wall: Colour
    roof: Colour
    gable_left: bool
    chimney: bool


@dataclass(frozen=True)
class Tree:
    """A tree."""

    x: float
    base: float
    size: float
    """Its height."""
    kind: TreeKind
    shade: float
    """Brightness of its green, in [0, 1]."""


@dataclass(frozen=True)
class Ridge:
    """A ridge of hills or mountains."""

    height: float
    """Mean y of its crest."""
    relief: float
    """Reach of the crest above and below."""
    craggy: bool
    """Whether it is mountains, with rock and snow at the top, or wooded hills."""


@dataclass(frozen=True)
class Cloud:
    """A cloud."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Weather:
    """The properties of a whole landscape that edits change."""

    hour: float = 0.0
    """Noon is 0, sunset about 0.6, night 1."""
    fog: float = 0.0
    """Density in [0, 1]."""
    rain: bool = False
    snow: bool = False
    autumn: bool = False
    flood: bool = False
    sky_hue: float | None = None
    """Degrees; None for the sky as it is."""


@dataclass(frozen=True)
class Landscape:
    """A landscape, before it is painted."""

    seed: tuple[int, int]
    """Of crests, clouds and textures."""
    zenith: Colour
    horizon: float
    """y where the ground begins."""
    ground: Colour
    sun: tuple[float, float, float]
    """Its centre and radius."""
    clouds: tuple[Cloud, ...]
    ridges: tuple[Ridge, ...]
    """From far to near."""
    lake: tuple[float, float] | None
    """y of its far and near shore, at the middle of the picture."""
    houses: tuple[House, ...]
    trees: tuple[Tree, ...]
    path: tuple[float, float, float] | None
    """x where it leaves the picture, and x and y where it ends."""
    weather: Weather = Weather()
    guests: frozenset[Literal["balloon", "boat", "moon", "rainbow"]] = frozenset()
    """What edits add."""


def quiet_landscape(seed: int, index: int) -> Landscape:
    """Give landscape number ``index`` of a seed: the same one each time."""
    rng = np.random.default_rng((seed, index))
    horizon = float(rng.uniform(58, 72))
    lake = _lake(rng, horizon) if rng.random() < 0.5 else None
    shore = lake[1] + 3 if lake else horizon + 8
    houses = _houses(rng, horizon, shore)
    end = houses[-1]
    return Landscape(
        seed=(seed, index),
        zenith=_varied(rng, _ZENITHS),
        horizon=horizon,
        ground=_varied(rng, _GROUNDS),
        sun=(float(rng.uniform(14, 40)), float(rng.uniform(13, 24)), float(rng.uniform(5.5, 8))),
        clouds=_clouds(rng, horizon),
        ridges=_ridges(rng, horizon),
        lake=lake,
        houses=houses,
        trees=_trees(rng, houses, horizon, shore),
        path=(float(rng.uniform(20, 108)), end.x, end.base) if rng.random() < 0.7 else None,
    )


def _varied(rng: np.random.Generator, of: tuple[Colour, ...], jitter: float = 0.035) -> Colour:
    red, green, blue = np.clip(np.array(of[int(rng.integers(len(of)))]) + rng.uniform(-jitter, jitter, 3), 0, 1)
    return float(red), float(green), float(blue)


def _lake(rng: np.random.Generator, horizon: float) -> tuple[float, float]:
    top = horizon + float(rng.uniform(2, 5))
    return top, top + float(rng.uniform(14, 22))


def _clouds(rng: np.random.Generator, horizon: float) -> tuple[Cloud, ...]:
    count = int(rng.integers(2, 6))
    return tuple(
        Cloud(float(rng.uniform(0, SIDE)), float(rng.uniform(14, horizon - 22)), float(rng.uniform(14, 36)))
        for _ in range(count)
    )


def _ridges(rng: np.random.Generator, horizon: float) -> tuple[Ridge, ...]:
    count = int(rng.integers(2, 4))
    rises = np.sort(rng.uniform(4, 26, count))[::-1]
    craggy = rng.random() < 0.55
    return tuple(
        Ridge(horizon - float(rise), float(rise * rng.uniform(0.5, 0.8)), bool(craggy and place == 0))
        for place, rise in enumerate(rises)
    )


def _houses(rng: np.random.Generator, horizon: float, shore: float) -> tuple[House, ...]:
    """One to three, side by side, the nearest last."""
    count = int(rng.integers(1, 4))
    slots = rng.permutation(4)[:count]
    houses: list[House] = []
    for slot in slots:
        base = float(rng.uniform(shore + 9, 112))
        size = (12.5 + 10 * (base - horizon) / (SIDE - horizon)) * float(rng.uniform(0.85, 1.15))
        x = float(20 + 29 * slot + rng.uniform(-4, 4))
        wall, roof = _varied(rng, _WALLS), _varied(rng, _ROOFS)
        houses.append(House(x, base, size, wall, roof, bool(rng.random() < 0.5), bool(rng.random() < 0.6)))
    return tuple(sorted(houses, key=lambda house: house.base))


def _trees(rng: np.random.Generator, houses: tuple[House, ...], horizon: float, shore: float) -> tuple[Tree, ...]:
    """Five to ten trees, none in front of a house, and four of them clear of all houses if there is room."""
    count, trees = int(rng.integers(5, 11)), list[Tree]()
    main = _TREES[int(rng.integers(3))]
    for tries in range(_TRIES):
        if len(trees) == count:
            break
        x, base = float(rng.uniform(2, 126)), float(rng.uniform(shore + 1, 122))
        size = (12 + 30 * (base - horizon) / (SIDE - horizon)) * float(rng.uniform(0.8, 1.2))
        kind = main if rng.random() < 0.7 else _TREES[int(rng.integers(3))]
        shade = float(rng.uniform())
        beside = all(abs(x - house.x) > house.size * 1.25 for house in houses)
        behind = all(abs(x - house.x) > house.size * 1.25 or base < house.base - 3 for house in houses)
        if beside or (behind and (len(trees) >= 4 or tries > _TRIES // 2)):
            trees.append(Tree(x, base, size, kind, shade))
    return tuple(sorted(trees, key=lambda tree: tree.base))
