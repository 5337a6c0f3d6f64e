"""Decides whether a pair lies side by side or one above the other."""

from __future__ import annotations

from enum import Enum

import numpy as np
from PIL import Image, ImageFilter

from relation_core.errors import ExemplarError

_SURELY_WIDE = 1.6
"""Width over height from which on a pair lies side by side: a stacked one would have halves of more than 3.2 to 1."""
_WIDE, _TALL = 1.25, 0.8
"""From which on it lies side by side, and up to which it is stacked, unless it clearly does not."""
_ALIKE, _UNLIKE = 0.8, 0.3
"""Correlation from which on halves clearly resemble each other, and up to which they clearly do not."""
_SIDE = 64
"""Pixels of a side to which halves are reduced to be compared."""


class Arrangement(Enum):
    """How a pair lies in its picture."""

    BESIDE = "side by side"
    STACKED = "one above the other"


def surely_beside(size: tuple[int, int]) -> bool:
    """Tell whether a picture's shape (width, height) alone says that its pair lies side by side."""
    return size[0] / size[1] >= _SURELY_WIDE


def decide_arrangement(
    size: tuple[int, int], beside: float, stacked: float, separated: Arrangement | None = None
) -> Arrangement:
    """Decide by a picture's shape, and by how much its halves resemble each other, cut in both ways.

    An inverted picture resembles the original too, but so does a bright top half a dark bottom half: against a
    picture's shape only positive correlations count. Where :func:`surely_beside` is true, there is nothing to decide.

    Args:
        size: width and height of the whole picture, in pixels.
        beside: the correlation of left and right, from -1 to 1 (:func:`resemblance`).
        stacked: that of top and bottom.
        separated: the way in which there is a separator; None where both or neither have one.

    Raises:
        ExemplarError: shape and contents contradict each other, or tell nothing.
    """
    width, height = size
    ratio = width / height
    if ratio >= _WIDE:
        if stacked < _ALIKE or abs(beside) > _UNLIKE:
            return Arrangement.BESIDE
    elif ratio <= _TALL:
        if beside < _ALIKE or abs(stacked) >= _ALIKE:
            return Arrangement.STACKED
        if abs(stacked) <= _UNLIKE:
            return Arrangement.BESIDE
    else:
        more, less = max(abs(beside), abs(stacked)), min(abs(beside), abs(stacked))
        if more >= _ALIKE and more - less >= _UNLIKE:
            return Arrangement.BESIDE if more == abs(beside) else Arrangement.STACKED
        if separated is not None and more < _ALIKE:
            return separated
    raise ExemplarError(
        f"it is {width}x{height} pixels; left and right correlate by {beside:.2f}, top and bottom by "
        f"{stacked:.2f}, so nothing tells for certain how the pair lies; expected two pictures of one size side by "
        "side that make a picture at least 1.25 times as wide as high. Put them side by side"
    )


def resemblance(one: Image.Image, other: Image.Image) -> float:
    """Compare two pictures: the correlation of their detail at 64x64, from -1 to 1; 0 for a picture of one grey.

    Light and dark of large areas are left out, since top and bottom of many pictures have the same left and right.
    """
    detail = [_detail(one), _detail(other)]
    if min(values.std() for values in detail) < 1:
        return 0.0
    return float(np.corrcoef(detail[0].ravel(), detail[1].ravel())[0, 1])


def _detail(picture: Image.Image) -> np.ndarray:
    grey = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(grey, dtype=np.float64) - np.asarray(grey.filter(ImageFilter.GaussianBlur(_SIDE / 16)))
