"""Relation attention: the model's queries look at the exemplars' keys and values (paper, section 3.2)."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F


class AttentionFunction(Protocol):
    """Scaled dot-product attention over separate heads.

    Takes q (B, H, L, d) and k, v (B, H, T, d), the number of heads H, and a mask that is added to the logits and
    broadcasts to (B, H, L, T). Returns (B, L, H * d).
    """

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Compute attention."""
        ...


def torch_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """PyTorch's own attention as an :class:`AttentionFunction`."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def relation_attention(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    attention: AttentionFunction,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute what one block adds from the exemplars.

    Args:
        query: (B, H, L, d), after the block's query norm and before rotary embedding.
        keys: (H, T, d), or (B, H, T, d) where every row has its own exemplars; RMS-normalised, on the query's device
            and of its dtype.
        values: likewise.
        attention: the host's attention.
        bias: (T,) or (B, T), added to the logits: the logarithm of each token's weight; None when all are equal.

    Returns:
        (B, L, H * d), to be scaled by the strength and added to the block's attention.
    """
    batch, heads = query.shape[:2]
    mask = None if bias is None else bias[..., None, None, :].expand(batch, heads, query.shape[2], -1)
    return attention(query, keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1), heads, mask)
