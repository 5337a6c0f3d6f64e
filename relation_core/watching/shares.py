"""How much of the attention a relation gives, added up while a run samples.

A token's share in one block is ``|r| / (|a| + |r|)``: ``a`` is the block's own attention output, ``r`` what the
relation adds to it (paper, section 3.2), both over all heads. At 0 the relation gives nothing, at 0.5 as much as the
block itself.

Axes: B pictures, L tokens. A block is its kind, "double" or "single", and its number among those of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock

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
    heat: torch.Tensor | None
    """(B, rows, columns): every target token's share, averaged over blocks and noise levels. None: the model was called
    on parts of pictures whose place is not known."""
    levels: Sequence[float]
    """Noise levels, in the order of the run. Those at which a step cache skipped the model are left out."""
    by_level: Mapping[str, Sequence[float]]
    """For every kind of block, the share at each noise level, averaged over blocks and tokens."""
    by_block: Mapping[str, Sequence[float]]
    """For every kind of block, the share in each block, averaged over noise levels and tokens."""

    @property
    def acted(self) -> int:
        """At how many noise levels the relation gave anything."""
        return sum(map(any, zip(*self.by_level.values(), strict=True)))


class ShareRecorder:
    """Adds up the shares of one run. Threads may share it."""

    def __init__(self, blocks: Mapping[str, int], pictures: int, whole: Grid) -> None:
        """Begin with nothing.

        Args:
            blocks: how many blocks of each kind the model has.
            pictures: of the run.
            whole: rows and columns of tokens of a whole picture.
        """
        self._blocks = blocks
        self._sums, self._counts = torch.zeros(2, pictures, *whole)
        self._placed = True
        self._levels: dict[float, list[torch.Tensor]] = {}
        """What calls with a relation showed: means (blocks) over their tokens."""
        self._other_levels: dict[float, None] = {}
        """Those at which no relation was found on the model, or the model was skipped."""
        self._lock = Lock()

    @torch.no_grad()
    def add(self, level: float, shares: Mapping[Block, torch.Tensor], places: Sequence[Placed]) -> None:
        """Add one call of the model in which a relation was found.

        Args:
            level: its noise level.
            shares: (rows of the call, target tokens) of the blocks in which the relation gave anything; maybe none.
            places: which rows have a relation, and where they lie; maybe none. All have the same grid.
        """
        means: list[torch.Tensor] = []
        parts: list[tuple[torch.Tensor, Placed]] = []
        if places:
            dense = self._dense(shares, max(place.rows.stop for place in places), places[0].grid)
            means = [dense[:, place.rows].mean((1, 2)) for place in places]
            parts = [(dense[:, place.rows].mean(0).reshape(-1, *place.grid), place) for place in places]
        with self._lock:
            self._levels.setdefault(level, []).extend(means)
            for part, place in parts:
                self._put(part, place)

    def pass_over(self, level: float) -> None:
        """Note a call of the model in which no relation was found."""
        with self._lock:
            self._other_levels.setdefault(level)

    @property
    def called(self) -> bool:
        """Whether the run has called the model."""
        return bool(self._levels or self._other_levels)

    def finish(self, samples: torch.Tensor) -> WatchedRun:
        """Give the averages of a run that has called the model.

        Args:
            samples: (B, channels, height, width): the latents that the run gave.
        """
        nothing = [torch.zeros(sum(self._blocks.values()))]
        levels = self._levels or {level: list[torch.Tensor]() for level in self._other_levels}
        table = torch.stack([torch.stack(means or nothing).mean(0) for means in levels.values()])
        kinds = {kind: table[:, start : start + self._blocks[kind]] for kind, start in self._starts().items()}
        return WatchedRun(
            samples=samples.detach().float().cpu().clone(),
            reached=bool(self._levels),
            heat=self._sums / self._counts.clamp_min(1) if self._placed else None,
            levels=list(levels),
            by_level={kind: _floats(part.mean(1)) for kind, part in kinds.items()},
            by_block={kind: _floats(part.mean(0)) for kind, part in kinds.items()},
        )

    def _dense(self, shares: Mapping[Block, torch.Tensor], rows: int, grid: Grid) -> torch.Tensor:
        """Give the shares (blocks, rows, tokens) of all blocks, float32 on the CPU."""
        dense, starts = torch.zeros(sum(self._blocks.values()), rows, grid[0] * grid[1]), self._starts()
        if shares:
            found = torch.stack([one[:rows].float() for one in shares.values()])  # one copy from the device
            dense[[starts[kind] + index for kind, index in shares]] = found.cpu()
        return dense

    def _starts(self) -> dict[str, int]:
        """The number that each kind's first block has among all blocks."""
        return dict(zip(self._blocks, accumulate(self._blocks.values(), initial=0), strict=False))

    def _put(self, part: torch.Tensor, place: Placed) -> None:
        """Add shares (B, rows, columns) at their place; a part of unknown place leaves the run without heat."""
        pictures, rows, columns = part.shape
        window = place.window or Window(place.grid, 0, 0)
        if (pictures, *window.whole) != tuple(self._sums.shape):
            self._placed = False
            return
        for total, added in ((self._sums, part), (self._counts, 1)):
            total[:, window.top : window.top + rows, window.left : window.left + columns] += added


def _floats(values: torch.Tensor) -> list[float]:
    return [float(value) for value in values]
