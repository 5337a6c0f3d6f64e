"""Conversion between tensors and PIL images."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..errors import ExemplarError
from .opaque import opaque
from .values import check_values


def check_pictures(image: object) -> torch.Tensor:
    """Refuse what is no batch of pictures, and give back what is one.

    Args:
        image: (B, height, width, C) floats; C is 1 (grey), 2 (grey, alpha), 3 or 4 (colour, alpha).
            Truth values become floats.

    Raises:
        ExemplarError: it is something else, it is empty, or its values are not those of a picture.
    """
    if not isinstance(image, torch.Tensor) or image.ndim != 4 or 0 in image.shape or image.shape[-1] > 4:
        raise ExemplarError(
            f"Got a picture {_found(image)}; expected (batch, height, width, channels) with 1 to 4 channels and at "
            "least one pixel. Feed it from a Load Image node."
        )
    check_values("picture", image)
    return image.float() if image.dtype == torch.bool else image


def check_mask(mask: object) -> None:
    """Refuse what is no batch of masks.

    Args:
        mask: (height, width), (B, height, width) or (B, 1, height, width) floats or truth values.

    Raises:
        ExemplarError: it is something else, it is empty, or its values are not those of a mask.
    """
    if not isinstance(mask, torch.Tensor) or not _is_mask(mask.shape):
        raise ExemplarError(
            f"Got a mask {_found(mask)}; expected (batch, height, width) with at least one pixel. Make one of a "
            "picture with Convert Image to Mask."
        )
    check_values("mask", mask)


def _is_mask(shape: torch.Size) -> bool:
    return len(shape) in (2, 3, 4) and 0 not in shape and shape[1:-2] in ((), (1,))


def _found(value: object) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else f"of type {type(value).__name__}"


def flatten_alpha(image: torch.Tensor) -> torch.Tensor:
    """Give every picture of a batch three channels: grey is repeated, alpha is composited on white.

    Args:
        image: as :func:`check_pictures` takes it. Values are clipped to [0, 1].

    Returns:
        (B, height, width, 3), in the dtype and on the device of ``image``.

    Raises:
        ExemplarError: it is no batch of pictures.
    """
    image = check_pictures(image).clamp(0, 1)
    channels = image.shape[-1]
    colour = image[..., : 1 if channels < 3 else 3]
    if channels in (2, 4):
        alpha = image[..., -1:]
        colour = colour * alpha + (1.0 - alpha)
    return colour.expand(-1, -1, -1, 3)


def to_pil(image: torch.Tensor) -> list[Image.Image]:
    """Turn a batch of pictures, as :func:`flatten_alpha` takes it, into 8-bit RGB images."""
    return rgb_to_pil(flatten_alpha(image))


def rgb_to_pil(image: torch.Tensor) -> list[Image.Image]:
    """Turn what :func:`flatten_alpha` made into 8-bit RGB images."""
    pixels = image.detach().float().mul(255).round()
    return [Image.fromarray(picture) for picture in pixels.to("cpu", torch.uint8).numpy()]


def preview_pil(image: torch.Tensor) -> list[Image.Image]:
    """Turn pictures into images as :func:`to_pil` does, to look on while something runs: NaN is shown as black."""
    return to_pil(image.nan_to_num(nan=0.0).clamp(0, 1))


def from_pil(picture: Image.Image) -> torch.Tensor:
    """Turn an image into (1, height, width, 3) float32 in [0, 1], as :func:`opaque` shows it."""
    array = np.asarray(opaque(picture), dtype=np.float32) / 255.0
    return torch.from_numpy(array)[None]
