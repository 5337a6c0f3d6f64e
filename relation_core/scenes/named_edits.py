"""Relations under names that are easily read, and what the names of version 0.1.0 stand for now."""

from __future__ import annotations

from ..errors import DatasetError
from .relation import PaintedEdit, Step, relation_of

UNSEEN = "_unseen"
"""Ends the names of relations that the small model was not trained on."""

EDITS: dict[str, PaintedEdit] = {
    name: relation_of(*steps)
    for name, *steps in (
        ("houses_red", Step("houses", 0)),
        ("houses_yellow", Step("houses", 55)),
        ("houses_blue", Step("houses", 240)),
        ("sky_orange", Step("sky", 20)),
        ("sky_green", Step("sky", 130)),
        ("sky_violet", Step("sky", 275)),
        ("evening", Step("time", 0.55)),
        ("night", Step("time", 0.95)),
        ("fog", Step("fog", 0.6)),
        ("rain", Step("rain")),
        ("snow", Step("snow")),
        ("autumn", Step("autumn")),
        ("flood", Step("flood")),
        ("remove_houses", Step("remove_houses")),
        ("remove_trees", Step("remove_trees")),
        ("balloon", Step("balloon")),
        ("moon", Step("moon")),
        ("rainbow", Step("rainbow")),
        ("mirror", Step("mirror")),
        ("flip", Step("flip")),
        ("turn", Step("turn", 90)),
        ("grey", Step("grey")),
        ("invert", Step("invert")),
        ("hues", Step("hues", 180)),
        ("contrast", Step("contrast", 1.2)),
        ("frame", Step("frame")),
        ("night_and_moon", Step("time", 0.95), Step("moon")),
        ("autumn_and_frame", Step("autumn"), Step("frame")),
        (f"houses_lime{UNSEEN}", Step("houses", 95)),
        (f"sky_magenta{UNSEEN}", Step("sky", 315)),
        (f"snow_and_balloon{UNSEEN}", Step("snow"), Step("balloon")),
        (f"sepia{UNSEEN}", Step("sepia")),
        (f"pencil{UNSEEN}", Step("pencil")),
        (f"boat{UNSEEN}", Step("boat")),
    )
}
"""By name: those that the small model was trained on; then hues, a composition and families that it was not."""

_FORMER_HUES = {"red": 0, "yellow": 60, "green": 120, "blue": 240, "magenta": 300, "cyan": 180}
_FORMER: dict[str, Step] = {
    **{f"recolour_{colour}": Step("houses", hue) for colour, hue in _FORMER_HUES.items()},
    **{f"background_{colour}": Step("sky", hue) for colour, hue in _FORMER_HUES.items() if colour != "blue"},
    "remove": Step("remove_houses"),
    "add_frame": Step("frame"),
    "rotate": Step("turn", 90),
    "blur": Step("blur", 2.5),
    "darken": Step("time", 0.95),
    "sepia": Step("sepia"),
    "pixelate": Step("pixelate", 8),
}
"""The nearest relation of today for edits of 0.1.0, whose scenes were triangles and squares."""
_GONE = (
    *("background_blue", "shape_star", "shape_cross", "outline", "grow"),
    *("posterise", "dim_lower_half", "swap_red_blue"),
)
"""Edits of 0.1.0 that have no likeness."""


def edit_named(name: str) -> PaintedEdit:
    """Give the relation of a name, be it one of :data:`EDITS` or of version 0.1.0.

    Raises:
        DatasetError: there is none.
    """
    if name in EDITS:
        return EDITS[name]
    if name in _FORMER:
        return relation_of(_FORMER[name])
    known = f"Expected one of: {', '.join(EDITS)}."
    if name in _GONE:
        raise DatasetError(f"The edit '{name}' was one of 0.1.0's drawn scenes; landscapes have none like it. {known}")
    raise DatasetError(f"There is no relation '{name}'. {known}")
