"""The split into relations that are trained on and held out, and random draws from both."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from itertools import combinations
from typing import Literal

import numpy as np

from .families import FAMILIES, Family, Parameter
from .landscape import Landscape, quiet_landscape
from .relation import PaintedEdit, Step, can_be_composed, relation_of

Split = Literal["trained", "compositions", "ranges", "families"]
SPLITS: tuple[Split, ...] = ("trained", "compositions", "ranges", "families")
HELD_OUT_SHARE = 0.2
"""Of the compositions."""
_COMPOSED = 0.5
"""Share of drawn relations that have two steps."""

Pair = tuple[str, str]


@lru_cache(maxsize=1)
def compositions() -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Pairs of trained families that can be composed, split into trained and held-out ones."""
    known = [family for family in FAMILIES if not family.held_out]
    pairs = [(first.name, second.name) for first, second in combinations(known, 2) if can_be_composed(first, second)]
    pairs.sort(key=lambda pair: blake2b("+".join(pair).encode()).digest())
    held_out = round(HELD_OUT_SHARE * len(pairs))
    return tuple(sorted(pairs[held_out:])), tuple(sorted(pairs[:held_out]))


def draw_relation(seed: int, index: int, split: Split = "trained") -> PaintedEdit:
    """Give relation number ``index`` of a seed and a split: the same one each time.

    Half of the trained ones have two steps; those of held-out ranges and families have one.
    """
    rng = np.random.default_rng((seed, index, SPLITS.index(split)))
    if split == "compositions" or (split == "trained" and rng.random() < _COMPOSED):
        pairs = compositions()[1 if split == "compositions" else 0]
        names = pairs[int(rng.integers(len(pairs)))]
        chosen = [family for family in FAMILIES if family.name in names]
        return relation_of(*(_step(rng, family, held_out=False) for family in chosen))
    able = [family for family in FAMILIES if _belongs(family, split)]
    weights = np.array([2.0 if family.parameter.kind in ("hue", "angle", "amount") else 1.0 for family in able])
    family = able[int(rng.choice(len(able), p=weights / weights.sum()))]
    return relation_of(_step(rng, family, held_out=split == "ranges"))


def draw_scene(relation: PaintedEdit, seed: int, index: int) -> Landscape:
    """Return the first landscape of a seed, from number ``index`` on, that the relation can be seen on."""
    scene = quiet_landscape(seed, index)
    while not relation.fits(scene):
        index += 1
        scene = quiet_landscape(seed, index)
    return scene


def _belongs(family: Family, split: Split) -> bool:
    if split == "families":
        return family.held_out
    return not family.held_out and (split == "trained" or bool(family.parameter.held_out))


def _step(rng: np.random.Generator, family: Family, held_out: bool) -> Step:
    if family.parameter.kind == "none":
        return Step(family.name)
    return Step(family.name, draw_value(rng, family.parameter, held_out))


def draw_value(rng: np.random.Generator, parameter: Parameter, held_out: bool) -> float:
    """Draw a parameter's value, within its held-out ranges or outside them; hues and angles to a degree."""
    spans = parameter.held_out if held_out else parameter.spans
    widths = np.array([high - low for low, high in spans])
    shares = widths / widths.sum() if widths.sum() else np.full(len(spans), 1 / len(spans))
    while True:
        low, high = spans[int(rng.choice(len(spans), p=shares))]
        value = float(rng.uniform(low, high))
        value = float(np.floor(value)) if parameter.unit == "degrees" else round(value, 2)
        if held_out or not parameter.is_held_out(value):
            return value


def with_value(step: Step, value: float) -> Step:
    """A step with another parameter; hues and angles go around."""
    return replace(step, value=value % 360.0 if step.family.parameter.kind in ("hue", "angle") else value)
