"""Finds what separates the halves of a side-by-side picture: a thin line, or a wide gutter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

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
_WIDEST_LINE = 0.02
"""Share of the width up to which a separator is a line; above it is a gutter."""
_SHEET = 0.75
"""Share of the separator's width from which on equal colours at the edges are a sheet's margin."""
_WIDEST_GUTTER = 0.15
"""Share of the width up to which a band of one colour may be a gutter."""


@dataclass(frozen=True)
class Separator:
    """Columns ``start`` to ``end`` (exclusive) between the halves, and the margins around both."""

    start: int
    end: int
    margins: tuple[int, int, int] = (0, 0, 0)
    """Pixels at the left and at the right, at the top, at the bottom, that belong to neither half."""
    certain: bool = True
    """Whether it cannot be a part of the halves."""

    def centred(self, width: int) -> bool:
        """Tell whether it lies in the middle of a picture, but for what JPEG blurs."""
        return abs(self.start + self.end - width) <= max(4, width // 100)

    def balanced(self, width: int) -> bool:
        """Tell whether it takes as much of one half as of the other, but for the 2 columns that JPEG blurs."""
        return abs(self.start + self.end - width) <= 2

    def between_frames(self, width: int) -> bool:
        """Tell whether it is what lies in the middle of a band, apart from the frames of the halves."""
        return abs(self.start + self.end - width) <= max(1, (self.end - self.start) // 4) and self.start < self.end

    def off_centre(self, width: int) -> bool:
        """Tell whether it lies beside the middle of a picture, so that the halves are unequal."""
        return abs(self.start + self.end - width) > 2 * (self.end - self.start)


def find_separator(picture: Image.Image) -> tuple[Separator | None, bool]:
    """Find the line or gutter between the halves of an RGB picture, and whether there may be one.

    A line is uniform from top to bottom, at most 2 % of the width (at least 4 pixels) wide, and bounded by something
    else on both sides. A gutter is wider, up to 15 %, and reaches the middle; the picture changes at once on both of
    its sides, and is not framed in its colour. If it is, the frames belong to the halves if they are half as wide as
    the separator, and are the margin of a sheet if they are as wide or wider.

    A band that reaches the middle otherwise is uncertain: it may separate the halves, or be a part of one.

    Returns:
        The separator, or None where the halves touch; whether columns of one colour, 3 or more, reach the middle,
        whatever they are.
    """
    width = picture.width
    for_lines = max(int(width * _OFF_CENTRE), _widest_line(width)) + _widest_line(width)
    for_gutters = int(width * _WIDEST_GUTTER) + 4
    strip = _Strip.of(picture, max(for_lines, for_gutters))
    around = strip.within(for_gutters)
    return _find_line(picture, strip.within(for_lines)) or _find_gutter(picture, around), around.has_band()


def _find_line(picture: Image.Image, strip: _Strip) -> Separator | None:
    width = picture.width
    most = _widest_line(width)
    found: list[Separator] = []
    for run in strip.runs():
        if run[1] - run[0] <= most:
            line = strip.with_blur(run)
            if _is_line(line, width) and (strip.stands_out(run, _BLURRED) or not line.off_centre(width)):
                found.append(line)
    best = min(found, key=lambda line: abs(line.start + line.end - width), default=None)
    if best is None or best.off_centre(width):
        return best
    return _with_margins(best, _margins(picture, strip.colours[best.start - strip.first]))


def _find_gutter(picture: Image.Image, strip: _Strip) -> Separator | None:
    width = picture.width
    for run in strip.runs():
        gutter = strip.with_blur(run)
        wide = gutter.end - gutter.start
        if not _widest_line(width) < wide <= _WIDEST_GUTTER * width or not gutter.start <= width / 2 <= gutter.end:
            continue
        margins, stands_out = _margins(picture, strip.colours[run[0]]), strip.stands_out(run, _TOLERANCE)
        inner = Separator(gutter.start + margins[0], gutter.end - margins[1])
        if inner != gutter and inner.between_frames(width):  # the rest are frames of the halves
            return inner
        if gutter.centred(width):
            return _in_the_middle(gutter, margins, stands_out)
        if stands_out:
            return _beside_the_middle(gutter, margins, width)
    return None


def _in_the_middle(gutter: Separator, margins: tuple[int, int, int, int], stands_out: bool) -> Separator | None:
    wide, margin = gutter.end - gutter.start, min(margins[:2])
    if stands_out and margin >= _SHEET * wide:
        return _with_margins(gutter, margins)
    if margin >= 0.25 * wide:  # each half has a frame, or a background, of its own
        return None
    return replace(gutter, certain=stands_out)


def _beside_the_middle(gutter: Separator, margins: tuple[int, int, int, int], width: int) -> Separator | None:
    wide = gutter.end - gutter.start
    in_after, in_before = 2 * gutter.start >= width - 4, 2 * gutter.end <= width + 4
    outer = margins[1] if in_after else margins[0] if in_before else min(margins[:2])
    if outer >= 0.5 * wide:  # the frame of a half
        return None
    return replace(gutter, certain=not in_after and not in_before)


def _with_margins(separator: Separator, margins: tuple[int, int, int, int]) -> Separator:
    """Take in the margins of a sheet, equal ones on both sides, if there are any."""
    left, right, top, bottom = margins
    margin = min(left, right)
    if margin < _SHEET * (separator.end - separator.start):
        return separator
    return replace(separator, margins=(margin, min(top, margin), min(bottom, margin)))


def _margins(picture: Image.Image, colour: np.ndarray) -> tuple[int, int, int, int]:
    """Count the lines of a colour at the left, right, upper and lower edge."""
    alike = np.abs(np.asarray(picture).astype(np.int16) - colour).max(axis=2) <= _TOLERANCE
    counts: list[int] = []
    for axis in (0, 1):
        other = np.flatnonzero(alike.mean(axis=axis) < _UNIFORM)
        length = alike.shape[1 - axis]
        counts += [int(other[0]), int(length - 1 - other[-1])] if len(other) else [length, length]
    return counts[0], counts[1], counts[2], counts[3]


def _widest_line(width: int) -> int:
    return max(4, int(width * _WIDEST_LINE))


def _is_line(line: Separator, width: int) -> bool:
    """Tell a line from the frame of one half, which ends at the middle.

    A line lies across the middle, or touches it and is at most 2 pixels wide, or lies clearly beside it.
    """
    across = 2 * line.start < width < 2 * line.end
    touching = 2 * line.start <= width <= 2 * line.end and line.end - line.start <= 2
    return across or touching or line.off_centre(width)


@dataclass(frozen=True)
class _Strip:
    """The columns around a picture's middle."""

    middle: int
    """The middle's place in it."""
    first: int
    """Its first column's place in the picture."""
    columns: np.ndarray
    """(height, columns, 3)."""
    colours: np.ndarray
    """(columns, 3)."""
    uniform: np.ndarray
    """Truth values, of every column."""

    @classmethod
    def of(cls, picture: Image.Image, reach: int) -> _Strip:
        """Take the columns up to ``reach`` from the middle."""
        middle = picture.width // 2
        first, last = max(middle - reach, 0), min(middle + reach, picture.width)
        columns = np.asarray(picture.crop((first, 0, last, picture.height))).astype(np.int16)
        colours = np.median(columns, axis=0)
        uniform = (np.abs(columns - colours).max(axis=2) <= _TOLERANCE).mean(axis=0) >= _UNIFORM
        return cls(middle - first, first, columns, colours, uniform)

    def within(self, reach: int) -> _Strip:
        """Give the part up to ``reach`` from the middle."""
        start = max(self.middle - reach, 0)
        part = slice(start, self.middle + reach)
        columns, colours, uniform = self.columns[:, part], self.colours[part], self.uniform[part]
        return _Strip(self.middle - start, self.first + start, columns, colours, uniform)

    def has_band(self) -> bool:
        """Tell whether columns of one colour, 3 or more, reach the middle."""
        return any(start - 2 <= self.middle <= end + 2 and end - start > 2 for start, end in self.runs())

    def runs(self) -> list[tuple[int, int]]:
        """Neighbouring uniform columns of one colour that do not reach the strip's ends, counted from its first."""
        runs: list[tuple[int, int]] = []
        for column in np.flatnonzero(self.uniform).tolist():
            alike = np.abs(self.colours[column] - self.colours[max(column - 1, 0)]).max() <= _TOLERANCE
            if runs and runs[-1][1] == column and alike:
                runs[-1] = (runs[-1][0], column + 1)
            else:
                runs.append((column, column + 1))
        return [run for run in runs if 0 < run[0] < run[1] < len(self.uniform)]

    def with_blur(self, run: tuple[int, int]) -> Separator:
        """Add up to 2 columns on each side that JPEG has mixed with the run's colour."""
        start, end = run
        blurred = self._alike(slice(None), self.colours[start], _BLURRED) >= _UNIFORM
        for _ in range(2):
            start -= int(start > 0 and blurred[start - 1])
            end += int(end < len(blurred) and blurred[end])
        return Separator(self.first + start, self.first + end)

    def stands_out(self, run: tuple[int, int], levels: int) -> bool:
        """Tell whether the colour changes at once by more than ``levels``, but for one blurred column, on both sides.

        Smooth pictures have uniform columns of their own, but there it changes slowly.
        """
        beside = [column for column in (run[0] - 2, run[1] + 1) if 0 <= column < self.columns.shape[1]]
        return len(beside) == 2 and bool((self._alike(beside, self.colours[run[0]], levels) <= _MOST_ALIKE).all())

    def _alike(self, columns: slice | list[int], colour: np.ndarray, levels: int) -> np.ndarray:
        return (np.abs(self.columns[:, columns] - colour).max(axis=2) <= levels).mean(axis=0)
