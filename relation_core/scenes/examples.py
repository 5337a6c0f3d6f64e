"""Pictures that show a relation: landscapes before and after it, and another landscape with its target."""

from __future__ import annotations

from PIL import Image

from .landscape import MAX_SCENE, Landscape
from .named_edits import edit_named
from .painting import paint
from .relation import PaintedEdit
from .splits import draw_scene

SEED = 1000
"""Of the examples' landscapes. Models are trained on others, unless their commands are given this seed."""
_APART = 100
"""Landscapes from one number to the next: where a boat finds no lake, it takes one of those between."""


def draw_example(name: str, exemplar: int, source: int) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image]:
    """Paint an example of 128x128 pixels in RGB.

    Args:
        name: of the relation.
        exemplar: number of the landscape that the relation is shown on.
        source: number of the landscape to be edited.

    Returns:
        Exemplar before and after, source and target: A, A', B, B'.

    Raises:
        DatasetError: there is no such relation.
    """
    return (*draw_pair(name, exemplar), *draw_pair(name, source))


def draw_pair(name: str, number: int) -> tuple[Image.Image, Image.Image]:
    """Paint a landscape before and after an edit, 128x128 pixels in RGB.

    Args:
        name: of the relation.
        number: of the landscape. After the last, :data:`MAX_SCENE`, comes the first.

    Raises:
        DatasetError: there is no such relation.
    """
    relation = edit_named(name)
    scene = example_scene(relation, number)
    return paint(scene), relation.apply(scene)


def example_scene(relation: PaintedEdit, number: int) -> Landscape:
    """Return the landscape of a number that a relation is shown on."""
    return draw_scene(relation, SEED, _APART * (number % (MAX_SCENE + 1)))
