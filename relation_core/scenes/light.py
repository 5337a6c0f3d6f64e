"""The light over a landscape: colours of sky, sun, clouds and air by hour and weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .colours import Array, hue_colour, mix
from .landscape import Landscape

_HOURS = (0.0, 0.35, 0.6, 0.8, 1.0)
"""Noon, late afternoon, sunset, dusk, night."""
_Table = tuple[tuple[float, float, float], ...]
_ZENITH: _Table = ((0, 0, 0), (0.34, 0.50, 0.74), (0.36, 0.30, 0.52), (0.14, 0.14, 0.34), (0.03, 0.04, 0.13))
"""Noon's is the landscape's own."""
_LOW_SKY: _Table = (
    (0.80, 0.89, 0.95),
    (0.98, 0.88, 0.66),
    (0.98, 0.58, 0.32),
    (0.62, 0.36, 0.42),
    (0.10, 0.13, 0.26),
)
_SUN: _Table = ((1.0, 0.97, 0.80), (1.0, 0.90, 0.55), (1.0, 0.62, 0.28), (0.95, 0.45, 0.30), (0.6, 0.4, 0.4))
_ON_LAND: _Table = ((1.0, 1.0, 1.0), (1.10, 0.98, 0.76), (0.90, 0.62, 0.50), (0.46, 0.40, 0.54), (0.20, 0.24, 0.40))
_CLOUD: _Table = ((1.0, 1.0, 1.0), (1.0, 0.94, 0.80), (1.0, 0.70, 0.52), (0.62, 0.42, 0.52), (0.16, 0.18, 0.30))
_RAIN_SKY = np.array((0.50, 0.54, 0.60), np.float32)
_FOG = np.array((0.86, 0.88, 0.90), np.float32)


@dataclass(frozen=True)
class Light:
    """Colours (3,) and strengths."""

    zenith: Array
    low_sky: Array
    sun: tuple[float, float, float]
    """Its centre and radius."""
    sun_colour: Array
    sun_strength: float
    glow: float
    cloud_lit: Array
    cloud_shade: Array
    on_land: Array
    """Factor of the land's colours."""
    air: Array
    """The colour that distant things fade to."""
    fog: Array
    night: float
    """0 by day, 1 at night: stars and lit windows."""


def light_of(scene: Landscape) -> Light:
    """The light over a landscape."""
    weather = scene.weather
    hour = weather.hour
    zenith = mix(scene.zenith, _at(_ZENITH[1:], hour, _HOURS[1:]), min(hour / _HOURS[1], 1.0))
    low = _at(_LOW_SKY, hour)
    sun_colour, lit, land = _at(_SUN, hour), _at(_CLOUD, hour), _at(_ON_LAND, hour)
    brightness = float(land.mean())
    if weather.sky_hue is not None:
        zenith, low = hue_colour(weather.sky_hue, 0.68, 0.86), hue_colour(weather.sky_hue, 0.34, 0.97)
    if weather.rain:
        zenith, low = mix(zenith, 0.8 * brightness * _RAIN_SKY, 0.85), mix(low, brightness * _RAIN_SKY, 0.85)
        lit, land = mix(lit, 0.75 * _RAIN_SKY, 0.7), land * np.float32(0.74)
    fog = _FOG * np.clip(0.25 + 0.75 * brightness, 0, 1)
    if weather.fog:
        share = 0.96 * (1.0 - np.exp(-2.6 * weather.fog))
        zenith, low = mix(zenith, fog, 0.8 * share), mix(low, fog, share)
        lit = mix(lit, fog, share)
    x, y, radius = scene.sun
    seen = (1.0 - smooth(hour, 0.66, 0.82)) * (0.12 if weather.rain else 1.0) * (1.0 - 0.8 * weather.fog)
    return Light(
        zenith=zenith,
        low_sky=low,
        sun=(x, y + (scene.horizon - 6 - y) * min(hour / 0.68, 1.0), radius * (1 + 0.35 * min(hour, 0.7))),
        sun_colour=sun_colour,
        sun_strength=seen,
        glow=0.55 * seen,
        cloud_lit=lit,
        cloud_shade=mix(lit * np.float32(0.84), low, 0.4),
        on_land=land,
        air=mix(low, zenith, 0.25),
        fog=fog,
        night=smooth(hour, 0.75, 0.98),
    )


def smooth(value: float, low: float, high: float) -> float:
    """Rise from 0 at ``low`` to 1 at ``high``."""
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _at(table: _Table, hour: float, hours: tuple[float, ...] = _HOURS) -> Array:
    columns = zip(*table, strict=True)
    return np.array([np.interp(hour, hours, column) for column in columns], np.float32)
