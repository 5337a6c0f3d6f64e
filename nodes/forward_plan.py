"""What the relation does in one call of the model, decided before the blocks run.

Axes: B rows of the batch. A grid is rows and columns of tokens.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from .source_conditioning import Prompts

Grid = tuple[int, int]


@dataclass
class ForwardPlan:
    """One call of the model."""

    positive: list[slice]
    """Rows of the batch with positive conditioning."""
    active: bool
    """Whether the relation acts at this noise level."""
    target: Grid
    sources: list[tuple[slice, list[tuple[slice, Grid]]]]
    """Rows, and for them the tokens and the grid of every source, counted from the first image token."""
    mask: torch.Tensor | None
    """(B or 1, image tokens, 1): share of the relation that every image token takes."""
    results: list[torch.Tensor] = field(default_factory=list)
    """What the running block takes from the exemplars, one for every slice of ``positive``: (B, L, H * d)."""
    reached: bool = False
    """Whether the model called the hooks."""


def plan_forward(
    x: torch.Tensor,
    references: list[torch.Tensor],
    patch: int,
    places: list[int],
    entries: list[uuid.UUID | None],
    prompts: Prompts,
    mask: torch.Tensor | None,
    active: bool,
) -> ForwardPlan:
    """Plan a call of the model.

    Args:
        x: (B, channels, height, width), the noisy latents of all conditioning entries.
        references: reference latents, each of B rows.
        patch: side of a token in latent pixels.
        places: for every entry, its list's place among those that the guider runs (0 is the positive one).
        entries: for every entry, its id.
        prompts: what is known of the ids.
        mask: (masks, height, width) over the target, or None.
        active: whether the relation acts at this noise level.
    """
    size = x.shape[0] // len(places)
    target, *grids = (_grid(latent, patch) for latent in (x, *references))
    positive, sources = [], []
    for index, (place, entry) in enumerate(zip(places, entries, strict=True)):
        if prompts.is_negative(entry, place):
            continue
        rows = slice(index * size, (index + 1) * size)
        positive.append(rows)
        sources.append((rows, _source_tokens(target, grids, prompts.sources_of(entry, len(grids)))))
    return ForwardPlan(
        positive=_merged(positive),
        active=active,
        target=target,
        sources=sources,
        mask=None if mask is None else _token_mask(mask, [target, *grids], x, size),
    )


def _grid(latent: torch.Tensor, patch: int) -> Grid:
    rows, columns = (-(-side // patch) for side in latent.shape[-2:])
    return rows, columns


def _source_tokens(target: Grid, references: list[Grid], ours: tuple[int, ...]) -> list[tuple[slice, Grid]]:
    sources, start = [], target[0] * target[1]
    for place, grid in enumerate(references):
        end = start + grid[0] * grid[1]
        if place in ours:
            sources.append((slice(start, end), grid))
        start = end
    return sources


def _merged(rows: list[slice]) -> list[slice]:
    merged: list[slice] = []
    for part in rows:
        start = merged.pop().start if merged and merged[-1].stop == part.start else part.start
        merged.append(slice(start, part.stop))
    return merged


def _token_mask(mask: torch.Tensor, grids: list[Grid], x: torch.Tensor, size: int) -> torch.Tensor:
    """Average a mask over every token of the target and of each reference."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(x.device, x.dtype).clamp(0, 1)
    tokens = torch.cat([F.adaptive_avg_pool2d(mask, grid).flatten(1) for grid in grids], dim=1).unsqueeze(-1)
    if tokens.shape[0] == 1:
        return tokens
    pictures = tokens.repeat(-(-size // tokens.shape[0]), 1, 1)[:size]
    return pictures.repeat(x.shape[0] // size, 1, 1)
