"""Splitting side-by-side pictures."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from relation_core.errors import ExemplarError
from relation_core.pictures.opaque import opaque
from relation_tools.dataset.halves import split_halves

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (200, 10, 10)


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """A smooth picture without uniform columns, (height, width, 3)."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BICUBIC))


def joined(*parts: np.ndarray) -> Image.Image:
    return Image.fromarray(np.concatenate(parts, axis=1))


def line(width: int, height: int, colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, dtype=np.uint8), (height, width, 3))


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("size", [(8, 8), (64, 64), (100, 37), (512, 512)])
def test_even_widths_are_cut_in_the_middle(size: tuple[int, int]) -> None:
    before, after = photo(*size, 1), photo(*size, 2)
    halves = split_halves(joined(before, after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)
    assert halves.notes == ()


def test_the_middle_column_of_an_odd_width_is_dropped() -> None:
    before, after, middle = photo(64, 48, 1), photo(64, 48, 2), photo(1, 48, 3)
    halves = split_halves(joined(before, middle, after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)
    assert "odd" in halves.notes[0]


@pytest.mark.parametrize("colour", [WHITE, BLACK, RED])
@pytest.mark.parametrize("width", [1, 2, 3, 4, 7, 10])
def test_a_separating_line_is_dropped(width: int, colour: tuple[int, int, int]) -> None:
    before, after = photo(256, 200, 4), photo(256, 200, 5)
    halves = split_halves(joined(before, line(width, 200, colour), after))
    lost = 256 - halves.before.width
    assert halves.before.size == halves.after.size and 0 <= lost <= 2
    assert np.array_equal(halves.before, before[:, : 256 - lost])
    assert np.array_equal(halves.after, after[:, lost:])
    assert width == 1 or "separating line" in halves.notes[0]


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("width", [3, 6])
def test_a_separating_line_in_a_jpeg_is_dropped_whole(width: int, quality: int) -> None:
    before, after = photo(250, 200, 6) // 2, photo(250, 200, 7) // 2
    halves = split_halves(as_jpeg(joined(before, line(width, 200, WHITE), after), quality))
    assert 246 <= halves.before.width == halves.after.width <= 250
    assert np.asarray(halves.before)[:, -1].mean() < 160 and np.asarray(halves.after)[:, 0].mean() < 160


def test_white_backgrounds_are_no_line() -> None:
    before, after = photo(100, 90, 8).copy(), photo(100, 90, 9).copy()
    before[:, 80:], after[:, :20] = 255, 255
    halves = split_halves(joined(before, after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)


def test_frames_of_the_halves_are_no_line() -> None:
    before, after = photo(300, 200, 10).copy(), photo(300, 200, 11)
    before[:, -5:] = 0
    halves = split_halves(joined(before, after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)


def test_a_pole_that_does_not_reach_the_top_is_no_line() -> None:
    before, after = photo(300, 200, 12).copy(), photo(300, 200, 13).copy()
    before[20:, -2:], after[20:, :2] = 0, 0
    assert split_halves(joined(before, after)).before.width == 300


def test_unequal_halves_are_made_equal_and_reported() -> None:
    before, after = photo(260, 200, 14), photo(230, 200, 15)
    halves = split_halves(joined(before, line(4, 200, WHITE), after))
    assert halves.before.size == halves.after.size == (260, 200)
    assert np.array_equal(halves.before, before)
    expected = Image.fromarray(after).resize((260, 200), Image.LANCZOS)
    assert np.abs(np.asarray(expected, dtype=int) - np.asarray(halves.after, dtype=int)).mean() < 1
    assert any("260 and 230" in note for note in halves.notes)


@pytest.mark.parametrize("slope", [8, 16, 20, 25])
@pytest.mark.parametrize("place", [86, 116])
def test_uniform_columns_of_a_smooth_picture_are_no_line(place: int, slope: int) -> None:
    sheet = np.asarray(joined(photo(100, 64, 20), photo(100, 64, 21))).astype(int)
    for offset in range(-8, 9):  # at the place all rows have one grey; from there they part
        sheet[:, place + offset] = np.where(np.arange(64) % 2, 128 + slope * offset, 128 - slope * offset)[:, None]
    halves = split_halves(Image.fromarray(sheet.clip(0, 255).astype(np.uint8)))
    assert halves.before.width == 100 and halves.notes == ()


def test_halves_that_are_too_unequal_are_refused() -> None:
    with pytest.raises(ExemplarError, match="too unequal"):
        split_halves(joined(photo(290, 200, 16), line(4, 200, WHITE), photo(210, 200, 17)))


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (15, 64), (64, 7)])
def test_tiny_pictures_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ExemplarError, match=f"{size[0]}x{size[1]}"):
        split_halves(Image.new("RGB", size))


def test_identical_and_upright_halves_are_remarked_on() -> None:
    half = photo(40, 200, 18)
    notes = split_halves(joined(half, half)).notes
    assert any("identical" in note for note in notes) and any("above the other" in note for note in notes)


def test_every_mode_becomes_rgb() -> None:
    grey = np.arange(256, dtype=np.uint8)[None].repeat(4, axis=0)
    expected = np.repeat(grey[..., None], 3, axis=2)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    for picture in (
        Image.fromarray(grey),
        deep,
        Image.fromarray(grey.astype(np.int32) * 257),
        Image.fromarray(expected),
    ):
        assert np.array_equal(opaque(picture), expected), picture.mode
    clear = Image.fromarray(np.dstack([expected, np.zeros_like(grey)]))
    assert np.asarray(opaque(clear)).min() == 255
    palette = Image.fromarray(expected).quantize(256)
    assert np.abs(np.asarray(opaque(palette), dtype=int) - expected).max() <= 2
    with pytest.raises(ExemplarError, match="floating"):
        opaque(Image.fromarray(grey.astype(np.float32)))
