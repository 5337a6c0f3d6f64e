"""Relations that an edit could be mistaken for, most of them close to it."""

from __future__ import annotations

import numpy as np

from .families import FAMILIES, Parameter
from .relation import PaintedEdit, Step, can_be_composed, relation_of
from .splits import draw_value, with_value

_TURN = 30.0
"""Degrees between a hue or an angle and its nearest miss."""


def near_misses(relation: PaintedEdit, seed: int, count: int = 44) -> list[PaintedEdit]:
    """Return ``count`` other relations, the nearest first.

    Its parameters elsewhere (hues and angles 30, 60 and 90 degrees away), each half alone, the reverse, every other
    family alone, and each half with another family. The unedited picture is not among them.
    """
    rng = np.random.default_rng((seed, *map(ord, relation.name)))
    found: dict[str, PaintedEdit] = {}
    for miss in (*_elsewhere(relation), *_halves(relation), *_families(rng), *_composed(relation, rng)):
        if miss.name != relation.name and miss.name not in found and _differs(miss, relation):
            found[miss.name] = miss
    while len(found) < count:
        miss = _random(rng)
        found[miss.name] = miss
    return list(found.values())[:count]


def moved_values(step: Step) -> list[float]:
    """Values of a step's parameter that a good model can tell from its own, including the reverse if one exists."""
    parameter, value = step.family.parameter, step.value
    if parameter.kind in ("hue", "angle"):
        moved = [value + sign * turn for turn in (_TURN, 2 * _TURN, 3 * _TURN) for sign in (1, -1)]
        reverse = [-value] if parameter.kind == "angle" and abs((2 * value + 180) % 360 - 180) > _TURN / 2 else []
        return moved + reverse
    if parameter.kind == "choice":
        return [low for low, _ in parameter.spans if low != value]
    if parameter.kind == "amount":
        return _amounts(parameter, value)
    return []


def _amounts(parameter: Parameter, value: float) -> list[float]:
    """Values a third of the range away on either side; for contrast, the opposite one."""
    low, high = parameter.spans[0]
    if len(parameter.spans) > 1:
        return [-value]
    return [moved for moved in (value - (high - low) / 3, value + (high - low) / 3) if 0 < moved <= high]


def _elsewhere(relation: PaintedEdit) -> list[PaintedEdit]:
    found: list[PaintedEdit] = []
    for step in relation.steps:
        others = [other for other in relation.steps if other != step]
        found += [relation_of(with_value(step, round(value, 2)), *others) for value in moved_values(step)]
    return found


def _halves(relation: PaintedEdit) -> list[PaintedEdit]:
    return [relation_of(step) for step in relation.steps] if len(relation.steps) > 1 else []


def _families(rng: np.random.Generator) -> list[PaintedEdit]:
    return [relation_of(_step(rng, family.name)) for family in FAMILIES if not family.needs_lake]


def _composed(relation: PaintedEdit, rng: np.random.Generator) -> list[PaintedEdit]:
    """Each step with another family."""
    return [
        relation_of(step, _step(rng, family.name))
        for family in FAMILIES
        for step in relation.steps
        if not family.needs_lake and can_be_composed(step.family, family)
    ]


def _random(rng: np.random.Generator) -> PaintedEdit:
    while True:
        first, second = (FAMILIES[int(place)] for place in rng.integers(len(FAMILIES), size=2))
        if can_be_composed(first, second) and not (first.needs_lake or second.needs_lake):
            return relation_of(_step(rng, first.name), _step(rng, second.name))


def _step(rng: np.random.Generator, name: str) -> Step:
    family = next(family for family in FAMILIES if family.name == name)
    parameter = family.parameter
    return Step(name, draw_value(rng, parameter, held_out=False)) if parameter.kind != "none" else Step(name)


def _differs(miss: PaintedEdit, relation: PaintedEdit) -> bool:
    """Whether a miss has other families, or values that differ enough to be seen."""
    return miss.families != relation.families or any(
        _far(one, other) for one, other in zip(miss.steps, relation.steps, strict=True)
    )


def _far(one: Step, other: Step) -> bool:
    parameter, away = one.family.parameter, abs(one.value - other.value)
    if parameter.kind in ("hue", "angle"):
        return min(away % 360, 360 - away % 360) >= _TURN - 1
    if parameter.kind == "amount":
        low, high = parameter.spans[0]
        return away >= 0.3 * (high - low)
    return away > 0
