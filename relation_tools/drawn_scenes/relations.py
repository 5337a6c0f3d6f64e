"""Relations: edits that turn the picture of any quiet scene into another picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image, ImageChops, ImageFilter

from .drawing import draw
from .scene import Colour, Scene

LOUD: dict[str, Colour] = {
    "red": (226, 28, 36),
    "yellow": (250, 214, 10),
    "green": (16, 160, 52),
    "blue": (32, 58, 222),
    "magenta": (226, 40, 196),
    "cyan": (0, 200, 216),
}
"""Colours that no quiet scene has."""
LOUD_SHAPES = ("star", "cross")
_GROWTH = 1.6
_BLUR = 4.0
_DARKNESS = 0.3


@dataclass(frozen=True)
class DrawnEdit:
    """An edit with its parameter, such as "recolour to red"."""

    kind: str
    parameter: str
    """Empty where the edit has none."""
    instruction: str
    category: str
    edit: Callable[[Scene], Image.Image]
    """Draws the edited scene."""

    @property
    def name(self) -> str:
        """Kind and parameter, as a folder name."""
        return f"{self.kind}_{self.parameter}" if self.parameter else self.kind


def _redrawn(change: Callable[[Scene], Scene]) -> Callable[[Scene], Image.Image]:
    return lambda scene: draw(change(scene))


def retouched(change: Callable[[Image.Image], Image.Image]) -> Callable[[Scene], Image.Image]:
    """Draw a scene, then change the picture."""
    return lambda scene: change(draw(scene))


def _recolour(colour: Colour, scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(thing, colour=colour) for thing in scene.things))


def _background(colour: Colour, scene: Scene) -> Scene:
    return replace(scene, sky=colour)


def _shape(shape: str, scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(thing, shape=shape) for thing in scene.things))


def _hollow(scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(thing, hollow=True) for thing in scene.things))


def _grow(scene: Scene) -> Scene:
    return replace(scene, things=tuple(replace(thing, radius=_GROWTH * thing.radius) for thing in scene.things))


def _remove(scene: Scene) -> Scene:
    return replace(scene, things=())


def _frame(scene: Scene) -> Scene:
    return replace(scene, framed=True)


def _transpose(method: Image.Transpose, picture: Image.Image) -> Image.Image:
    return picture.transpose(method)


def _blur(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(_BLUR))


def _darken(picture: Image.Image) -> Image.Image:
    return picture.point([round(_DARKNESS * level) for level in range(256)] * 3)


def _with_variants() -> tuple[DrawnEdit, ...]:
    """Edits that exist for every colour or shape."""
    recolours = [
        DrawnEdit("recolour", name, f"Paint every object {name}.", "colour", _redrawn(partial(_recolour, colour)))
        for name, colour in LOUD.items()
    ]
    backgrounds = [
        DrawnEdit(
            "background", name, f"Make the background {name}.", "background", _redrawn(partial(_background, colour))
        )
        for name, colour in LOUD.items()
    ]
    shapes = [
        DrawnEdit("shape", name, f"Turn every object into a {name}.", "shape", _redrawn(partial(_shape, name)))
        for name in LOUD_SHAPES
    ]
    return (*recolours, *backgrounds, *shapes)


def _single() -> tuple[DrawnEdit, ...]:
    turns = Image.Transpose
    return (
        DrawnEdit("outline", "", "Leave only the objects' outlines.", "shape", _redrawn(_hollow)),
        DrawnEdit("grow", "", "Make every object larger.", "shape", _redrawn(_grow)),
        DrawnEdit("remove", "", "Remove every object.", "objects", _redrawn(_remove)),
        DrawnEdit("add", "frame", "Add a dark frame.", "objects", _redrawn(_frame)),
        DrawnEdit(
            "mirror", "", "Mirror it left to right.", "geometry", retouched(partial(_transpose, turns.FLIP_LEFT_RIGHT))
        ),
        DrawnEdit(
            "flip", "", "Turn it upside down.", "geometry", retouched(partial(_transpose, turns.FLIP_TOP_BOTTOM))
        ),
        DrawnEdit(
            "rotate",
            "",
            "Rotate it a quarter clockwise.",
            "geometry",
            retouched(partial(_transpose, turns.ROTATE_270)),
        ),
        DrawnEdit("invert", "", "Invert the colours.", "picture", retouched(ImageChops.invert)),
        DrawnEdit("blur", "", "Blur it.", "picture", retouched(_blur)),
        DrawnEdit("darken", "", "Make it dark.", "picture", retouched(_darken)),
    )


HELD_OUT = ("recolour_cyan", "background_magenta")
"""Combinations kept out of training: their edit and their colour each occur there, but not together."""

ALL: tuple[DrawnEdit, ...] = (*_with_variants(), *_single())
TRAINED: tuple[DrawnEdit, ...] = tuple(relation for relation in ALL if relation.name not in HELD_OUT)
