"""Keeping what an edit did not change: on photographs, with what autoencoders, samplers and JPEG add."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from relation_core.errors import ExemplarError
from relation_core.keeping.keep import keep_unedited
from relation_core.pictures.tensors import from_pil

PICTURES = Path(__file__).resolve().parents[2] / "pictures"
STEP = 1 / 255


def photograph(name: str = "coffee", size: tuple[int, int] = (512, 384)) -> Image.Image:
    return ImageOps.fit(Image.open(PICTURES / f"{name}.jpg").convert("RGB"), size)


def degraded(picture: Image.Image, seed: int, drift: float = 0.0) -> Image.Image:
    """A picture a little softer, with noise and JPEG's marks, and a drift from one side to the other."""
    rng = np.random.default_rng(seed)
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(0.5)), np.float32) / 255
    values = values + rng.normal(0, 0.01, values.shape) + drift * np.linspace(0, 1, picture.width)[None, :, None]
    file = io.BytesIO()
    Image.fromarray((values.clip(0, 1) * 255).round().astype(np.uint8)).save(file, "JPEG", quality=88)
    return Image.open(file).convert("RGB")


def spot(picture: Image.Image, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0.25, 0.75, 2) * picture.size
    radius = picture.height * rng.uniform(0.12, 0.22)
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return mask


def painted(picture: Image.Image, mask: Image.Image) -> Image.Image:
    return Image.composite(Image.new("RGB", picture.size, (40, 90, 220)), picture, mask)


def toned(scale: tuple[float, float, float], power: float = 1.0) -> Callable[[Image.Image], Image.Image]:
    def tone(picture: Image.Image) -> Image.Image:
        values = (np.asarray(picture, np.float32) / 255) ** power * np.array(scale, np.float32)
        return Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))

    return tone


def turned_hue(picture: Image.Image, steps: int) -> Image.Image:
    hue, *others = picture.convert("HSV").split()
    return Image.merge("HSV", (hue.point([(level + steps) % 256 for level in range(256)]), *others)).convert("RGB")


def noisy(picture: Image.Image, sigma: float) -> Image.Image:
    values = np.asarray(picture, np.float32) / 255
    values = values + np.random.default_rng(5).normal(0, sigma, values.shape)
    return Image.fromarray((values.clip(0, 1) * 255).astype(np.uint8))


NEAREST = Image.Resampling.NEAREST
GLOBAL: dict[str, Callable[[Image.Image], Image.Image]] = {
    "night": toned((0.3, 0.35, 0.55)),
    "gamma": toned((1, 1, 1), 0.6),
    "dark": toned((0.7, 0.7, 0.7)),
    "warm": toned((1.1, 1, 0.7)),
    "invert": ImageOps.invert,
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(6)),
    "mirror": ImageOps.mirror,
    "sketch": lambda picture: picture.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB"),
    "median": lambda picture: picture.filter(ImageFilter.MedianFilter(5)),
    "sharpened": lambda picture: picture.filter(ImageFilter.UnsharpMask(3, 200, 0)),
    "pixelate": lambda picture: picture.resize((96, 72), Image.Resampling.BOX).resize(picture.size, NEAREST),
    "turned": lambda picture: ImageOps.fit(picture.transpose(Image.Transpose.ROTATE_270), picture.size),
    "flipped": ImageOps.flip,
    "hue": lambda picture: turned_hue(picture, 85),
    "noise": lambda picture: noisy(picture, 0.09),
    "sepia": lambda picture: ImageOps.colorize(picture.convert("L"), "#1e0f05", "#fff0c8"),
    "shrunk": lambda picture: ImageOps.expand(picture.resize((448, 336)), (32, 24), "#3c2814"),
}


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("name", ["coffee", "cat_before"])
def test_a_local_edit_keeps_the_rest_of_a_photograph(name: str, seed: int) -> None:
    source = photograph(name)
    mask = spot(source, seed)
    target = from_pil(painted(source, mask))
    result = from_pil(degraded(painted(source, mask), seed, drift=0.03))
    kept = keep_unedited(from_pil(source), result)
    assert kept.verdicts == ("local",)
    outside = np.asarray(mask) == 0
    same = (kept.image - from_pil(source)).abs().amax(-1)[0][torch.from_numpy(outside)] <= STEP
    assert same.float().mean() > 0.98
    inside = kept.mask[0][torch.from_numpy(~outside)]
    assert inside.mean() > 0.95
    assert (kept.image - target).square().mean() < 0.35 * (result - target).square().mean()


@pytest.mark.parametrize("name", ["coffee", "cat_before"])
def test_a_new_background_keeps_what_it_surrounds(name: str) -> None:
    source = photograph(name)
    alone = spot(source, 11)
    result = from_pil(degraded(painted(source, ImageOps.invert(alone)), 11, drift=0.03))
    kept = keep_unedited(from_pil(source), result)
    assert kept.verdicts == ("local",)
    inside = torch.from_numpy(np.asarray(alone) > 0)
    assert ((kept.image - from_pil(source)).abs().amax(-1)[0][inside] <= STEP).float().mean() > 0.9
    assert kept.mask[0][~inside].mean() > 0.98


@pytest.mark.parametrize("edit", GLOBAL)
@pytest.mark.parametrize("name", ["coffee", "cat_before"])
def test_a_global_edit_comes_through_bit_for_bit(name: str, edit: str) -> None:
    source = photograph(name)
    result = from_pil(degraded(GLOBAL[edit](source), 21))
    kept = keep_unedited(from_pil(source), result)
    assert kept.verdicts == ("global",)
    assert torch.equal(kept.image, result)
    assert kept.mask.min() == 1


def test_a_picture_that_only_noise_was_added_to_is_its_source() -> None:
    source = from_pil(photograph())
    kept = keep_unedited(source, from_pil(degraded(photograph(), 31)))
    assert (kept.image - source).abs().amax(-1).le(STEP).float().mean() > 0.99


def test_the_drift_leaves_the_edited_part_too() -> None:
    source = photograph()
    mask = spot(source, 41)
    target, drifting = painted(source, mask), degraded(painted(source, mask), 41, drift=0.05)
    kept = keep_unedited(from_pil(source), from_pil(drifting))
    inside = torch.from_numpy(np.asarray(mask.filter(ImageFilter.MinFilter(15))) > 0)
    before, after = ((picture - from_pil(target))[0][inside].mean() for picture in (from_pil(drifting), kept.image))
    assert after.abs() < 0.3 * before.abs()


def test_batches_and_sizes() -> None:
    source = photograph()
    result = from_pil(degraded(painted(source, spot(source, 51)), 51))
    both = torch.cat((result, from_pil(source)))
    kept = keep_unedited(from_pil(source.resize((640, 480))), both)
    assert kept.image.shape == both.shape
    assert kept.mask.shape == both.shape[:3]
    assert kept.mask[0].max() == 1
    with pytest.raises(ExemplarError, match=r"Got 3 source pictures and 2 results"):
        keep_unedited(from_pil(source).expand(3, -1, -1, -1), both)


def test_grow_and_feather_widen_the_mask() -> None:
    source = photograph()
    result = from_pil(degraded(painted(source, spot(source, 61)), 61))
    plain, grown, feathered = (
        keep_unedited(from_pil(source), result, grow=grow, feather=feather).mask
        for grow, feather in ((0, 0), (8, 0), (8, 8))
    )
    assert (grown >= plain).all() and grown.sum() > plain.sum()
    assert (feathered >= grown).all() and feathered.sum() > grown.sum()
    assert ((feathered > 0.1) & (feathered < 0.9)).any()


def test_a_large_picture_keeps_its_own_pixels_too() -> None:
    source = photograph(size=(1301, 977))
    mask = spot(source, 71)
    result = from_pil(degraded(painted(source, mask), 71, drift=0.03))
    kept = keep_unedited(from_pil(source), result)
    outside = torch.from_numpy(np.asarray(mask) == 0)
    same = (kept.image - from_pil(source)).abs().amax(-1)[0][outside] <= STEP
    assert same.float().mean() > 0.98
    assert kept.mask[0][~outside].mean() > 0.95


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (16, 16), (64, 64), (513, 33)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    source = from_pil(photograph(size=size))
    kept = keep_unedited(source, source)
    assert kept.image.shape == source.shape
    assert torch.equal(kept.image, source)


def test_alpha_lies_on_white_as_everywhere() -> None:
    source = photograph()
    clear = source.copy()
    clear.putalpha(spot(source, 81))
    pixels = torch.from_numpy(np.asarray(clear, np.float32) / 255)[None]
    kept = keep_unedited(pixels, from_pil(degraded(painted(source, spot(source, 82)), 82)))
    assert kept.image.shape[-1] == 3
    assert torch.isfinite(kept.image).all()


def test_a_given_threshold_asks_for_no_verdict() -> None:
    source = photograph()
    dark = from_pil(toned((0.7, 0.7, 0.7))(source))
    assert keep_unedited(from_pil(source), dark).verdicts == ("global",)
    kept = keep_unedited(from_pil(source), dark, threshold=1.0)
    assert kept.verdicts == ("local",)
    assert torch.equal(kept.image, from_pil(source))


def test_no_seam_is_left_by_a_drift() -> None:
    source = photograph()
    mask = spot(source, 91)
    drifting = from_pil(degraded(source, 91, drift=0.06))
    edited = torch.where(torch.from_numpy(np.asarray(mask) > 0)[None, ..., None], 1 - from_pil(source), drifting)
    kept = keep_unedited(from_pil(source), edited, grow=12)
    ring = (kept.mask[0] > 0.9) & torch.from_numpy(np.asarray(mask.filter(ImageFilter.MaxFilter(9))) == 0)
    before, after = ((picture - from_pil(source))[0][ring].mean(0).abs().max() for picture in (edited, kept.image))
    assert ring.sum() > 500
    assert after < 0.3 * before


def page(coloured: int | None, colour: tuple[int, int, int], paper: str, size: int) -> Image.Image:
    """A page of black text, with one line in colour."""
    picture = Image.new("RGB", (640, 512), paper)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for line in range(9):
        fill = colour if line == coloured else (0, 0, 0)
        draw.text((30, 20 + 52 * line), f"Line {line} of a plain document", fill=fill, font=font)
    return picture


@pytest.mark.parametrize("worn", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.02])
@pytest.mark.parametrize(
    ("colour", "paper", "size", "verdict"),
    [
        ((220, 0, 0), "white", 32, "local"),
        ((0, 0, 220), "cornsilk", 22, "local"),
        ((0, 150, 40), "white", 26, "global"),
    ],
)
def test_a_line_of_text_in_another_colour_stays(
    colour: tuple[int, int, int], paper: str, size: int, verdict: str, threshold: float, worn: bool
) -> None:
    source, target = (page(line, colour, paper, size) for line in (None, 4))
    result = degraded(target, 3) if worn else target
    kept = keep_unedited(from_pil(source), from_pil(result), threshold=threshold)
    changed = (from_pil(target) - from_pil(source)).abs().amax(-1) > 0.1
    assert kept.verdicts == (("local" if threshold else verdict),)
    assert float((kept.mask[changed] < 0.1).float().mean()) < 0.02
    if kept.verdicts == ("local",):
        assert float((kept.image - from_pil(source))[~changed].abs().gt(STEP).float().mean()) < 0.1


@pytest.mark.parametrize(("colour", "drift"), [((255, 255, 255), 0.06), ((255, 255, 255), 0.02), ((0, 0, 0), -0.06)])
def test_white_and_black_that_a_drift_cannot_pass_stay(colour: tuple[int, int, int], drift: float) -> None:
    edited = photograph()
    ImageDraw.Draw(edited).rectangle((200, 120, 330, 260), fill=colour)
    kept = keep_unedited(from_pil(photograph()), (from_pil(edited) + drift).clamp(0, 1))
    assert kept.verdicts == ("local",)
    inside = kept.image[0, 125:255, 205:325]
    assert torch.equal(inside, torch.full_like(inside, colour[0] / 255))


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("what", ["grey", "mirrored", "long"])
def test_what_looks_like_itself_when_turned_is_not_turned(what: str, noise: float) -> None:
    half = from_pil(photograph(size=(256, 384)))
    source = {
        "grey": torch.full((1, 384, 512, 3), 0.5),
        "mirrored": torch.cat((half, half.flip(2)), 2),
        "long": from_pil(photograph(size=(1024, 8))),
    }[what]
    result = (source + noise * torch.randn(source.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    kept = keep_unedited(source, result)
    assert kept.verdicts == ("local",)
    assert torch.equal(kept.image, source) and float(kept.mask.max()) == 0.0
