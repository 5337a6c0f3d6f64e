"""Pictures of any mode as plain RGB, without torch."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import ExemplarError

WHITE = (255, 255, 255)


def opaque(picture: Image.Image) -> Image.Image:
    """Turn an image of any of Pillow's modes into RGB; alpha is composited on white, 16 bits are scaled to 8.

    Raises:
        ExemplarError: the mode is floating point, whose range is unknown.
    """
    if picture.mode in ("RGB", "L"):
        return picture.convert("RGB")
    if picture.mode == "F":
        raise ExemplarError(
            "The picture's pixels are floating-point numbers of no known range; expected whole numbers."
        )
    if picture.mode.startswith("I"):  # Pillow's own conversion clips at 255
        deep = np.asarray(picture).clip(0, 65535)
        return Image.fromarray((deep // 257).astype(np.uint8)).convert("RGB")
    rgba = picture.convert("RGBA")
    flat = Image.new("RGB", rgba.size, WHITE)
    flat.paste(rgba, mask=rgba.getchannel("A"))
    return flat
