"""Hues, light and blending, on arrays whose last axis is red, green and blue in [0, 1]."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]

_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def luma(colours: Array) -> Array:
    """Brightness (...,) of colours (..., 3), by ITU-R BT.601."""
    return colours @ _LUMA


def hue_colour(hue: float, saturation: float, value: float) -> Array:
    """The colour (3,) of a hue in degrees, as in HSV."""
    sixth = hue % 360.0 / 60.0
    channels = [min(max(abs((sixth + shift) % 6.0 - 3.0) - 1.0, 0.0), 1.0) for shift in (0.0, 4.0, 2.0)]
    return (value * (1.0 - saturation + saturation * np.array(channels))).astype(np.float32)


@lru_cache(maxsize=1024)
def hue_turn(degrees: float) -> Array:
    """The matrix (3, 3) that turns hues by an angle and keeps BT.601's brightness (as SVG's ``hueRotate``)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    red, green, blue = 0.213, 0.715, 0.072
    grey = np.tile(np.array((red, green, blue)), (3, 1))
    turned = np.array(
        (
            (-red, -green, 1 - blue),
            (0.143, 0.140, -0.283),
            (-(1 - red), green, blue),
        )
    )
    return (grey + cosine * (np.eye(3) - grey) + sine * turned).astype(np.float32)


def mix(first: ArrayLike, second: ArrayLike, share: ArrayLike) -> Array:
    """Blend: ``share`` 0 gives the first, 1 the second."""
    low, high, part = (np.asarray(value, np.float32) for value in (first, second, share))
    return low + (high - low) * part


def smoothstep(low: float, high: float, values: Array) -> Array:
    """Rise from 0 at ``low`` to 1 at ``high`` without corners."""
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
