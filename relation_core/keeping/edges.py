"""What became of the source's edges: kept, clearly edited, or moved a little.

A filter, a small shift or large pixels change a flat drawing at its edges alone, and a little at most of them. A local
edit replaces some edges and leaves the others, which an autoencoder, noise and JPEG hardly move. So the difference near
every edge is measured beside the contrast there, in pictures blurred enough that softening counts for little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .windows import cell_mean, contrast, window_mean

_PASSES = 4
"""Times that both pictures are averaged over windows of three pixels."""
_REACH = 3
"""Radius of the windows that difference and contrast are compared over."""
_DETAIL = 0.06
"""Contrast, of 1, from which on a cell has an edge; less counts as this where a difference is compared with it."""
_KEPT, _EDITED = 0.1, 0.5
"""Squared difference over squared contrast: a kept edge stays below, an edited one above."""
_OF_KEPT, _OF_EDITED = 0.3, 0.08
"""Edges that moved a little, over those that are kept and over what is edited: a local edit has fewer, along its
outline."""
_OF_ALL, _SCATTERED = 0.05, 0.065
"""Edges that moved a little, over all edges; and that share times the one over what is edited. Above both, they are
no outline of it either."""
_ENOUGH = 8
"""Cells."""


@dataclass(frozen=True)
class Edges:
    """Numbers of cells."""

    kept: int
    """Whose edge is the source's."""
    moved: int
    """Whose edge is neither kept nor clearly edited."""
    edited: int
    """Clearly edited, whether the source has an edge there or not."""
    all: int
    """With an edge in the source."""

    @property
    def move_everywhere(self) -> bool:
        """Whether more edges moved a little than a local edit explains."""
        if self.all <= _ENOUGH:
            return False
        scattered = self.moved > _OF_ALL * self.all and self.moved**2 > _SCATTERED * self.all * self.edited
        many = self.moved > _OF_KEPT * self.kept and self.moved > _OF_EDITED * self.edited
        return scattered or many


def compare_edges(source: torch.Tensor, result: torch.Tensor, side: int) -> Edges:
    """Count what became of the source's edges.

    Args:
        source: (3, height, width) in [0, 1].
        result: likewise, without its drift.
        side: of a cell, in pixels.
    """
    for _ in range(_PASSES):
        source, result = window_mean(source, 1), window_mean(result, 1)
    squares = (result - source).square().mean(0, keepdim=True)
    own = cell_mean(contrast(source, _REACH).square()[None], side)
    change = cell_mean(window_mean(squares, _REACH), side) / own.clamp_min(_DETAIL**2)
    edge = own > _DETAIL**2
    kept, edited = change < _KEPT, change >= _EDITED
    counts = (edge & kept, edge & ~kept & ~edited, edited, edge)
    return Edges(*(int(each.sum()) for each in counts))
