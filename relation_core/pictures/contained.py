"""Pictures resized to fit into a given size."""

from __future__ import annotations

from PIL import Image


def contained_size(size: tuple[int, int], bounds: tuple[int, int]) -> tuple[int, int]:
    """The largest size that ``bounds`` holds, in the proportions of ``size``; no side goes below one pixel."""
    (width, height), (widest, highest) = size, bounds
    if width / height > widest / highest:
        return widest, max(1, round(height / width * widest))
    return max(1, round(width / height * highest)), highest


def contained(picture: Image.Image, bounds: tuple[int, int]) -> Image.Image:
    """Enlarge or shrink a picture, in its proportions, to what ``bounds`` holds."""
    return picture.resize(contained_size(picture.size, bounds), Image.Resampling.BICUBIC)


def paste_centred(sheet: Image.Image, picture: Image.Image, box: tuple[int, int, int, int]) -> tuple[int, int]:
    """Paste a picture into the middle of a box (left, top, width, height); give the place of its corner."""
    left, top, width, height = box
    corner = left + (width - picture.width) // 2, top + (height - picture.height) // 2
    sheet.paste(picture, corner)
    return corner
