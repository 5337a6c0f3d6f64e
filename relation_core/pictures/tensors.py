"""Conversion between tensors and PIL images."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..errors import ExemplarError
from .opaque import opaque


def flatten_alpha(image: torch.Tensor) -> torch.Tensor:
    """Give every picture of a batch three channels: grey is repeated, alpha is composited on white.

    Args:
        image: (B, height, width, C); C is 1 (grey), 2 (grey, alpha), 3 or 4 (colour, alpha). Values are clipped to [0,
        1]; NaN counts as 0.

    Returns:
        (B, height, width, 3), in the dtype and on the device of ``image``.

    Raises:
        ExemplarError: the tensor is not a batch of such pictures, or it is empty.
    """
    if image.ndim != 4 or 0 in image.shape or image.shape[-1] > 4:
        raise ExemplarError(
            f"Got a picture of shape {tuple(image.shape)}; expected (batch, height, width, channels) with 1 to 4 "
            "channels and at least one pixel. Feed it from a Load Image node."
        )
    channels = image.shape[-1]
    image = image.nan_to_num(nan=0.0).clamp(0, 1)
    colour = image[..., : 1 if channels < 3 else 3]
    if channels in (2, 4):
        alpha = image[..., -1:]
        colour = colour * alpha + (1.0 - alpha)
    return colour.expand(-1, -1, -1, 3)


def to_pil(image: torch.Tensor) -> list[Image.Image]:
    """Turn a batch of pictures, as :func:`flatten_alpha` takes it, into 8-bit RGB images."""
    pixels = flatten_alpha(image).detach().float().mul(255).round()
    return [Image.fromarray(picture) for picture in pixels.to("cpu", torch.uint8).numpy()]


def from_pil(picture: Image.Image) -> torch.Tensor:
    """Turn an image into (1, height, width, 3) float32 in [0, 1], as :func:`opaque` shows it."""
    array = np.asarray(opaque(picture), dtype=np.float32) / 255.0
    return torch.from_numpy(array)[None]
