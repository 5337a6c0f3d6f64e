"""Splits a picture of a pair into before and after."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from relation_core.errors import ExemplarError

from .arrangement import Arrangement, decide_arrangement, resemblance, surely_beside
from .cutting import SMALLEST, Halves, Words, cut_halves

_BESIDE, _STACKED = Words("columns", "wide"), Words("rows", "high")


def split_halves(picture: Image.Image) -> Halves:
    """Split an RGB picture at its separator, or else in the middle: before is on the left, or above.

    The middle column of an odd width is dropped. A separator (:func:`find_separator`) at the middle is dropped together
    with as much of the other half as keeps both equal. Beside the middle, where it must stand out from what borders on
    it, it makes unequal halves: the half after it is resized to the half before. How the pair lies is
    :func:`decide_arrangement`'s to say.

    Raises:
        ExemplarError: the picture is too small, its halves differ in width by more than a quarter, or nothing tells how
            the pair lies or where a half ends.
    """
    width, height = picture.size
    if min(width, height) < SMALLEST or max(width, height) < 2 * SMALLEST:
        raise ExemplarError(f"it is {width}x{height} pixels; expected at least {2 * SMALLEST}x{SMALLEST}")
    cut = cut_halves(picture, _BESIDE) if surely_beside(picture.size) else _cut_as_it_lies(picture)
    if cut.before.tobytes() == cut.after.tobytes():
        cut = replace(cut, notes=(*cut.notes, "the halves are identical"))
    return cut


def _cut_as_it_lies(picture: Image.Image) -> Halves:
    """Cut a picture in both ways, and choose."""
    beside, stacked = _cut_or_error(picture, _BESIDE), _cut_or_error(_turned(picture), _STACKED)
    ways = {Arrangement.BESIDE: beside, Arrangement.STACKED: stacked}
    way = decide_arrangement(picture.size, _resemblance(beside), _resemblance(stacked), _separated(ways))
    cut = ways[way]
    if isinstance(cut, ExemplarError):
        raise cut
    if way is Arrangement.BESIDE:
        return cut
    notes = ("the halves lie one above the other", *cut.notes)
    return replace(cut, before=_turned(cut.before), after=_turned(cut.after), notes=notes)


def _turned(picture: Image.Image) -> Image.Image:
    """Mirror a picture about its diagonal, so that what was above is on the left."""
    return picture.transpose(Image.Transpose.TRANSPOSE)


def _cut_or_error(picture: Image.Image, words: Words) -> Halves | ExemplarError:
    try:
        return cut_halves(picture, words)
    except ExemplarError as error:
        return error


def _resemblance(cut: Halves | ExemplarError) -> float:
    return 0.0 if isinstance(cut, ExemplarError) else resemblance(cut.before, cut.after)


def _separated(ways: dict[Arrangement, Halves | ExemplarError]) -> Arrangement | None:
    found = [way for way, cut in ways.items() if isinstance(cut, Halves) and cut.separated]
    return found[0] if len(found) == 1 else None
