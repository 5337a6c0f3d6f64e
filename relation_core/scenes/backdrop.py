"""Paint the backdrop of a landscape's houses and trees: sky, clouds, ridges, meadow and lake."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .colours import Array, hue_colour, mix, smoothstep
from .landscape import SIDE, Cloud, Landscape, Ridge
from .light import Light, light_of
from .noise import crest, texture

_SCALE = 4
_SNOW = np.array((0.93, 0.95, 0.99), np.float32)
_AUTUMN_GROUND = np.array((0.72, 0.58, 0.26), np.float32)
_AUTUMN_WOOD = np.array((0.76, 0.42, 0.14), np.float32)
_WATER = np.array((0.24, 0.44, 0.58), np.float32)
_STARS_SEED = 2
"""All nights have the same stars, so that a source fixes its target."""
_HAZE = 0.62
"""Share of the far ridge's colour that the air's is."""
_KEPT = 32
"""Shapes that are kept, of clouds, ridges and shores each: a landscape is often painted again, with an edit."""


@dataclass(frozen=True)
class _Rows:
    """Some rows of a picture, and the centres of their pixels."""

    picture: Array
    """(rows, SIDE, 3), a view that is painted on."""
    x: Array
    y: Array

    def paint(self, colour: Array, cover: Array) -> None:
        """Cover the rows (rows, SIDE) with a colour, in place."""
        painted = self.picture
        painted += (colour - painted) * cover[..., None]


@lru_cache(maxsize=1)
def grid() -> tuple[Array, Array]:
    """X and y of all pixel centres (SIDE, SIDE)."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + np.float32(0.5)
    return x, y


def _rows(picture: Array, top: float, bottom: float = SIDE) -> _Rows:
    rows = slice(max(int(top), 0), min(int(bottom) + 1, SIDE))
    x, y = grid()
    return _Rows(picture[rows], x[rows], y[rows])


def paint_backdrop(scene: Landscape) -> Array:
    """Paint the land under its sky (SIDE, SIDE, 3), without houses, trees and what edits add."""
    light = light_of(scene)
    picture = np.empty((SIDE, SIDE, 3), np.float32)
    picture[:] = light.low_sky
    above = _rows(picture, 0, scene.horizon)
    _sky(above, scene, light)
    _clouds(above, scene, light)
    if "rainbow" in scene.guests:
        _rainbow(above, scene)
    for place, ridge in enumerate(scene.ridges):
        _ridge(picture, scene, light, ridge, place)
    _meadow(picture, scene, light)
    if scene.lake is not None:
        cover_with_water(picture, _lake(scene), scene.lake[0], light, 0.55)
    return picture


def _sky(rows: _Rows, scene: Landscape, light: Light) -> None:
    height = np.clip(rows.y[:, :1] / scene.horizon, 0.0, 1.0)[..., None]
    rows.picture[:] = mix(light.zenith, light.low_sky, height**1.4)
    if light.night > 0:
        rows.picture[:] += _stars(rows, light)[..., None]
    x, y, radius = light.sun
    away = np.hypot(rows.x - x, rows.y - y)
    glow = np.exp(away * np.float32(-1 / 26)) * light.glow
    disc = np.clip(radius - away + 0.5, 0.0, 1.0) * light.sun_strength
    rows.paint(light.sun_colour, 1 - (1 - glow) * (1 - disc))


def _stars(rows: _Rows, light: Light) -> Array:
    rng = np.random.default_rng(_STARS_SEED)
    field = np.zeros(rows.x.shape, np.float32)
    y, x = rng.integers(0, 44, 60), rng.integers(0, SIDE, 60)
    field[y, x] = rng.uniform(0.15, 0.75, 60) * light.night
    return field


def _clouds(rows: _Rows, scene: Landscape, light: Light) -> None:
    lit, shade = _cloud_cover(scene.seed, scene.clouds, len(rows.y))
    rows.paint(mix(light.cloud_shade, light.cloud_lit, (lit * shade)[..., None]), 0.92 * shade)


@lru_cache(_KEPT)
def _cloud_cover(seed: tuple[int, int], clouds: tuple[Cloud, ...], rows: int) -> tuple[Array, Array]:
    """The lit parts of clouds and whole clouds, both (rows, SIDE)."""
    rng = np.random.default_rng((*seed, 3))
    size = (SIDE * _SCALE, rows * _SCALE)
    masks = [Image.new("L", size) for _ in range(2)]
    pens = [ImageDraw.Draw(mask) for mask in masks]
    for cloud in clouds:
        puffs = int(rng.integers(5, 9))
        along = np.linspace(-1, 1, puffs) + rng.uniform(-0.15, 0.15, puffs)
        radii = cloud.width * (0.30 - 0.16 * np.abs(along)) * rng.uniform(0.8, 1.2, puffs)
        for place, radius in zip(along.tolist(), radii.tolist(), strict=True):
            x, y = cloud.x + place * cloud.width / 2, cloud.y - radius * 0.45
            _puff(pens[0], x, y, radius)
            _puff(pens[1], x - 0.18 * radius, y - 0.28 * radius, 0.8 * radius)
    shade, lit = (
        np.asarray(mask.reduce(_SCALE).filter(ImageFilter.GaussianBlur(blur)), np.float32) / 255
        for mask, blur in zip(masks, (1.0, 1.6), strict=True)
    )
    return lit, shade


def _puff(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    box = (x - radius, y - 0.8 * radius, x + radius, y + 0.8 * radius)
    pen.ellipse([_SCALE * place for place in box], 255)


def _rainbow(rows: _Rows, scene: Landscape) -> None:
    away = np.hypot((rows.x - 70.0) * 0.95, rows.y - scene.horizon - 8.0)
    place = (away - 48.0) / 11.0
    bands = np.stack([hue_colour(hue, 0.85, 1.0) for hue in np.linspace(275, 0, 32)])
    colours = bands[np.clip(place * 32, 0, 31).astype(int)]
    rows.paint(colours, smoothstep(0.0, 0.15, place) * smoothstep(1.0, 0.85, place) * np.float32(0.72))


def _ridge(picture: Array, scene: Landscape, light: Light, ridge: Ridge, place: int) -> None:
    weather = scene.weather
    profile, sheet = _ridge_shape(scene.seed, place, ridge)
    rows = _rows(picture, float(profile.min()) - 1, scene.horizon + 4)
    depths = rows.y[:, :1] - profile[None, :] + np.float32(0.5)  # (rows, SIDE * _SCALE), below the crest
    cover = np.clip(depths, 0.0, 1.0).reshape(-1, SIDE, _SCALE).mean(-1)
    crests = profile.reshape(SIDE, _SCALE).mean(-1)
    below = np.maximum(rows.y - crests[None, :], 0.0)
    spots = sheet[: len(rows.y)]
    near = (place + 1) / (len(scene.ridges) + 1)
    if ridge.craggy:
        colour = _rock(rows, below, crests, spots, ridge, scene)
        bright = np.ones_like(below)
    else:
        wood = mix((0.24, 0.40, 0.26), scene.ground, 0.35 * near)
        wood = mix(wood, _AUTUMN_WOOD, 0.75) if weather.autumn else wood
        colour = mix(wood, _SNOW, 0.72) if weather.snow else wood
        bright = 1.0 + 0.22 * spots
    slope = np.gradient(np.convolve(crests, np.ones(3) / 3, "same")).astype(np.float32)
    bright = bright * (1.0 + np.clip(-slope, -1, 1)[None, :] * 0.22 * np.exp(below / -14.0))
    colour = colour * light.on_land * bright[..., None]
    colour = mix(colour, light.air, _HAZE * (1 - near) + 0.004 * below[..., None])
    rows.paint(_fogged(colour, scene, light, near), cover)


@lru_cache(_KEPT)
def _ridge_shape(seed: tuple[int, int], place: int, ridge: Ridge) -> tuple[Array, Array]:
    """Y of a ridge's crest (SIDE * _SCALE,), and its texture (SIDE, SIDE)."""
    rng = np.random.default_rng((*seed, 10 + place))
    profile = ridge.height - ridge.relief * crest(rng, SIDE * _SCALE, 3 if ridge.craggy else 2, ridge.craggy)
    return profile, texture(rng, SIDE, 16, 12)


def _rock(rows: _Rows, below: Array, crests: Array, spots: Array, ridge: Ridge, scene: Landscape) -> Array:
    line = 0.55 * ridge.relief if not scene.weather.snow else 3.0 * ridge.relief
    top = ridge.height - 0.9 * ridge.relief
    height = rows.y - top + 5.0 * spots - 0.15 * (crests - top)[None, :]
    snowed = smoothstep(line + 2.0, line - 2.0, height)[..., None]
    rock = mix((0.46, 0.45, 0.50), (0.36, 0.42, 0.36), np.clip(below / 26.0, 0, 1)[..., None])
    return mix(rock * (1.0 + 0.25 * spots[..., None]), _SNOW, snowed)


def _meadow(picture: Array, scene: Landscape, light: Light) -> None:
    rng, weather = np.random.default_rng((*scene.seed, 4)), scene.weather
    rows = _rows(picture, scene.horizon - 3)
    edge = scene.horizon + 1.6 * crest(rng, SIDE, 2, False)
    depth = np.clip((rows.y - scene.horizon) / (SIDE - scene.horizon), 0.0, 1.0)
    ground = np.asarray(scene.ground, np.float32)
    ground = mix(ground, _AUTUMN_GROUND, 0.7) if weather.autumn else ground
    ground = mix(ground, _SNOW, 0.9) if weather.snow else ground
    strength = 0.05 if weather.snow else 0.16
    spots = texture(rng, SIDE, 26, 9)[: len(rows.y)]
    colour = (ground * light.on_land) * (1.12 - 0.34 * depth + strength * spots)[..., None]
    colour = mix(colour, light.air, 0.38 * (1 - depth[:, :1, None]) ** 2)
    cover = np.clip(rows.y - edge[None, :] + 0.5, 0.0, 1.0)
    rows.paint(_fogged(colour, scene, light, 0.75 + 0.25 * depth[:, :1, None]), cover)


def _lake(scene: Landscape) -> Array:
    """Share of lake in each pixel (SIDE, SIDE)."""
    assert scene.lake is not None  # noqa: S101 - asked for a landscape with a lake
    rng = np.random.default_rng((*scene.seed, 6))
    top, bottom = scene.lake
    shore = bottom + 2.5 * crest(rng, SIDE, 2, False)
    _, y = grid()
    return np.clip(y - top, 0, 1) * np.clip(shore[None, :] - y, 0, 1)


def cover_with_water(picture: Array, share: Array, line: float, light: Light, mirror: float) -> None:
    """Put water over a picture, reflecting what stands above ``line``; in place.

    Args:
        picture: (SIDE, SIDE, 3).
        share: how much of each pixel is water (SIDE, SIDE); none above ``line``.
        line: y about which the reflection turns.
        light: the light.
        mirror: share of the reflection in the water's colour.
    """
    rows = _rows(picture, line)
    below = rows.y - np.float32(line)
    ripple = np.sin(3.4 * below / (1 + 0.03 * np.maximum(below, 0)) + 0.05 * rows.x) * (0.4 + 0.04 * below)
    up = np.clip(2 * line - rows.y + ripple, 0, SIDE - 1).astype(int)
    along = np.clip(rows.x + 0.8 * ripple, 0, SIDE - 1).astype(int)
    water = mix(_WATER * light.on_land, light.zenith, 0.35)
    wet = mix(water, picture[up, along], mirror) * (1.0 + 0.035 * ripple[..., None])
    rows.paint(wet, share[-len(rows.y) :])


def _fogged(colour: Array, scene: Landscape, light: Light, near: float | Array) -> Array:
    """A colour behind the fog, ``near`` being 1 at the viewer and 0 at the far ridge."""
    fog = scene.weather.fog
    return mix(colour, light.fog, 1.0 - np.exp(-FOG_DEPTH * fog * (1.15 - near))) if fog else colour


FOG_DEPTH = 5.0
"""How much denser fog at the far ridge is than at the viewer."""
