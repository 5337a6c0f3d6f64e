"""How an exemplar picture is made ready for the vision model (the authors' ``resize_img`` and SigLIP's processor)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from PIL import Image

from ..pictures.opaque import WHITE

Fit = Literal["pad", "stretch"]
FITS: tuple[Fit, ...] = ("pad", "stretch")

LONG_SIDE = 512
REGULAR_RATIOS = ((3, 4), (4, 3), (1, 1), (16, 9), (9, 16))


def pad_to_regular_ratio(picture: Image.Image) -> Image.Image:
    """Centre a picture on white so that it gets the regular ratio nearest to its own (by width / height)."""
    width, height = picture.size
    ratio_width, ratio_height = min(REGULAR_RATIOS, key=lambda ratio: abs(ratio[0] / ratio[1] - width / height))
    if width / height >= ratio_width / ratio_height:
        size = (width, int(width * ratio_height / ratio_width))
    else:
        size = (int(height * ratio_width / ratio_height), height)
    padded = Image.new("RGB", size, WHITE)
    padded.paste(picture, ((size[0] - width) // 2, (size[1] - height) // 2))
    return padded


def resize_exemplar(picture: Image.Image, fit: Fit = "pad") -> Image.Image:
    """Bring an exemplar to a long side of 512 pixels (bilinear), as the authors do.

    ``pad`` keeps the picture's proportions by padding it to a regular ratio first; ``stretch`` leaves
    it to the vision model's square to change them.
    """
    if fit == "pad":
        picture = pad_to_regular_ratio(picture)
    scale = LONG_SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def vision_pixels(pictures: list[Image.Image], image_size: int) -> torch.Tensor:
    """Apply SigLIP's own preprocessing: squash to a square (bicubic), scale to [-1, 1].

    Args:
        pictures: P RGB images of any size.
        image_size: side of the vision model's square, in pixels (384 for so400m).

    Returns:
        (P, 3, image_size, image_size) float32.
    """
    squares = [picture.resize((image_size, image_size), Image.Resampling.BICUBIC) for picture in pictures]
    pixels = np.stack([np.asarray(square, dtype=np.float32) for square in squares])  # (P, height, width, 3)
    return torch.from_numpy(pixels).movedim(-1, 1).contiguous().div(255.0).sub(0.5).div(0.5)
