"""Pictures of any mode as plain RGB, without torch."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import ExemplarError

WHITE = (255, 255, 255)


def opaque(picture: Image.Image) -> Image.Image:
    """Turn an image of any of Pillow's modes into RGB; alpha is composited on white, 16 bits are scaled to 8.

    A colour that the file declares transparent becomes white too.

    Raises:
        ExemplarError: the pixels' range is unknown: they are floating-point numbers, or go beyond 16 bits.
    """
    if picture.mode == "F":
        raise ExemplarError(
            "The picture's pixels are floating-point numbers of no known range; expected whole numbers."
        )
    if picture.mode.startswith("I"):
        return _from_16_bits(picture)
    if picture.mode in ("RGB", "L") and not _has_transparent_colour(picture):
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    flat = Image.new("RGB", rgba.size, WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat


def _from_16_bits(picture: Image.Image) -> Image.Image:
    deep = np.asarray(picture)  # Pillow's own conversion clips at 255
    if deep.min() < 0 or deep.max() > 65535:
        raise ExemplarError(
            f"The picture's pixels reach from {deep.min()} to {deep.max()}; expected whole numbers from 0 to 65535."
        )
    grey = (deep // 257).astype(np.uint8)
    grey[deep == picture.info.get("transparency", -1)] = 255
    return Image.fromarray(grey).convert("RGB")


def _has_transparent_colour(picture: Image.Image) -> bool:
    """Whether one of 8 bits is declared: of colours in 16 bits, Pillow keeps too little to find it again."""
    colour: int | bytes | tuple[int, ...] | None = picture.info.get("transparency")
    return colour is not None and not (isinstance(colour, tuple) and max(colour) > 255)
