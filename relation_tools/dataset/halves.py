"""Splits a side-by-side picture into before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from relation_core.errors import ExemplarError

SMALLEST = 8
"""Pixels that a half must have in each direction."""
_TOLERANCE = 24
"""Levels of 255 by which pixels of one line may differ; JPEG blurs a thin line into its surroundings."""
_BLURRED = 64
"""Levels by which a blurred column beside a line differs from it."""
_UNIFORM = 0.98
"""Share of a column's pixels that must lie within the tolerance."""
_MOST_ALIKE = 0.5
"""Share of the pixels beside a line, away from the middle, that may have its colour."""
_OFF_CENTRE = 0.1
"""Share of the width, to each side of the middle, in which a line is looked for."""
_MOST_UNEQUAL = 0.25
"""Share of the wider half by which the halves may differ in width."""


@dataclass(frozen=True)
class Halves:
    """A picture's halves, of one size."""

    before: Image.Image
    after: Image.Image
    notes: tuple[str, ...]


def split_halves(picture: Image.Image) -> Halves:
    """Split an RGB picture at its separating line, or else in the middle.

    The middle column of an odd width is dropped. A line counts as a separator where it is uniform from top to bottom,
    at most 2% of the width (at least 4 pixels) wide, and bounded by something else on both sides. At the middle it is
    dropped, together with as much of the other half as keeps both equal. Beside the middle, where it must stand out
    from what borders on it, it makes unequal halves: the half after it is resized to the half before.

    Raises:
        ExemplarError: the picture is too small, or its halves differ in width by more than a quarter.
    """
    width, height = picture.size
    if width < 2 * SMALLEST or height < SMALLEST:
        raise ExemplarError(f"it is {width}x{height} pixels; expected at least {2 * SMALLEST}x{SMALLEST}")
    notes: list[str] = []
    left, right = width // 2, width - width // 2
    line = _separating_line(picture)
    if line is not None:
        left, right = line if _off_centre(line, width) else _symmetric(line, width)
        notes.append(f"a separating line at columns {line[0]} to {line[1] - 1} was dropped")
    elif width % 2:
        notes.append(f"the width {width} is odd; the middle column was dropped")
    before, after = picture.crop((0, 0, left, height)), picture.crop((right, 0, width, height))
    if after.width != before.width:
        _check_unequal(before.width, after.width)
        notes.append(f"unequal halves: {before.width} and {after.width} pixels wide; the second was resized")
        after = after.resize(before.size, Image.Resampling.LANCZOS)
    if before.height > 2 * before.width:
        notes.append(f"the halves are {before.width}x{height}: they may lie one above the other")
    if before.tobytes() == after.tobytes():
        notes.append("the halves are identical")
    return Halves(before, after, tuple(notes))


def _check_unequal(before: int, after: int) -> None:
    if min(before, after) < (1 - _MOST_UNEQUAL) * max(before, after) or min(before, after) < SMALLEST:
        raise ExemplarError(f"its halves are {before} and {after} pixels wide, too unequal to be a pair")


def _symmetric(line: tuple[int, int], width: int) -> tuple[int, int]:
    side = min(line[0], width - line[1])
    return side, width - side


def _off_centre(line: tuple[int, int], width: int) -> bool:
    start, end = line
    return abs(start + end - width) > 2 * (end - start)


def _separating_line(picture: Image.Image) -> tuple[int, int] | None:
    """Find the separating line that is nearest to the middle, as its first column and the one after its last."""
    width, height = picture.size
    most = max(4, width // 50)
    reach = max(int(width * _OFF_CENTRE), most)
    first, last = max(width // 2 - reach - most, 0), min(width // 2 + reach + most, width)
    columns = np.asarray(picture.crop((first, 0, last, height))).astype(np.int16)  # (height, columns, 3)
    colours = np.median(columns, axis=0)  # (columns, 3)
    uniform = (np.abs(columns - colours).max(axis=2) <= _TOLERANCE).mean(axis=0) >= _UNIFORM
    runs = [(start, end) for start, end in _runs(uniform, colours) if 0 < start < end < last - first]
    found: list[tuple[int, int]] = []
    for run in runs:
        if run[1] - run[0] <= most:
            blurred = _with_blur(run, columns, colours[run[0]])
            line = (first + blurred[0], first + blurred[1])
            stands_out = _stands_out(run, columns, colours[run[0]])
            if _is_separator(line, width) and (stands_out or not _off_centre(line, width)):
                found.append(line)
    return min(found, key=lambda line: abs(line[0] + line[1] - width), default=None)


def _with_blur(run: tuple[int, int], columns: np.ndarray, colour: np.ndarray) -> tuple[int, int]:
    """Add up to 2 columns on each side that JPEG has mixed with the line's colour."""
    start, end = run
    blurred = (np.abs(columns - colour).max(axis=2) <= _BLURRED).mean(axis=0) >= _UNIFORM
    for _ in range(2):
        start -= int(start > 0 and blurred[start - 1])
        end += int(end < len(blurred) and blurred[end])
    return start, end


def _stands_out(run: tuple[int, int], columns: np.ndarray, colour: np.ndarray) -> bool:
    """Tell whether the colour changes at once, but for one blurred column, on both sides of a line.

    Smooth pictures have uniform columns of their own, but there it changes slowly.
    """
    beside = [column for column in (run[0] - 2, run[1] + 1) if 0 <= column < columns.shape[1]]
    alike = (np.abs(columns[:, beside] - colour).max(axis=2) <= _BLURRED).mean(axis=0)
    return len(beside) == 2 and bool((alike <= _MOST_ALIKE).all())


def _runs(uniform: np.ndarray, colours: np.ndarray) -> list[tuple[int, int]]:
    """Group neighbouring uniform columns of one colour."""
    runs: list[tuple[int, int]] = []
    for column in np.flatnonzero(uniform).tolist():
        if runs and runs[-1][1] == column and np.abs(colours[column] - colours[column - 1]).max() <= _TOLERANCE:
            runs[-1] = (runs[-1][0], column + 1)
        else:
            runs.append((column, column + 1))
    return runs


def _is_separator(run: tuple[int, int], width: int) -> bool:
    """Tell a separator from the frame of one half, which ends at the middle.

    A line lies across the middle, or touches it and is at most 2 pixels wide, or lies clearly beside it.
    """
    start, end = run
    across = 2 * start < width < 2 * end
    touching = 2 * start <= width <= 2 * end and end - start <= 2
    return across or touching or _off_centre(run, width)
