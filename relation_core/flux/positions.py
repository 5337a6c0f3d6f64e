"""Position ids: source tokens share the positions of the target (position-encoding cloning, paper, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange

Grid = tuple[int, int]
"""Rows and columns of tokens."""


@dataclass(frozen=True)
class Window:
    """Where the target lies in the whole picture, in tokens, when the target is only a part of it."""

    whole: Grid
    """The whole picture's tokens."""
    top: int
    left: int


def source_positions(
    target_ids: torch.Tensor, target_grid: Grid, grid: Grid, window: Window | None = None
) -> torch.Tensor:
    """Give every token of a source picture the position ids of the corresponding place in the target.

    On equal grids these are the target's ids, as the authors clone them. On another grid the ids are spread so that the
    corners, and every corresponding place between them, still share a position. If the target is a part of the picture,
    the rest of the source lies around it.

    Args:
        target_ids: (B, rows * columns of the target, axes) float; the last two axes are row and column.
        target_grid: the target's tokens.
        grid: the source's tokens.
        window: where the target lies in the picture; None if it is the whole picture.

    Returns:
        (B, rows * columns of the source, axes).
    """
    if grid == target_grid and window is None:
        return target_ids
    window = window or Window(target_grid, 0, 0)
    ids = rearrange(target_ids.float(), "b (r c) a -> b r c a", r=target_grid[0])
    down = _steps(grid[0], window.whole[0], window.top, ids)[:, None, None]
    across = _steps(grid[1], window.whole[1], window.left, ids)[:, None]
    row_step = _step(ids[:, 0, 0], ids[:, -1, 0], target_grid[0], axis=-2)[:, None, None]
    column_step = _step(ids[:, 0, 0], ids[:, 0, -1], target_grid[1], axis=-1)[:, None, None]
    spread = ids[:, :1, :1] + down * row_step + across * column_step  # (B, rows, columns, axes)
    return rearrange(spread, "b r c a -> b (r c) a").to(target_ids.dtype)


def _steps(tokens: int, whole: int, offset: int, like: torch.Tensor) -> torch.Tensor:
    """The distance of each source token from the target's first token, in target tokens."""
    return torch.linspace(0.0, whole - 1.0, tokens, device=like.device) - offset


def _step(first: torch.Tensor, last: torch.Tensor, tokens: int, axis: int) -> torch.Tensor:
    """The step of an id (B, axes) from one token to the next; the steps are even."""
    if tokens > 1:
        return (last - first) / (tokens - 1)
    step = torch.zeros_like(first)
    step[:, axis] = 1.0
    return step
