"""Families of relations: edits of any landscape, most of them with a parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from PIL import Image

from . import picture_edits as edits
from .colours import hue_colour
from .landscape import Landscape

Kind = Literal["none", "hue", "angle", "amount", "choice"]
Span = tuple[float, float]


@dataclass(frozen=True)
class Parameter:
    """The values of a family's parameter."""

    kind: Kind = "none"
    spans: Sequence[Span] = ()
    """Ranges that values are drawn from; in a choice, each range is a single value."""
    held_out: Sequence[Span] = ()
    """Parts of these ranges that are kept out of training."""
    unit: str = ""

    def is_held_out(self, value: float) -> bool:
        """Whether a value is kept out of training."""
        return any(low <= value < high for low, high in self.held_out)


@dataclass(frozen=True)
class Family:
    """A kind of edit. It changes the scene before it is painted, or the picture after."""

    name: str
    instruction: str
    """With ``{}`` for the parameter."""
    touches: frozenset[str]
    """What it changes in the picture. Families that change the same thing are not composed."""
    of_scene: Callable[[Landscape, float], Landscape] | None = None
    of_picture: Callable[[Image.Image, float], Image.Image] | None = None
    parameter: Parameter = Parameter()
    held_out: bool = False
    """Whether the whole family is kept out of training, the vision model's included."""
    needs_lake: bool = False


def _weather(scene: Landscape, value: float, name: str, given: float | bool | None = None) -> Landscape:
    changed: dict[str, Any] = {name: value if given is None else given}
    return replace(scene, weather=replace(scene.weather, **changed))


def _guest(scene: Landscape, _: float, name: Literal["balloon", "boat", "moon", "rainbow"]) -> Landscape:
    return replace(scene, guests=scene.guests | {name})


def _houses_hue(scene: Landscape, hue: float) -> Landscape:
    red, green, blue = hue_colour(hue, 0.74, 0.90).tolist()
    return replace(scene, houses=tuple(replace(house, wall=(red, green, blue)) for house in scene.houses))


def _without(scene: Landscape, _: float, name: str) -> Landscape:
    nothing: dict[str, Any] = {name: ()}
    return replace(scene, **nothing)


def _plain(change: Callable[[Image.Image], Image.Image]) -> Callable[[Image.Image, float], Image.Image]:
    return lambda picture, _: change(picture)


def _scene(name: str, instruction: str, touches: str, change: Callable[..., Landscape], **more: Any) -> Family:
    return Family(name, instruction, frozenset(touches.split()), of_scene=change, **more)


def _picture(name: str, instruction: str, touches: str, change: Callable[..., Image.Image], **more: Any) -> Family:
    return Family(name, instruction, frozenset(touches.split()), of_picture=change, **more)


_HOUSE_HUES = Parameter("hue", ((0, 360),), ((80, 110), (200, 230), (300, 330)), "degrees")
_SKY_HUES = Parameter("hue", ((250, 360), (0, 180)), ((80, 110), (300, 330)), "degrees")
"""A blue sky is what a quiet landscape has."""
_ANGLES = Parameter("angle", ((40, 320),), ((100, 130), (220, 250)), "degrees")
_HOURS = Parameter("amount", ((0.35, 1.0),), unit="of the way")
_DENSITIES = Parameter("amount", ((0.2, 0.8),))
_STOPS = Parameter("amount", ((-1.5, -0.8), (0.8, 1.5)))
_RADII = Parameter("amount", ((1.2, 2.8),), unit="pixels")
_SIZES = Parameter("choice", ((4, 4), (8, 8)), unit="pixels")
_TURNS = Parameter("choice", ((90, 90), (270, 270)), unit="degrees")

FAMILIES: tuple[Family, ...] = (
    _scene("houses", "Paint the houses in hue {}.", "houses hues faint", _houses_hue, parameter=_HOUSE_HUES),
    _scene("sky", "Give the sky hue {}.", "sky hues", partial(_weather, name="sky_hue"), parameter=_SKY_HUES),
    _scene(
        "time",
        "Go {} from noon to night.",
        "sky faint",
        partial(_weather, name="hour"),
        parameter=_HOURS,
    ),
    _scene("fog", "Add fog of density {}.", "air faint", partial(_weather, name="fog"), parameter=_DENSITIES),
    _scene("rain", "Let it rain.", "sky air", partial(_weather, name="rain", given=True)),
    _scene("snow", "Make it winter.", "season", partial(_weather, name="snow", given=True)),
    _scene("autumn", "Make it autumn.", "season", partial(_weather, name="autumn", given=True)),
    _scene("flood", "Flood the land.", "flood", partial(_weather, name="flood", given=True)),
    _scene("remove_houses", "Remove the houses.", "houses", partial(_without, name="houses")),
    _scene("remove_trees", "Remove the trees.", "trees", partial(_without, name="trees")),
    _scene("balloon", "Add a balloon.", "balloon", partial(_guest, name="balloon")),
    _scene("moon", "Add a moon.", "moon", partial(_guest, name="moon")),
    _scene("rainbow", "Add a rainbow.", "rainbow", partial(_guest, name="rainbow")),
    _scene("boat", "Add a boat.", "boat", partial(_guest, name="boat"), held_out=True, needs_lake=True),
    _picture("mirror", "Mirror it left to right.", "geometry", _plain(edits.mirror)),
    _picture("flip", "Turn it upside down.", "geometry", _plain(edits.flip)),
    _picture("turn", "Turn it clockwise by {}.", "geometry", edits.turn, parameter=_TURNS),
    _picture("grey", "Take the colour away.", "tone hues", _plain(edits.grey)),
    _picture("sepia", "Tone it like an old photograph.", "tone hues", _plain(edits.sepia), held_out=True),
    _picture("invert", "Invert the colours.", "tone", _plain(edits.invert)),
    _picture("hues", "Turn all hues by {}.", "tone hues", edits.turn_hues, parameter=_ANGLES),
    _picture("contrast", "Change the contrast by {} stops.", "contrast", edits.contrast, parameter=_STOPS),
    _picture("pencil", "Draw it with a pencil.", "tone hues contrast detail", _plain(edits.pencil), held_out=True),
    _picture("pixelate", "Make it of squares of {}.", "detail", edits.pixelate, parameter=_SIZES),
    _picture("blur", "Blur it by {}.", "detail", edits.blur, parameter=_RADII),
    _picture("frame", "Put a frame around it.", "frame", _plain(edits.frame)),
)
"""All families, in the order in which they act on a picture."""

BY_NAME: dict[str, Family] = {family.name: family for family in FAMILIES}
