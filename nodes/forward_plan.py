"""The plan of one call of the model, made before its blocks run.

Axes: B rows of the batch. A grid is rows and columns of tokens.
"""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ..relation_core.errors import ModelMismatchError
from ..relation_core.flux.positions import Grid, Window
from .crops import token_grid, token_shares
from .held_context import holding
from .model_check import check_whole
from .source_conditioning import Prompts


@dataclass(frozen=True)
class Sources:
    """The sources of some rows."""

    rows: slice
    tokens: list[tuple[slice, Grid]]
    """The tokens and the grid of every source, counted from the first image token."""
    window: Window | None
    """Where the target lies in the picture; None for the whole picture."""


@dataclass
class ForwardPlan:
    """One call of the model."""

    positive: list[slice]
    """Rows of the batch with positive conditioning."""
    active: bool
    """Whether the relation acts at this noise level."""
    target: Grid
    sources: list[Sources]
    mask: torch.Tensor | None
    """(B or 1, image tokens, 1): how much of the relation every image token gets."""
    results: list[torch.Tensor] = field(default_factory=list)
    """What the running block adds from the exemplars, for every slice of ``positive``: (B, L, H * d)."""
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
        places: for every entry, the place of its list among those that the guider runs (0 is the positive one).
        entries: for every entry, its id.
        prompts: what is known about these ids.
        mask: (masks, height, width) over the whole picture, or None.
        active: whether the relation acts at this noise level.

    Raises:
        ModelMismatchError: the model is called on a part of the picture whose place is unknown.
    """
    grids = [token_grid(latent.shape, patch) for latent in (x, *references)]
    windows = [prompts.window_of(entry) for entry in entries]
    sources = _positive_sources(grids, places, entries, prompts, x.shape[0] // len(places))
    if references or mask is not None or x.shape[0] % len(places):
        for entry, place in zip(entries, places, strict=True):
            if not prompts.is_negative(entry, place):
                check_whole(x, len(places), prompts.latent, prompts.size_of(entry))
    return ForwardPlan(
        positive=_merged([source.rows for source in sources]),
        active=active,
        target=grids[0],
        sources=sources,
        mask=None if mask is None else _token_mask(mask, grids, windows, x),
    )


def running(key: str, plan: ForwardPlan) -> AbstractContextManager[None]:
    """Let :func:`plan_of` find a plan while its forward runs."""
    return holding(_PLANS, {**_PLANS.get(), key: plan})


def plan_of(key: str) -> ForwardPlan:
    """Give the plan that a patch made for the running forward.

    Raises:
        ModelMismatchError: the model was called without ``apply_model``.
    """
    plans = _PLANS.get()
    if key not in plans:
        raise ModelMismatchError(
            "The model was called without ComfyUI's `apply_model`, so the relation could not be prepared. Remove the "
            "nodes that replace how the model is called, or remove Apply RelationAdapter."
        )
    return plans[key]


def _positive_sources(
    grids: list[Grid], places: list[int], entries: list[uuid.UUID | None], prompts: Prompts, size: int
) -> list[Sources]:
    """The sources of every positive entry, which has ``size`` rows; ``grids`` are of the target and the references."""
    target, *references = grids
    sources: list[Sources] = []
    for index, (place, entry) in enumerate(zip(places, entries, strict=True)):
        if not prompts.is_negative(entry, place):
            tokens = _source_tokens(target, references, prompts.sources_of(entry, len(references)))
            sources.append(Sources(slice(index * size, (index + 1) * size), tokens, prompts.window_of(entry)))
    return sources


def _source_tokens(target: Grid, references: list[Grid], ours: tuple[int, ...]) -> list[tuple[slice, Grid]]:
    sources: list[tuple[slice, Grid]] = []
    start = target[0] * target[1]
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


def _token_mask(mask: torch.Tensor, grids: list[Grid], windows: list[Window | None], x: torch.Tensor) -> torch.Tensor:
    """Average a mask over every token of the target, which may be a part of the picture, and of each reference."""
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(x.device, x.dtype).clamp(0, 1)
    references = [F.adaptive_avg_pool2d(mask, grid).flatten(1) for grid in grids[1:]]
    shares = {
        window: torch.cat([token_shares(mask, window, grids[0]), *references], dim=1).unsqueeze(-1)
        for window in set(windows)
    }
    if len(shares) == 1 and mask.shape[0] == 1:
        return shares[windows[0]]
    size = x.shape[0] // len(windows)
    return torch.cat([shares[window].repeat(-(-size // mask.shape[0]), 1, 1)[:size] for window in windows])


_PLANS: ContextVar[dict[str, ForwardPlan]] = ContextVar("relation_adapter_plans", default={})  # noqa: B039 - never changed
"""Plans of the running forward, by the key of their patch."""
