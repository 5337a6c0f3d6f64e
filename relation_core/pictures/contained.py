"""Pictures resized to fit into a given size."""

from __future__ import annotations

from PIL import Image


def contained(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Enlarge or shrink a picture, in its proportions, to what ``size`` holds; no side goes below one pixel."""
    width, height = size
    if picture.width / picture.height > width / height:
        height = max(1, round(picture.height / picture.width * width))
    else:
        width = max(1, round(picture.width / picture.height * height))
    return picture.resize((width, height), Image.Resampling.BICUBIC)
