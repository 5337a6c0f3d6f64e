"""Preprocessing of exemplar pictures for the vision model (the authors' ``resize_img`` and SigLIP's processor)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from PIL import Image

from ..errors import ExemplarError
from ..pictures.opaque import WHITE

Fit = Literal["pad", "stretch"]
FITS: tuple[Fit, ...] = ("pad", "stretch")

LONG_SIDE = 512
_MAX_PADDED = 1 << 29
"""The most pixels of a padded picture, which take some seconds."""
_BAND_PIXELS = 1 << 20
"""Pixels of a padded picture held in memory at a time."""
REGULAR_RATIOS = ((3, 4), (4, 3), (1, 1), (16, 9), (9, 16))


def pad_to_regular_ratio(picture: Image.Image) -> Image.Image:
    """Centre a picture on white so that it gets the regular ratio nearest to its own (by width / height)."""
    size = _padded_size(picture)
    return _padded_rows(picture, size, 0, size[1])


def resize_exemplar(picture: Image.Image, fit: Fit = "pad") -> Image.Image:
    """Resize an exemplar to a long side of 512 pixels (bilinear), as the authors do.

    ``pad`` keeps the picture's proportions by padding it to a regular ratio first; ``stretch`` lets the vision model's
    square distort them.

    Raises:
        ExemplarError: the picture is so long and thin that padding it would take more than 512 megapixels.
    """
    size = _padded_size(picture) if fit == "pad" else picture.size
    if size[0] * size[1] > _MAX_PADDED:
        raise ExemplarError(
            f"An exemplar picture has {picture.width} x {picture.height} pixels, too long and thin to be padded to a "
            f"regular ratio ({size[0]} x {size[1]}). Crop or shrink it, or choose the fit 'stretch'."
        )
    scale = LONG_SIDE / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    if size == picture.size:
        return picture.resize((width, height), Image.Resampling.BILINEAR)
    return _narrowed(picture, size, width).resize((width, height), Image.Resampling.BILINEAR)


def _padded_size(picture: Image.Image) -> tuple[int, int]:
    width, height = picture.size
    ratio_width, ratio_height = min(REGULAR_RATIOS, key=lambda ratio: abs(ratio[0] / ratio[1] - width / height))
    if width / height >= ratio_width / ratio_height:
        return width, int(width * ratio_height / ratio_width)
    return int(height * ratio_width / ratio_height), height


def _padded_rows(picture: Image.Image, size: tuple[int, int], top: int, bottom: int) -> Image.Image:
    """Return some rows of the picture padded to ``size``."""
    rows = Image.new("RGB", (size[0], bottom - top), WHITE)
    rows.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2 - top))
    return rows


def _narrowed(picture: Image.Image, size: tuple[int, int], width: int) -> Image.Image:
    """Pad a picture to ``size`` and resize its width, some rows at a time, since a thin picture's padding is large.

    Pillow resizes the width first and then the height, with whole numbers in between, so the pixels equal those of one
    step.
    """
    narrow = Image.new("RGB", (width, size[1]), WHITE)
    offset, step = (size[1] - picture.height) // 2, max(1, _BAND_PIXELS // size[0])
    for top in range(offset, offset + picture.height, step):
        rows = _padded_rows(picture, size, top, min(top + step, offset + picture.height))
        narrow.paste(rows.resize((width, rows.height), Image.Resampling.BILINEAR), (0, top))
    return narrow


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
