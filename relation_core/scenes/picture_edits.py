"""Edits of finished pictures: geometry, colours and detail. All keep the size of a square picture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from .colours import Array, hue_turn, luma

_FRAME_SHARE = 1 / 16
_FRAME = (44, 34, 40)
_SEPIA_DARK = np.array((0.16, 0.09, 0.04), np.float32)
_SEPIA_LIGHT = np.array((1.0, 0.93, 0.78), np.float32)


def mirror(picture: Image.Image) -> Image.Image:
    """Mirror left to right."""
    return ImageOps.mirror(picture)


def flip(picture: Image.Image) -> Image.Image:
    """Turn upside down, as in water."""
    return ImageOps.flip(picture)


def turn(picture: Image.Image, degrees: float) -> Image.Image:
    """Turn clockwise by 90 or 270 degrees."""
    method = {90: Image.Transpose.ROTATE_270, 270: Image.Transpose.ROTATE_90}[round(degrees)]
    return picture.transpose(method)


def grey(picture: Image.Image) -> Image.Image:
    """Turn grey."""
    return picture.convert("L").convert("RGB")


def sepia(picture: Image.Image) -> Image.Image:
    """Tint like an old photograph."""
    bright = luma(_array(picture))[..., None]
    return _picture(_SEPIA_DARK + (_SEPIA_LIGHT - _SEPIA_DARK) * bright)


def invert(picture: Image.Image) -> Image.Image:
    """Make a negative."""
    return ImageChops.invert(picture)


def turn_hues(picture: Image.Image, degrees: float) -> Image.Image:
    """Turn all hues by an angle; brightness stays."""
    return _picture(np.einsum("yxc,dc->yxd", _array(picture), hue_turn(degrees)))


def contrast(picture: Image.Image, stops: float) -> Image.Image:
    """Multiply the distance from middle grey by two to the power of ``stops``."""
    levels = [round(127.5 + (level - 127.5) * 2.0**stops) for level in range(256)]
    return picture.point([min(max(level, 0), 255) for level in levels] * 3)


def frame(picture: Image.Image) -> Image.Image:
    """Put a dark frame over the border."""
    width, height = picture.size
    border = round(width * _FRAME_SHARE)
    framed = Image.new("RGB", picture.size, _FRAME)
    framed.paste(picture.crop((border, border, width - border, height - border)), (border, border))
    return framed


def pixelate(picture: Image.Image, size: float) -> Image.Image:
    """Make squares of ``size`` pixels a side of one colour each."""
    return picture.reduce(round(size)).resize(picture.size, Image.Resampling.NEAREST)


def blur(picture: Image.Image, radius: float) -> Image.Image:
    """Blur with a Gaussian of this radius in pixels."""
    return picture.filter(ImageFilter.GaussianBlur(radius))


def pencil(picture: Image.Image) -> Image.Image:
    """Draw with a pencil: brightness divided by what surrounds it, so that edges are dark on white paper."""
    bright = luma(_array(picture))
    around = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(2.5)), np.float32) / np.float32(255)
    lines = np.clip(1.0 - 3.2 * (around - bright).clip(0) / (around + 0.08), 0.12, 1.0)
    return _picture(np.repeat((lines * (0.84 + 0.16 * bright))[..., None], 3, axis=2))


def _array(picture: Image.Image) -> Array:
    return np.asarray(picture, np.float32) / np.float32(255)


def _picture(values: Array) -> Image.Image:
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
