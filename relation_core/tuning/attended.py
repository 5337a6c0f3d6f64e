"""From exemplar tokens to keys and values, with gradients and without keeping the adapter in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from einops import rearrange

from ..adapter.config import RelationConfig
from ..adapter.keys import block_keys
from ..relation.keys_values import KEY_EPS
from ..relation.streaming import Matrix, streamed_product


@dataclass(frozen=True)
class Attended:
    """Keys and values of T exemplar tokens: for every attention block, a tensor (heads, T, head_dim) of each."""

    keys: list[torch.Tensor]
    """RMS-normalised per head."""
    values: list[torch.Tensor]
    bias: torch.Tensor | None
    """(T,) float32: logarithms of the tokens' weights; None where all are equal."""

    def tensors(self) -> list[torch.Tensor]:
        """All keys and values."""
        return [*self.keys, *self.values]

    def cut_off(self) -> Attended:
        """The same values as leaves of a separate graph, which collect gradients."""
        keys, values = ([part.detach().requires_grad_() for part in parts] for parts in (self.keys, self.values))
        return Attended(keys, values, self.bias)


def attended_by_block(
    tokens: torch.Tensor, weights: Mapping[str, Matrix], config: RelationConfig, bias: torch.Tensor | None
) -> Attended:
    """Project tokens to keys and values, as :func:`..relation.keys_values.compute_keys_values` does, differentiably.

    The matrices are constants. They are streamed from the file, here and again in the backward pass.

    Args:
        tokens: (T, text_dim), on the device and in the dtype to compute in.
        weights: an adapter's tensors by canonical name.
        config: its sizes.
        bias: of the tokens.
    """
    keys, values = zip(*_blocks(tokens, weights, config), strict=True)
    return Attended(list(keys), list(values), bias)


def _blocks(
    tokens: torch.Tensor, weights: Mapping[str, Matrix], config: RelationConfig
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for index in range(config.blocks):
        keys, values = (
            rearrange(streamed_product(tokens, weights[name]), "t (h d) -> h t d", h=config.heads)
            for name in block_keys(index)
        )
        exact = keys.float()
        scale = exact.square().mean(-1, keepdim=True).add(KEY_EPS).sqrt()
        yield (exact / scale).to(keys.dtype), values
