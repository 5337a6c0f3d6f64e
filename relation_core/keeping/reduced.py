"""What is measured of a source and a result before they are compared: smaller pictures, and statistics over cells.

Full-size pictures are read in strips, so that little more than the pictures themselves is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from .windows import cell_mean, window_mean

LONGEST = 512
"""Pixels of the reduced pictures' longer side."""
_CELL, _SMALLEST_CELL = 8, 2
"""Reduced pixels of a cell's side, and in pictures of fewer than 32 such cells a side."""
_CELLS = 32
STRIP = 512
"""Rows that are read at a time."""


@dataclass(frozen=True)
class Reduced:
    """A source and a result, reduced by area averaging."""

    source: torch.Tensor
    """(3, height, width) float32 in [0, 1]."""
    result: torch.Tensor
    factor: int
    """Pixels of the full size for one here."""
    cell: int
    """Pixels here of a cell's side."""
    size: tuple[int, int]
    """Height and width of the full size."""
    detail: torch.Tensor
    """(3, rows, columns): energy of the finest detail at full size, mean over each cell: of the source, of the result,
    and of both (their product)."""


def reduce(source: torch.Tensor, result: torch.Tensor) -> Reduced:
    """Measure two pictures of one size, (height, width, 3) in [0, 1]."""
    height, width = source.shape[:2]
    factor = -(-max(height, width) // LONGEST)
    shorter = -(-min(height, width) // factor)
    cell = max(_SMALLEST_CELL, min(_CELL, shorter // _CELLS))
    before, after, detail = list[torch.Tensor](), list[torch.Tensor](), list[torch.Tensor]()
    for first, last in strips(height, factor * cell):
        pair = [picture[first:last].permute(2, 0, 1).float() for picture in (source, result)]
        before.append(cell_mean(pair[0], factor))
        after.append(cell_mean(pair[1], factor))
        detail.append(cell_mean(_detail(*pair), factor * cell))
    joined = [torch.cat(parts, dim=1) for parts in (before, after, detail)]
    return Reduced(joined[0], joined[1], factor, cell, (height, width), joined[2])


def strips(height: int, multiple: int) -> Iterator[tuple[int, int]]:
    """Divide a height into strips of about ``STRIP`` rows that begin at multiples."""
    rows = multiple * max(1, STRIP // multiple)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _detail(source: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
    """Squares and product of what is finer than three pixels in the two pictures' lightness."""
    fine = [light - window_mean(light, 1) for light in (source.mean(0, True), result.mean(0, True))]
    return torch.cat((fine[0].square(), fine[1].square(), fine[0] * fine[1]))
