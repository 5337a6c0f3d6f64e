"""Keeping what an edit did not change: on drawings, where a blur leaves flat areas as they are."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.tensors import from_pil, to_pil

SIZES = [(64, 64), (128, 128), (150, 90), (256, 256), (512, 512)]
SCALE = 4


def plain(size: tuple[int, int], seed: int) -> Image.Image:
    """One to three flat shapes on a plain ground."""
    rng = np.random.default_rng((8, seed))
    width, height = (SCALE * side for side in size)
    ground = rng.integers(30, 226, 3)
    picture = Image.new("RGB", (width, height), tuple(ground.tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(1 + seed % 3):
        x, y = rng.uniform(0.2, 0.8, 2) * (width, height)
        radius = height * rng.uniform(0.1, 0.3)
        colour = (ground + rng.choice([-1, 1]) * rng.uniform(30, 140, 3)).clip(0, 255).astype(int)
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw((x - radius, y - 0.6 * radius, x + radius, y + 0.9 * radius), tuple(colour.tolist()))
    return picture.reduce(SCALE)


def shaded(size: tuple[int, int], seed: int) -> Image.Image:
    """Two or three shaded balls before an even gradient."""
    rng = np.random.default_rng((6, seed))
    width, height = size
    y, x = np.mgrid[0:height, 0:width] / height
    top, bottom = rng.uniform(0, 1, (2, 3))
    values = top + (bottom - top) * y[..., None]
    for _ in range(2 + seed % 2):
        centre_x, centre_y, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.22)
        ball = ((radius - np.hypot(x - centre_x, y - centre_y)) * height + 0.5).clip(0, 1)[..., None]
        light = 1 - 0.6 * np.hypot(x - centre_x + 0.3 * radius, y - centre_y + 0.3 * radius).clip(0, radius) / radius
        values = values + ball * (rng.uniform(0.1, 1, 3) * light[..., None] - values)
    return Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8))


def gaussian(share: float) -> Callable[[Image.Image], Image.Image]:
    return lambda picture: picture.filter(ImageFilter.GaussianBlur(share * min(picture.size)))


def box(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.BoxBlur(min(picture.size) / 20))


def motion(picture: Image.Image) -> Image.Image:
    reach = min(picture.size) // 20
    values = from_pil(picture)[0]
    columns = torch.arange(picture.width)
    shifted = [values[:, (columns + by).clamp(0, picture.width - 1)] for by in range(-reach, reach + 1)]
    return to_pil(torch.stack(shifted).mean(0)[None])[0]


def thumbnail(picture: Image.Image) -> Image.Image:
    small = picture.resize([max(1, side // 8) for side in picture.size], Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BICUBIC)


BLURS = {
    "weak": gaussian(0.02),
    "Gaussian": gaussian(5 / 128),
    "strong": gaussian(14 / 128),
    "box": box,
    "motion": motion,
    "thumbnail": thumbnail,
}


def untouched(picture: Image.Image) -> Image.Image:
    return picture


def worn(picture: Image.Image) -> Image.Image:
    """A little softer, with noise and JPEG's marks."""
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.5)), np.float32)
    values = values + np.random.default_rng(3).normal(0, 2.5, values.shape)
    file = io.BytesIO()
    Image.fromarray((values.clip(0, 255) + 0.5).astype(np.uint8)).save(file, "JPEG", quality=88)
    return Image.open(file).convert("RGB")


@pytest.mark.parametrize("wear", [untouched, worn])
@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("draw", [plain, shaded])
def test_a_blurred_drawing_comes_through_bit_for_bit(
    draw: Callable[..., Image.Image], size: tuple[int, int], blur: str, wear: Callable[[Image.Image], Image.Image]
) -> None:
    sources = [draw(size, seed) for seed in range(6 if max(size) < 256 else 2)]
    results = torch.cat([from_pil(wear(BLURS[blur](source))) for source in sources])
    kept = keep_unedited(torch.cat([from_pil(source) for source in sources]), results)
    assert set(kept.verdicts) == {"global"}
    assert torch.equal(kept.image, results)
    assert kept.mask.min() == 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("draw", [plain, shaded])
def test_a_spot_on_a_drawing_is_local(draw: Callable[..., Image.Image], size: tuple[int, int]) -> None:
    for seed in range(4):
        source = draw(size, seed)
        spot = Image.new("L", size)
        x, y, radius = size[0] * (0.3 + 0.1 * seed), size[1] * 0.4, size[1] * 0.15
        ImageDraw.Draw(spot).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        target = Image.composite(Image.new("RGB", size, (250, 60, 200)), source, spot)
        result = from_pil(worn(target))
        kept = keep_unedited(from_pil(source), result)
        assert kept.verdicts == ("local",)
        assert (kept.image - from_pil(target)).square().mean() < (result - from_pil(target)).square().mean()
