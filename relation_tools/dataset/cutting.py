"""Cuts a picture whose halves lie side by side."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from relation_core.errors import ExemplarError

from .alignment import find_shift
from .separators import Separator, find_separator

SMALLEST = 8
"""Pixels that a half must have in each direction."""
_MOST_UNEQUAL = 0.25
"""Share of the wider half by which the halves may differ in width."""


@dataclass(frozen=True)
class Halves:
    """A picture's halves, of one size."""

    before: Image.Image
    after: Image.Image
    notes: tuple[str, ...]
    separated: bool = False
    """Whether something that belongs to neither lay between them."""


@dataclass(frozen=True)
class Words:
    """How a picture's columns and width are called: a stacked picture is turned to be cut."""

    columns: str
    wide: str


def cut_halves(picture: Image.Image, words: Words) -> Halves:
    """Cut at the separator, or else in the middle.

    Where a separator is uncertain, it is dropped only if the halves are shifted against each other with it and fit
    without it. What is certain and exactly in the middle is dropped whatever the halves look like: if they are shifted
    against each other, that is the edit.

    Raises:
        ExemplarError: the picture is too small, its halves differ in width by more than a quarter, or are shifted
            against each other and something of one colour lies between them.
    """
    if picture.width < 2 * SMALLEST:
        raise ExemplarError(f"it is {picture.width} pixels {words.wide}; expected at least {2 * SMALLEST}")
    separator, band = find_separator(picture)
    if separator is None and not band:
        return _equal(*_crop(picture, None), words, _notes(picture, None, words))
    tries = [separator] if separator is None or separator.certain else [None, separator]
    shifts: list[int] = []
    for one in tries:
        before, after = _crop(picture, one)
        shifts.append(abs(find_shift(before, after)))
        settled = one is not None and one.certain and one.balanced(picture.width)
        if settled or not shifts[-1]:
            return _equal(before, after, words, _notes(picture, one, words), separated=one is not None)
    raise ExemplarError(
        f"{words.columns} of one colour reach the middle, and its halves are shifted against each other by {shifts[0]} "
        "pixels, so that some may lie between the halves; expected halves that touch, or a separator of a colour "
        "that the pictures do not have. Cut out what belongs to neither"
    )


def _crop(picture: Image.Image, separator: Separator | None) -> tuple[Image.Image, Image.Image]:
    width, height = picture.size
    if separator is None:
        left, right, (side, top, bottom) = width // 2, width - width // 2, (0, 0, 0)
    else:
        left, right, (side, top, bottom) = separator.start, separator.end, separator.margins
        if not separator.off_centre(width):  # as much of one half as keeps both equal
            left = min(left, width - right)
            right = width - left
    return picture.crop((side, top, left, height - bottom)), picture.crop((right, top, width - side, height - bottom))


def _notes(picture: Image.Image, separator: Separator | None, words: Words) -> tuple[str, ...]:
    if separator is None:
        odd = (
            f"the picture is {picture.width} pixels {words.wide}, an odd number; the {words.columns[:-1]} in the middle"
        )
        return (f"{odd} was dropped",) if picture.width % 2 else ()
    dropped = f"a separator at {words.columns} {separator.start} to {separator.end - 1} was dropped"
    margin = f"a margin of {separator.margins[0]} pixels around both halves was dropped"
    return (dropped, margin) if separator.margins[0] else (dropped,)


def _equal(
    before: Image.Image, after: Image.Image, words: Words, notes: tuple[str, ...], separated: bool = False
) -> Halves:
    widths = before.width, after.width
    if widths[0] == widths[1]:
        return Halves(before, after, notes, separated)
    if min(widths) < max((1 - _MOST_UNEQUAL) * max(widths), SMALLEST):
        raise ExemplarError(f"its halves are {widths[0]} and {widths[1]} pixels {words.wide}, too unequal to be a pair")
    resized = f"unequal halves: {widths[0]} and {widths[1]} pixels {words.wide}; the second was resized"
    return Halves(before, after.resize(before.size, Image.Resampling.LANCZOS), (*notes, resized), separated)
