"""How much of the attention a relation gives, added up while a run samples.

A token's share in one block is ``|r| / (|a| + |r|)``: ``a`` is the block's own attention output, ``r`` what the
relation adds to it (paper, section 3.2), both over all heads. At 0 the relation gives nothing, at 0.5 as much as the
block itself.

Axes: B pictures, L tokens. A block is its kind, "double" or "single", and its number among those of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from ..flux.positions import Grid, Window

Block = tuple[str, int]


def token_shares(own: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Compute shares from the norms (B, L) of a block's own attention and of what the relation adds."""
    return given / (own + given).clamp_min(torch.finfo(given.dtype).tiny)


@dataclass(frozen=True)
class Placed:
    """Where some rows of a call of the model lie in the picture."""

    rows: slice
    """One row for every picture."""
    grid: Grid
    """Rows and columns of target tokens that the call computes."""
    window: Window | None
    """Their place in the picture; None for the whole picture."""


@dataclass(frozen=True)
class WatchedRun:
    """What a finished run showed. Tensors are float32 on the CPU."""

    samples: torch.Tensor
    """(B, channels, height, width): the latents that the run gave."""
    reached: bool
    """Whether a relation was on the model."""
    heat: torch.Tensor
    """(B, rows, columns): every target token's share, averaged over blocks and noise levels; (B, 1, 1) without a
    relation."""
    levels: Sequence[float]
    """Noise levels, in the order of the run."""
    by_level: Mapping[str, Sequence[float]]
    """For every kind of block, the share at each noise level, averaged over blocks and tokens."""
    by_block: Mapping[str, Sequence[float]]
    """For every kind of block, the share in each block, averaged over noise levels and tokens."""

    @property
    def acted(self) -> int:
        """At how many noise levels the relation gave anything."""
        return sum(map(any, zip(*self.by_level.values(), strict=True)))


class ShareRecorder:
    """Adds up the shares of one run."""

    def __init__(self, blocks: Mapping[str, int]) -> None:
        """Begin with nothing.

        Args:
            blocks: how many blocks of each kind the model has.
        """
        self._blocks = blocks
        self._heat: torch.Tensor | None = None
        self._levels: dict[float, list[torch.Tensor]] = {}

    def add(self, level: float, shares: Mapping[Block, torch.Tensor], places: Sequence[Placed]) -> None:
        """Add one call of the model.

        Args:
            level: its noise level.
            shares: (rows of the call, target tokens) of the blocks in which the relation gave anything; maybe none.
            places: which rows have a relation, and where they lie. All have the same grid.
        """
        calls = self._levels.setdefault(level, [])
        if not places:
            return
        rows = max(place.rows.stop for place in places)
        dense = torch.zeros(sum(self._blocks.values()), rows, places[0].grid[0] * places[0].grid[1])
        starts = dict(zip(self._blocks, (0, *self._blocks.values()), strict=False))
        for (kind, index), found in shares.items():
            dense[starts[kind] + index] = found[:rows].float().cpu()
        for place in places:
            part = dense[:, place.rows]
            calls.append(part.mean((1, 2)))
            self._put(cast("torch.Tensor", part.mean(0).unflatten(1, place.grid)), place)

    @property
    def called(self) -> bool:
        """Whether the run has called the model."""
        return bool(self._levels)

    def finish(self, samples: torch.Tensor) -> WatchedRun:
        """Give the averages of a run that has called the model.

        Args:
            samples: (B, channels, height, width): the latents that the run gave.
        """
        count = sum(self._blocks.values())
        table = torch.stack(
            [torch.stack(calls).mean(0) if calls else torch.zeros(count) for calls in self._levels.values()]
        )
        parts = cast("tuple[torch.Tensor, ...]", table.split(list(self._blocks.values()), dim=1))
        kinds = dict(zip(self._blocks, parts, strict=True))
        by_level: dict[str, list[float]] = {kind: part.mean(1).tolist() for kind, part in kinds.items()}
        by_block: dict[str, list[float]] = {kind: part.mean(0).tolist() for kind, part in kinds.items()}
        return WatchedRun(
            samples=samples.detach().float().cpu().clone(),
            reached=self._heat is not None,
            heat=torch.zeros(len(samples), 1, 1) if self._heat is None else self._heat[0] / self._heat[1].clamp_min(1),
            levels=list(self._levels),
            by_level=by_level,
            by_block=by_block,
        )

    def _put(self, part: torch.Tensor, place: Placed) -> None:
        """Add shares (B, rows, columns) at their place; the second half of ``_heat`` counts what was added where."""
        rows, columns = place.grid
        window = place.window or Window(place.grid, 0, 0)
        if self._heat is None:
            self._heat = torch.zeros(2, part.shape[0], *window.whole)
        target = self._heat[..., window.top : window.top + rows, window.left : window.left + columns]
        target += torch.stack([part, torch.ones_like(part)])
