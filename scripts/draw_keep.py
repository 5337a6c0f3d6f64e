"""Draws docs/keep.jpg: what Keep Unedited makes of edits of photographs. Run: python -m scripts.draw_keep."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.tensors import from_pil, to_pil

_ROOT = Path(__file__).resolve().parents[1]
_SIZE = (480, 360)
_SHOWN = (240, 180)
_LINE = 22


def main() -> None:
    """Draw the sheet."""
    source = ImageOps.fit(Image.open(_ROOT / "pictures" / "coffee.jpg").convert("RGB"), _SIZE)
    edits = {
        "a painted spot, noise, drift and JPEG": worn(painted(source)),
        "a night, noise, drift and JPEG": worn(source.point([round(level * 0.4) for level in range(256)] * 3)),
        "a median filter": source.filter(ImageFilter.MedianFilter(5)),
        "nothing but noise, drift and JPEG": worn(source),
    }
    width, height = _SHOWN
    sheet = Image.new("RGB", (4 * width, len(edits) * (height + _LINE)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (name, result) in enumerate(edits.items()):
        kept = keep_unedited(from_pil(source), from_pil(result))
        mask = Image.fromarray(kept.mask[0].mul(255).byte().numpy()).convert("RGB")
        top = row * (height + _LINE)
        for column, picture in enumerate((source, result, to_pil(kept.image)[0], mask)):
            sheet.paste(picture.resize(_SHOWN), (column * width, top + _LINE))
        pen.text((6, top + 5), f"{name}: {kept.verdicts[0]} (source, result, image, mask)", "black")
    sheet.save(_ROOT / "docs" / "keep.jpg", quality=72)


def painted(picture: Image.Image) -> Image.Image:
    """Paint a blue spot."""
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((60, 60, 170, 170), fill=255)
    return Image.composite(Image.new("RGB", picture.size, (40, 90, 220)), picture, mask)


def worn(picture: Image.Image) -> Image.Image:
    """Soften a picture, and add noise, a drift of light and JPEG's marks."""
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.5)), np.float32) / 255
    values = values + np.random.default_rng(1).normal(0, 0.01, values.shape)
    values = values + 0.03 * np.linspace(0, 1, picture.width)[None, :, None]
    file = io.BytesIO()
    Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8)).save(file, "JPEG", quality=88)
    return Image.open(file).convert("RGB")


if __name__ == "__main__":
    main()
