"""Edits of whole pictures that nothing of the model of drawn scenes was trained on, to learn them from a few pairs."""

from __future__ import annotations

from PIL import Image, ImageOps

from .relations import DrawnEdit, retouched

_DARK, _LIGHT = (30, 10, 0), (255, 235, 190)
"""The colours of black and of white in sepia."""
_DIMMED = 0.3
_SQUARES = 8
"""A side of the picture."""


def _sepia(picture: Image.Image) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(picture), _DARK, _LIGHT)


def _grey(picture: Image.Image) -> Image.Image:
    return ImageOps.grayscale(picture).convert("RGB")


def _posterise(picture: Image.Image) -> Image.Image:
    return ImageOps.posterize(picture, 1)


def _dim_lower_half(picture: Image.Image) -> Image.Image:
    result = picture.copy()
    box = (0, picture.height // 2, picture.width, picture.height)
    result.paste(picture.crop(box).point(lambda value: int(_DIMMED * value)), box)
    return result


def _swap_red_and_blue(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    return Image.merge("RGB", (blue, green, red))


def _pixelate(picture: Image.Image) -> Image.Image:
    small = picture.resize((_SQUARES, _SQUARES), Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.NEAREST)


UNSEEN: tuple[DrawnEdit, ...] = (
    DrawnEdit("sepia", "", "Make it sepia.", "picture", retouched(_sepia)),
    DrawnEdit("grey", "", "Make it grey.", "picture", retouched(_grey)),
    DrawnEdit("posterise", "", "Leave one bit of every colour.", "picture", retouched(_posterise)),
    DrawnEdit("dim_lower_half", "", "Darken the lower half.", "picture", retouched(_dim_lower_half)),
    DrawnEdit("swap_red_blue", "", "Swap red and blue.", "picture", retouched(_swap_red_and_blue)),
    DrawnEdit("pixelate", "", "Pixelate it.", "picture", retouched(_pixelate)),
)
