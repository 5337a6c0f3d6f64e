"""Small scenes: a sky, a ground, a sun, and one or two things.

The adapter sees an exemplar pair as a set: nothing tells it which picture came first. So a scene before an edit is
always *quiet* - soft colours, plain shapes, small things, the ground below and the sun at the upper left - and every
relation makes something that no quiet scene shows. That shows which picture is which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

SIDE = 64
"""Pixels a side; places and sizes are in such pixels, however large a scene is drawn."""

QUIET_SKIES: tuple[Colour, ...] = (
    (186, 212, 236),
    (243, 228, 192),
    (196, 226, 200),
    (240, 206, 212),
    (216, 206, 236),
)
QUIET_THINGS: tuple[Colour, ...] = ((142, 98, 66), (84, 98, 122), (112, 120, 62), (118, 72, 104))
QUIET_SHAPES = ("circle", "square", "triangle")
SUN: Colour = (236, 178, 72)
_JITTER = 8
"""Levels of 255 by which the colours of quiet scenes vary."""


@dataclass(frozen=True)
class Thing:
    """Something that stands in a scene."""

    shape: str
    colour: Colour
    x: float
    y: float
    radius: float
    """Radius of a circle of about its size."""
    hollow: bool = False


@dataclass(frozen=True)
class Scene:
    """A scene, before it is drawn."""

    sky: Colour
    ground_height: float
    sun: tuple[float, float, float]
    """Its centre and radius."""
    things: tuple[Thing, ...]
    framed: bool = False

    @property
    def ground(self) -> Colour:
        """The sky's colour, darker."""
        red, green, blue = (round(0.66 * level) for level in self.sky)
        return red, green, blue


def quiet_scene(seed: int, index: int) -> Scene:
    """Give scene number ``index`` of a seed: the same one each time."""
    rng = np.random.default_rng((seed, index))

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def colour(of: tuple[Colour, ...]) -> Colour:
        red, green, blue = of[int(rng.integers(len(of)))] + rng.integers(-_JITTER, _JITTER + 1, 3)
        return int(min(red, 255)), int(min(green, 255)), int(min(blue, 255))

    def thing(x: float, radius: float) -> Thing:
        shape = QUIET_SHAPES[int(rng.integers(len(QUIET_SHAPES)))]
        return Thing(shape, colour(QUIET_THINGS), x, between(36.0, 43.0), radius)

    sky, ground_height = colour(QUIET_SKIES), between(13.0, 20.0)
    sun = (between(9.0, 12.0), between(9.0, 12.0), between(5.5, 7.0))
    if rng.random() < 0.5:
        things = (thing(between(20.0, 44.0), between(13.0, 15.0)),)
    else:
        things = tuple(thing(x + between(-2.0, 2.0), between(11.0, 12.5)) for x in (17.0, 47.0))
    return Scene(sky, ground_height, sun, things)
