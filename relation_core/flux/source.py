"""The size at which a source picture is encoded."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..errors import ExemplarError
from ..pictures.picture_file import MAX_PIXELS
from ..pictures.tensors import flatten_alpha, rgb_to_pil
from .sizes import LATENT_CHANNELS, TOKEN_SIDE


def source_size(width: int, height: int, long_side: int, scale: float = 1.0) -> tuple[int, int]:
    """Find the size to encode a picture at.

    Proportions are kept except for rounding: each side is cut to a multiple of 16, as in the authors' pipeline, and is
    at least 16.

    Args:
        width: of the picture.
        height: of the picture.
        long_side: pixels of the longer side; 0 keeps the picture's size.
        scale: applied to both sides afterwards.

    Returns:
        Width and height.

    Raises:
        ExemplarError: the size is over 67 megapixels.
    """
    factor = scale * (long_side / max(width, height) if long_side else 1.0)
    # Rounding to whole pixels first keeps a side such as 511.99999 from losing 16 of them.
    columns, rows = (max(1, round(side * factor) // TOKEN_SIDE) for side in (width, height))
    size = TOKEN_SIDE * columns, TOKEN_SIDE * rows
    if size[0] * size[1] > MAX_PIXELS:
        raise ExemplarError(
            f"A source of {width} x {height} pixels would be encoded at {size[0]} x {size[1]}; expected at most "
            f"{MAX_PIXELS:,} pixels in all. Crop it, or choose a smaller long side."
        )
    return size


def resize_source(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize a batch of pictures (B, height, width, 1 to 4 channels) to RGB of ``size`` (Lanczos, as the authors).

    Pictures of that size keep their exact values.

    Raises:
        ExemplarError: it is no batch of pictures.
    """
    return resize_rgb(flatten_alpha(image), size)


def resize_rgb(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize as :func:`resize_source` does what :func:`..pictures.tensors.flatten_alpha` made."""
    if (image.shape[2], image.shape[1]) == size:
        return image
    resized = [np.asarray(picture.resize(size, Image.Resampling.LANCZOS)) for picture in rgb_to_pil(image)]
    return torch.from_numpy(np.stack(resized)).float().div(255.0)


def check_latent(latent: torch.Tensor) -> None:
    """Refuse the latent of an autoencoder that is not FLUX.1's, or that computes in too small a dtype.

    Raises:
        ExemplarError: it does not have 16 channels and two spatial axes, or is not finite.
    """
    if latent.ndim != 4 or latent.shape[1] != LATENT_CHANNELS:
        raise ExemplarError(
            f"The VAE made a latent of shape {tuple(latent.shape)}; FLUX.1 expects (batch, {LATENT_CHANNELS}, height, "
            "width). Load FLUX.1's autoencoder, ae.safetensors, from models/vae."
        )
    if not bool(latent.isfinite().all()):
        raise ExemplarError(
            f"The VAE made NaN or infinite values in {latent.dtype}; expected finite values only. Let it compute in "
            "float32 (ComfyUI: --fp32-vae), or load another copy of ae.safetensors."
        )
