"""Thumbnails of exemplar pairs, stored with a relation to show what it does."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from .contained import contained, paste_centred
from .opaque import WHITE

SIDE = 128


def pair_thumbnail(before: Image.Image, after: Image.Image) -> torch.Tensor:
    """Shrink a pair to (1, 128, 256, 3) uint8, side by side on white."""
    sheet = Image.new("RGB", (2 * SIDE, SIDE), WHITE)
    for column, picture in enumerate((before, after)):
        paste_centred(sheet, contained(picture, (SIDE, SIDE)), (column * SIDE, 0, SIDE, SIDE))
    return torch.from_numpy(np.array(sheet))[None]


def join_thumbnails(parts: list[torch.Tensor]) -> torch.Tensor:
    """Join the thumbnails (P, height, width, 3) of several relations; if their sizes differ they are resized.

    Files from elsewhere may have other sizes.
    """
    if len({part.shape[1:] for part in parts}) > 1:
        parts = [torch.cat([_standard(picture) for picture in part]) for part in parts]
    return torch.cat(parts)


def _standard(thumbnail: torch.Tensor) -> torch.Tensor:
    if thumbnail.shape == (SIDE, 2 * SIDE, 3):
        return thumbnail[None]
    small = contained(Image.fromarray(thumbnail.numpy()), (2 * SIDE, SIDE))
    sheet = Image.new("RGB", (2 * SIDE, SIDE), WHITE)
    paste_centred(sheet, small, (0, 0, 2 * SIDE, SIDE))
    return torch.from_numpy(np.array(sheet))[None]
