"""The edits that both demos show."""

from __future__ import annotations

EDITS = (
    "recolour_red",
    "recolour_blue",
    "background_yellow",
    "background_green",
    "shape_star",
    "shape_cross",
    "outline",
    "grow",
    "remove",
    "add_frame",
    "mirror",
    "flip",
    "rotate",
    "invert",
    "blur",
    "darken",
)


def scenes_of(number: int) -> tuple[int, int]:
    """The scenes, exemplar and source, that an edit of the demo is shown on."""
    return 2 * number, 2 * number + 1
