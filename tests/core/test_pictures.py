"""Pictures of every kind that users have: grey, with alpha, with broken pixels, of any shape."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from relation_core.errors import ExemplarError
from relation_core.pictures.opaque import opaque
from relation_core.pictures.picture_file import decode_picture
from relation_core.pictures.tensors import check_mask, flatten_alpha, from_pil, preview_pil, to_pil
from relation_core.pictures.thumbnails import pair_thumbnail
from relation_core.vision.exemplar import REGULAR_RATIOS, pad_to_regular_ratio, resize_exemplar, vision_pixels

WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


def one_pixel(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 1, 1, -1)


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        ((0.2,), (51, 51, 51)),
        ((0.2, 1.0), (51, 51, 51)),
        ((0.2, 0.5), (153, 153, 153)),
        ((0.2, 0.0), WHITE),
        ((1.0, 0.6, 0.2), (255, 153, 51)),
        ((1.0, 0.6, 0.2, 1.0), (255, 153, 51)),
        ((1.0, 0.6, 0.2, 0.5), (255, 204, 153)),
        ((1.0, 0.6, 0.2, 0.0), WHITE),
        ((1.5, -0.5, 0.2), (255, 0, 51)),
        ((90.0, 0.6, 0.2), (255, 153, 51)),
    ],
)
def test_a_pixel_of_any_kind_becomes_rgb(pixel: tuple[float, ...], expected: tuple[int, int, int]) -> None:
    (picture,) = to_pil(one_pixel(*pixel))
    assert picture.mode == "RGB"
    assert picture.getpixel((0, 0)) == expected
    flat = flatten_alpha(one_pixel(*pixel))
    assert flat.shape == (1, 1, 1, 3)
    assert flat[0, 0, 0].tolist() == pytest.approx([value / 255 for value in expected])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_batch_stays_a_batch(channels: int) -> None:
    image = torch.rand(3, 5, 7, channels)
    pictures = to_pil(image)
    assert [picture.size for picture in pictures] == [(7, 5)] * 3
    alone = [to_pil(image[index : index + 1])[0] for index in range(3)]
    assert [picture.tobytes() for picture in pictures] == [picture.tobytes() for picture in alone]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_float_dtype(dtype: torch.dtype) -> None:
    image = (torch.arange(12.0).reshape(1, 2, 2, 3) / 11).to(dtype)
    assert flatten_alpha(image).dtype == dtype
    expected = (image.float() * 255).round().to(torch.uint8)[0].numpy()
    assert np.array_equal(np.asarray(to_pil(image)[0]), expected)


NOT_FINITE = (float("nan"), float("inf"), -float("inf"))


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_picture_that_is_not_of_numbers_is_refused(channels: int, value: float) -> None:
    """Black in its place would be a wrong picture."""
    image = torch.rand(2, 5, 7, channels)
    image[1, 4, 6, -1] = value
    with pytest.raises(ExemplarError, match=r"^The picture has NaN or infinite values; expected values from 0 to 1\."):
        to_pil(image)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_whole_numbers_are_refused(dtype: torch.dtype) -> None:
    """Clipped to 1, a picture of 0 to 255 would be white."""
    image = torch.randint(0, 256, (1, 4, 4, 3)).to(dtype)
    with pytest.raises(
        ExemplarError, match=rf"values of {dtype}; expected floating-point numbers.*Divide whole numbers"
    ):
        to_pil(image)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-255, 0), (2, 3), (-1e30, 1e30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_of_another_scale_are_refused(low: float, high: float, dtype: torch.dtype) -> None:
    image = torch.linspace(low, high, 48).reshape(1, 4, 4, 3).to(dtype)
    with pytest.raises(ExemplarError, match=r"values from \S+ to \S+, and most lie far out of range; expected .*Scale"):
        to_pil(image)


def test_bright_lights_are_clipped() -> None:
    image = torch.full((1, 4, 4, 3), 0.6)
    image[0, :2] = 1000.0
    assert [to_pil(image)[0].getpixel((0, row)) for row in (0, 3)] == [WHITE, (153, 153, 153)]


def test_truth_values_are_black_and_white() -> None:
    image = torch.tensor([[True, False]])[None, ..., None]
    assert [to_pil(image)[0].getpixel((column, 0)) for column in (0, 1)] == [WHITE, (0, 0, 0)]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_preview_is_shown_whatever_its_values_are(value: float) -> None:
    """An error would end what is looked at, such as hours of training."""
    (picture,) = preview_pil(torch.tensor([0.2, value, 0.6]).reshape(1, 1, 1, 3))
    assert picture.getpixel((0, 0)) == (51, 255 if value > 0 else 0, 153)


@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (3, 1, 5, 7)])
def test_masks_of_all_forms(shape: tuple[int, ...]) -> None:
    check_mask(torch.rand(shape))
    check_mask(torch.rand(shape) > 0.5)


@pytest.mark.parametrize("shape", [(), (5,), (0, 5, 7), (1, 0, 0), (1, 5, 7, 3), (2, 4, 5, 7), (1, 1, 1, 5, 7)])
def test_what_is_no_mask_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ExemplarError, match=r"Got a mask of shape \(.*\); expected \(batch, height, width\)"):
        check_mask(torch.zeros(shape))


@pytest.mark.parametrize(
    "mask", [torch.ones(1, 5, 7).long(), torch.rand(1, 5, 7).add(9), torch.full((5, 7), torch.inf)]
)
def test_values_that_are_no_masks_are_refused(mask: torch.Tensor) -> None:
    with pytest.raises(ExemplarError, match=r"^The mask has .*; expected"):
        check_mask(mask)


@pytest.mark.parametrize("check", [to_pil, check_mask])
def test_what_is_no_tensor_is_named(check: Callable[[object], object]) -> None:
    for value, kind in ((None, "NoneType"), ([torch.rand(1, 5, 7, 3)], "list")):
        with pytest.raises(ExemplarError, match=f"of type {kind}; expected"):
            check(value)


@pytest.mark.parametrize("shape", [(4, 4, 3), (0, 4, 4, 3), (1, 0, 4, 3), (1, 4, 4, 0), (1, 4, 4, 5), (1, 1, 4, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    message = rf"shape \({', '.join(map(str, shape))}\); expected \(batch, height, width, channels\).*Load Image"
    with pytest.raises(ExemplarError, match=message):
        to_pil(torch.zeros(shape))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_file_can_be_read(mode: str) -> None:
    picture = Image.new("L", (4, 3), 102)
    picture = picture if mode == "L" else picture.convert("I" if mode == "I;16" else mode)
    tensor = from_pil(picture)
    assert (tensor.shape, tensor.dtype) == ((1, 3, 4, 3), torch.float32)
    assert 0 <= tensor.min() <= tensor.max() <= 1
    if mode not in ("1", "I;16"):
        assert tensor.unique().tolist() == pytest.approx([0.4])


@pytest.mark.parametrize("value", [-1, 65_536, 2**31 - 1])
def test_pixels_beyond_16_bits_are_refused(value: int) -> None:
    """Nothing tells their range; clipped, the picture would be white or black."""
    deep = np.full((4, 4), 65_535, np.int32)
    assert opaque(Image.fromarray(deep)).getpixel((3, 3)) == WHITE
    deep[3, 3] = value
    with pytest.raises(ExemplarError, match=f"pixels reach from .*{value}.*; expected whole numbers from 0 to 65535"):
        opaque(Image.fromarray(deep))


def test_reading_and_writing_are_inverse() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    assert to_pil(from_pil(Image.fromarray(pixels)))[0].tobytes() == pixels.tobytes()


def test_alpha_of_a_file_is_composited_on_white() -> None:
    half_red = Image.new("RGBA", (1, 1), (255, 0, 0, 51))
    assert from_pil(half_red).flatten().tolist() == pytest.approx([1, 204 / 255, 204 / 255])


@pytest.mark.parametrize(
    ("mode", "clear", "solid", "shown"),
    [
        ("L", 9, 10, (10, 10, 10)),
        ("RGB", (9, 8, 7), (9, 8, 6), (9, 8, 6)),
        ("I;16", 900, 901, (3, 3, 3)),
        ("P", 0, 1, (4, 5, 6)),
    ],
)
def test_a_transparent_colour_of_a_file_becomes_white(mode: str, clear: Any, solid: Any, shown: Any) -> None:
    picture = Image.new(mode, (2, 1), solid)
    if mode == "P":
        picture.putpalette([1, 2, 3, 4, 5, 6])
    picture.putpixel((0, 0), clear)
    file = BytesIO()
    picture.save(file, "PNG", transparency=clear)
    read = decode_picture(file.getvalue(), "it")
    assert [read.getpixel((x, 0)) for x in range(2)] == [WHITE, shown]


def test_a_transparent_colour_of_16_bits_is_not_taken_for_one_of_8() -> None:
    picture = Image.new("RGB", (1, 1), (0x34, 0x34, 0x34))
    picture.info["transparency"] = (0x1234, 0x1234, 0x1234)  # as Pillow reads it
    assert opaque(picture).getpixel((0, 0)) == (0x34, 0x34, 0x34)


@pytest.mark.parametrize(
    ("size", "padded"),
    [
        ((300, 300), (300, 300)),
        ((300, 290), (300, 300)),
        ((400, 300), (400, 300)),
        ((300, 400), (300, 400)),
        ((1920, 1080), (1920, 1080)),
        ((1080, 1920), (1080, 1920)),
        ((1000, 200), (1000, 562)),
        ((200, 1000), (562, 1000)),
        ((640, 500), (666, 500)),
        ((1, 1000), (562, 1000)),
        ((1, 1), (1, 1)),
    ],
)
def test_padding_is_centred_and_white(size: tuple[int, int], padded: tuple[int, int]) -> None:
    picture = pad_to_regular_ratio(Image.new("RGB", size, RED))
    assert picture.size == padded
    left, top = (padded[0] - size[0]) // 2, (padded[1] - size[1]) // 2
    expected = Image.new("RGB", padded, WHITE)
    expected.paste(RED, (left, top, left + size[0], top + size[1]))
    assert picture.tobytes() == expected.tobytes()


def test_padding_never_cuts() -> None:
    pick = np.random.default_rng(1)
    for width, height in pick.integers(1, 700, (300, 2)).tolist():
        padded = pad_to_regular_ratio(Image.new("RGB", (width, height), RED))
        assert padded.width >= width and padded.height >= height
        assert padded.getcolors(2) is not None
        assert {colour: count for count, colour in padded.getcolors(2) or ()}[RED] == width * height
        ratio = min(abs(padded.width - padded.height * a / b) for a, b in REGULAR_RATIOS)
        assert ratio < 2, (width, height)


def test_exemplars_get_a_long_side_of_512() -> None:
    pick = np.random.default_rng(2)
    for width, height in [(1, 1), (1, 900), (3000, 20), *pick.integers(1, 900, (60, 2)).tolist()]:
        picture = Image.new("RGB", (width, height), RED)
        assert max(resize_exemplar(picture, "pad").size) == 512
        stretched = resize_exemplar(picture, "stretch")
        assert max(stretched.size) == 512
        assert stretched.getcolors() == [(stretched.width * stretched.height, RED)]


def test_stretch_adds_no_white() -> None:
    wide = Image.new("RGB", (1000, 200), RED)
    assert (vision_pixels([resize_exemplar(wide, "pad")], 28)[0, 1] > -1.0).any()
    stretched = vision_pixels([resize_exemplar(wide, "stretch")], 28)[0]
    assert stretched.flatten(1).unique(dim=1).tolist() == [[1.0], [-1.0], [-1.0]]


def test_pictures_of_mixed_sizes_make_one_batch() -> None:
    pictures = [Image.new("RGB", size, RED) for size in ((10, 300), (64, 64), (501, 33))]
    pixels = vision_pixels(pictures, 56)
    assert (pixels.shape, pixels.dtype) == ((3, 3, 56, 56), torch.float32)
    assert torch.equal(pixels[0], pixels[1]) and torch.equal(pixels[1], pixels[2])


@pytest.mark.parametrize(
    ("size", "box"), [((300, 300), (0, 0, 128, 128)), ((256, 64), (0, 48, 128, 80)), ((10, 1000), (63, 0, 64, 128))]
)
def test_thumbnails_show_both_pictures_whole(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    sheet = pair_thumbnail(Image.new("RGB", size, RED), Image.new("RGB", size, BLUE))
    assert (sheet.shape, sheet.dtype) == ((1, 128, 256, 3), torch.uint8)
    expected = Image.new("RGB", (256, 128), WHITE)
    expected.paste(RED, box)
    expected.paste(BLUE, (box[0] + 128, box[1], box[2] + 128, box[3]))
    assert Image.fromarray(sheet[0].numpy()).tobytes() == expected.tobytes()
