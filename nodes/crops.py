"""Parts of the picture that ComfyUI samples separately: areas of the conditioning, and bounds of its masks.

Areas have ComfyUI's form: sizes, then offsets, in latent pixels, possibly with further axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import comfy.samplers
import torch
import torch.nn.functional as F

from ..relation_core.flux.positions import Grid, Window

Entry = dict[str, Any]
"""One entry of a guider's conditioning, once the host has resolved percentages and masks."""


def token_grid(shape: Sequence[int], patch: int) -> Grid:
    """Return the rows and columns of the tokens of a latent (..., rows, columns), the last of which may be cut off."""
    return -(-shape[-2] // patch), -(-shape[-1] // patch)


def window_of(entry: Entry, size: Grid, patch: int) -> Window | None:
    """Return where the host's part for an entry lies in the picture, in tokens; None for the whole picture.

    Args:
        entry: with an area that :func:`aligned` gave, or none.
        size: rows and columns of the latent.
        patch: side of a token in latent pixels.
    """
    if "area" not in entry:
        return None
    start, end = _bounds(entry["area"], size)
    if (start, end) == ((0, 0), size):
        return None
    return Window(token_grid(size, patch), start[0] // patch, start[1] // patch)


def size_of(entry: Entry, size: Grid) -> Grid:
    """Return the rows and columns of a latent of this size that the host samples for an entry."""
    if "area" not in entry:
        return size
    (top, left), (bottom, right) = _bounds(entry["area"], size)
    return bottom - top, right - left


def aligned(entry: Entry, latent: torch.Tensor, patch: int) -> Entry:
    """Let the host sample whole tokens for an entry. The area and weights that it then uses stay the same.

    An area that begins or ends inside a token would cut the picture into other tokens than the source's.

    Args:
        entry: of the conditioning; it is not changed.
        latent: (B, channels, rows, columns), of the shape that is sampled.
        patch: side of a token in latent pixels.
    """
    if "area" not in entry:
        return entry
    size = (latent.shape[-2], latent.shape[-1])
    start, end = _bounds(entry["area"], size)
    top, left = (offset // patch * patch for offset in start)
    bottom, right = (min(side, -(-offset // patch) * patch) for offset, side in zip(end, size, strict=True))
    if ((top, left), (bottom, right)) == (start, end):
        return entry
    always = {key: value for key, value in entry.items() if key not in ("timestep_start", "timestep_end")}
    used = comfy.samplers.get_area_and_mult({**always, "model_conds": {}}, latent, latent.new_zeros(1)).mult
    weights = latent.new_zeros(latent.shape[0], *size)
    weights[:, start[0] : end[0], start[1] : end[1]] = used[:, 0]
    area = (bottom - top, right - left, top, left)
    return {**entry, "area": area, "mask": weights, "mask_strength": 1.0, "strength": 1.0}


def token_shares(mask: torch.Tensor, window: Window | None, grid: Grid) -> torch.Tensor:
    """Average a mask of the whole picture over the tokens of the target.

    Args:
        mask: (B, 1, height, width).
        window: where the target lies in the picture; None for the whole picture.
        grid: the target's rows and columns of tokens.

    Returns:
        (B, tokens).
    """
    if window is None:
        return F.adaptive_avg_pool2d(mask, grid).flatten(1)
    whole = F.adaptive_avg_pool2d(mask, window.whole)
    return whole[..., window.top : window.top + grid[0], window.left : window.left + grid[1]].flatten(1)


def _bounds(area: Any, size: Grid) -> tuple[Grid, Grid]:
    """Return an area's first row and column and those after its last, as ``comfy.samplers.get_area_and_mult`` does."""
    top, left = area[len(area) // 2 :][:2]
    return (top, left), (top + min(area[0], size[0] - top), left + min(area[1], size[1] - left))
