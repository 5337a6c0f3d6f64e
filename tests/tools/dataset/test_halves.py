"""Splitting side-by-side pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from relation_core.errors import ExemplarError
from relation_core.pictures.opaque import opaque
from relation_tools.dataset.alignment import find_shift
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
    assert width == 1 or "separator" in halves.notes[0]


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


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (15, 15), (64, 7)])
def test_tiny_pictures_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ExemplarError, match=f"{size[0]}x{size[1]}"):
        split_halves(Image.new("RGB", size))


def test_identical_halves_are_remarked_on() -> None:
    half = np.random.default_rng(18).integers(0, 256, (200, 40, 3), dtype=np.uint8)
    halves = split_halves(joined(half, half))
    assert halves.before.size == (40, 200) and halves.notes == ("the halves are identical",)


DETAILED = Path(__file__).resolve().parents[3] / "pictures" / "coffee.jpg"


def pair(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A photograph, and the same with a local edit and another light."""
    with Image.open(DETAILED) as picture:
        before = ImageOps.fit(picture.convert("RGB"), (width, height))
    after = ImageEnhance.Brightness(before).enhance(0.7)
    after.paste((40, 90, 160), (width // 3, height // 3, width // 2, height // 2))
    return np.asarray(before), np.asarray(after)


def stacked(*parts: np.ndarray) -> Image.Image:
    return Image.fromarray(np.concatenate(parts, axis=0))


def turned(picture: Image.Image) -> Image.Image:
    return picture.transpose(Image.Transpose.TRANSPOSE)


@pytest.mark.parametrize("upright", [False, True], ids=["stacked", "beside"])
@pytest.mark.parametrize("colour", [WHITE, BLACK, RED, (128, 128, 128)])
@pytest.mark.parametrize(("side", "gutter"), [(112, 32), (256, 8), (256, 16), (256, 32), (512, 20), (300, 53)])
def test_a_gutter_is_dropped(side: int, gutter: int, colour: tuple[int, int, int], upright: bool) -> None:
    before, after = pair(side, side)
    before, after = np.maximum(before, 30), np.maximum(after, 30)
    sheet = (
        joined(before, line(gutter, side, colour), after)
        if upright
        else stacked(before, line(side, gutter, colour), after)
    )
    halves = split_halves(sheet)
    along = 1 if upright else 0
    lost = side - np.asarray(halves.before).shape[along]
    assert 0 <= lost <= 2 and halves.before.size == halves.after.size
    kept = np.arange(side - lost)
    assert np.array_equal(halves.before, before.take(kept, along))
    assert np.array_equal(halves.after, after.take(kept + lost, along))
    lines = f"{'columns' if upright else 'rows'} {side - lost} to {side + gutter + lost - 1} was dropped"
    assert any("separator" in note and lines in note for note in halves.notes), halves.notes


@pytest.mark.parametrize("quality", [75, 95])
@pytest.mark.parametrize("gutter", [9, 16, 32])
def test_a_gutter_in_a_jpeg_is_dropped_whole(gutter: int, quality: int) -> None:
    before, after = pair(250, 200)
    halves = split_halves(as_jpeg(joined(before, line(gutter, 200, WHITE), after), quality))
    assert 246 <= halves.before.width == halves.after.width <= 250
    inner = np.asarray(halves.before)[:, -1], np.asarray(halves.after)[:, 0]
    assert all((column > 200).all(axis=1).mean() < 0.5 for column in inner)


@pytest.mark.parametrize("frame", [6, 12, 20])
def test_frames_of_both_halves_belong_to_them(frame: int) -> None:
    before, after = (np.asarray(ImageOps.expand(Image.fromarray(half), frame, WHITE)) for half in pair(200, 180))
    halves = split_halves(joined(before, after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)
    halves = split_halves(joined(pair(200 + 2 * frame, 180 + 2 * frame)[0], after))  # only the edit has a frame
    assert np.array_equal(halves.after, after)


@pytest.mark.parametrize("margin", [10, 24])
@pytest.mark.parametrize("upright", [False, True], ids=["stacked", "beside"])
def test_the_margin_of_a_sheet_is_dropped(margin: int, upright: bool) -> None:
    before, after = pair(256, 200)
    between = line(margin, 200, WHITE) if upright else line(256, margin, WHITE)
    sheet = ImageOps.expand(
        joined(before, between, after) if upright else stacked(before, between, after), margin, WHITE
    )
    halves = split_halves(sheet)
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)
    assert any(f"margin of {margin} pixels" in note for note in halves.notes)


def test_a_gutter_as_dark_as_the_pictures_is_dropped() -> None:
    before, after = (half // 12 for half in pair(256, 256))
    before[np.arange(256) % 5 < 2] += 60  # so that most of each column is black
    after[np.arange(256) % 5 < 2] += 60
    halves = split_halves(joined(before, line(32, 256, BLACK), after))
    lost = 256 - halves.before.width
    assert 0 <= lost <= 2 and np.array_equal(halves.before, before[:, : 256 - lost])
    assert np.array_equal(halves.after, after[:, lost:])


def test_a_gutter_between_unequal_halves_is_dropped() -> None:
    before, after = pair(256, 200)
    halves = split_halves(joined(before, line(30, 200, WHITE), after[:, :226]))
    assert np.array_equal(halves.before, before[:, :226]) and np.array_equal(halves.after, after[:, :226])
    assert halves.notes == ("a separator at columns 256 to 285 was dropped",)


@pytest.mark.parametrize("half", ["before", "after"])
def test_a_band_of_one_half_stays_in_it(half: str) -> None:
    before, after = (one.copy() for one in pair(256, 200))
    (before[:, -30:] if half == "before" else after[:, :30])[:] = 255
    halves = split_halves(joined(before, after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after) and halves.notes == ()


@pytest.mark.parametrize("dark", ["before", "after"])
def test_halves_that_come_out_shifted_are_refused(dark: str) -> None:
    before, after = (half.copy() for half in pair(256, 200))
    if dark == "before":  # its own edge runs into the gutter
        before[:, -24:] = 0
    else:
        after[:, :24] = 0
    with pytest.raises(ExemplarError, match=r"shifted against each other by \d+ pixels.*Cut out what belongs"):
        split_halves(joined(before, line(16, 200, BLACK), after))


@pytest.mark.parametrize("wide", [4, 16])
def test_an_edit_that_shifts_stays_one_beside_a_separator_in_the_middle(wide: int) -> None:
    before = pair(256, 200)[0]
    after = np.roll(before, 9, axis=1)
    halves = split_halves(joined(before, line(wide, 200, RED), after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)


@pytest.mark.parametrize("by", [-20, -3, 0, 2, 17])
def test_a_shift_is_found(by: int) -> None:
    wide = Image.fromarray(pair(300, 200)[0])
    assert find_shift(wide.crop((30, 0, 270, 200)), wide.crop((30 - by, 0, 270 - by, 200))) == by


@pytest.mark.parametrize("size", [(192, 128), (256, 256), (160, 90), (400, 180), (90, 200)])
def test_a_pair_one_above_the_other_is_found(size: tuple[int, int]) -> None:
    before, after = pair(*size)
    sheet = stacked(before, after)
    halves = split_halves(sheet)
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)
    assert "the halves lie one above the other" in halves.notes
    across = split_halves(turned(sheet))
    assert np.array_equal(turned(across.before), before) and np.array_equal(turned(across.after), after)


def test_wide_strips_one_above_the_other_are_refused() -> None:
    with pytest.raises(ExemplarError, match=r"300x200 pixels.*Put them side by side"):
        split_halves(stacked(*pair(300, 100)))


def test_a_square_that_tells_nothing_is_refused() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    with pytest.raises(ExemplarError, match=r"128x128 pixels; left and right correlate by"):
        split_halves(Image.fromarray(noise))


def test_a_separator_tells_how_a_square_lies() -> None:
    before, after = photo(100, 208, 31), photo(100, 208, 32)
    halves = split_halves(joined(before, line(8, 208, WHITE), after))
    assert np.array_equal(halves.before, before) and np.array_equal(halves.after, after)
    halves = split_halves(turned(joined(before, line(8, 208, WHITE), after)))
    assert np.array_equal(turned(halves.before), before) and np.array_equal(turned(halves.after), after)


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
