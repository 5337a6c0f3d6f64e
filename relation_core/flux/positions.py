"""Position ids: source tokens share the positions of the target (position-encoding cloning, paper, section 3.3)."""

from __future__ import annotations

import torch
from einops import rearrange


def source_positions(target_ids: torch.Tensor, target_grid: tuple[int, int], grid: tuple[int, int]) -> torch.Tensor:
    """Give the tokens of a source picture the position ids of the places they correspond to in the target.

    On equal grids these are the target's ids, as the authors clone them. On another grid the ids are
    spread so that the corners, and every corresponding place between them, still share a position.

    Args:
        target_ids: (B, rows * columns of the target, axes) float.
        target_grid: rows and columns of the target's tokens.
        grid: rows and columns of the source's tokens.

    Returns:
        (B, rows * columns of the source, axes).
    """
    if grid == target_grid:
        return target_ids
    ids = rearrange(target_ids, "b (r c) a -> b r c a", r=target_grid[0])
    down, across = (torch.linspace(0.0, 1.0, side, device=ids.device) for side in grid)
    # Ids grow evenly along rows and columns, so the corners say it all.
    left = torch.lerp(ids[:, None, 0, 0], ids[:, None, -1, 0], down[:, None])  # (B, rows, axes)
    right = torch.lerp(ids[:, None, 0, -1], ids[:, None, -1, -1], down[:, None])
    spread = torch.lerp(left[:, :, None], right[:, :, None], across[:, None])
    return rearrange(spread, "b r c a -> b (r c) a")
