"""Questions: whether an edited landscape is nearer to its own target than to all look-alikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from relation_core.scenes.examples import SEED, example_scene
from relation_core.scenes.landscape import Landscape
from relation_core.scenes.named_edits import edit_named
from relation_core.scenes.near_misses import near_misses
from relation_core.scenes.painting import paint
from relation_core.scenes.relation import PaintedEdit, Step, relation_of
from relation_core.scenes.splits import Split, draw_relation, draw_scene, with_value

_APART = 200
"""Numbers between the landscapes of two questions, so that each has its own."""
_SAME = 8.0 / 255.0**2
"""Mean squared error below which two pictures cannot be told apart, so that neither is mistaken for the other."""
_COARSE, _FINE = 15, 2
"""Degrees between the hues that a result is compared with, at first and around the nearest."""


@dataclass(frozen=True)
class LandscapeQuestion:
    """A relation, shown on one landscape, to be made on another."""

    relation: PaintedEdit
    wrong: PaintedEdit
    """Another one, of other families, that can be shown in its place."""
    exemplar: Landscape
    source: Landscape
    seed: int
    """Of what the result is compared with."""

    def shown(self, relation: PaintedEdit) -> tuple[Image.Image, Image.Image]:
        """The exemplar's landscape before and after a relation."""
        return paint(self.exemplar), relation.apply(self.exemplar)


@dataclass(frozen=True)
class Candidates:
    """The true target, and what else a result could be."""

    target: np.ndarray
    """(height, width, 3) in [0, 1]."""
    others: np.ndarray
    """(count, height, width, 3): near misses and the source, without those that look like the target."""

    def is_right(self, result: np.ndarray) -> bool:
        """Whether a result (height, width, 3) is nearest, by mean squared error, to the target."""
        true = ((result - self.target) ** 2).mean()
        return bool(true < ((self.others - result) ** 2).mean((1, 2, 3)).min())

    def is_right_picture(self, result: Image.Image) -> bool:
        """The same of a picture of 8 bits."""
        return self.is_right(_pixels(result))


def draw_questions(split: Split, count: int, seed: int) -> list[LandscapeQuestion]:
    """Draw relations of a split and landscapes for them, the same ones each time.

    The training draws from other seeds.
    """
    questions: list[LandscapeQuestion] = []
    for number in range(count):
        relation = draw_relation(seed, number, split)
        exemplar, source = (draw_scene(relation, seed, 2 * _APART * number + place) for place in (0, _APART))
        questions.append(LandscapeQuestion(relation, _another(relation, seed, number), exemplar, source, seed))
    return questions


def candidates(question: LandscapeQuestion) -> Candidates:
    """Paint what the result of a question could be: 44 near misses, the source and the target."""
    return _painted(question.relation, question.source, question.seed)


def example_candidates(name: str, number: int) -> Candidates:
    """Paint what the result of an example could be, by the name of its edit and the number of its source."""
    relation = edit_named(name)
    return _painted(relation, example_scene(relation, number), SEED)


def candidates_among(target: Image.Image, others: Sequence[Image.Image]) -> Candidates:
    """Collect what a result could be: its target, and those other pictures that do not look like it."""
    true, pictures = _pixels(target), np.stack([_pixels(picture) for picture in others])
    return Candidates(true, pictures[((pictures - true) ** 2).mean((1, 2, 3)) > _SAME])


def _painted(relation: PaintedEdit, source: Landscape, seed: int) -> Candidates:
    misses = [miss.apply(source) for miss in near_misses(relation, seed)]
    return candidates_among(relation.apply(source), [*misses, paint(source)])


def degrees_off(question: LandscapeQuestion, result: np.ndarray) -> float | None:
    """How far a result's hue or angle is from the true one, in degrees; None where the relation has none.

    The result's is that of the nearest picture, by mean squared error, among the same edit by all other angles.
    """
    turning = [step for step in question.relation.steps if step.family.parameter.kind in ("hue", "angle")]
    if not turning:
        return None
    step = turning[0]
    others = [other for other in question.relation.steps if other != step]

    def error(value: float) -> float:
        picture = relation_of(with_value(step, value), *others).apply(question.source)
        return float(((_pixels(picture) - result) ** 2).mean())

    near = min(range(0, 360, _COARSE), key=error)
    best = min(range(near - _COARSE + 1, near + _COARSE, _FINE), key=error)
    return turned_by(step, best)


def turned_by(step: Step, value: float) -> float:
    """Degrees between a step's value and another, in [0, 180]."""
    away = abs(step.value - value) % 360
    return float(min(away, 360 - away))


def _another(relation: PaintedEdit, seed: int, number: int) -> PaintedEdit:
    """A trained relation that shares no family with this one."""
    index = number
    while True:
        other = draw_relation(seed + 1, index)
        if not set(other.families) & set(relation.families):
            return other
        index += 1


def _pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32) / np.float32(255)
