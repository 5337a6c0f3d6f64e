"""Exemplar tokens: what the vision model saw, projected to the model's text width (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange

from .config import RelationConfig
from .progress import Progress

_BLOCK_BYTES = 64 << 20
"""Size in float32 of the rows of the second matrix (4.8 GB of the released adapter's) that are held at once."""


def token_passes(config: RelationConfig) -> int:
    """Number of row blocks that :func:`exemplar_tokens` reports progress in."""
    return -(-config.tokens // _tokens_a_block(config))


def exemplar_tokens(
    pooled: torch.Tensor,
    weights: Mapping[str, torch.Tensor],
    config: RelationConfig,
    device: torch.device | str,
    progress: Progress,
) -> torch.Tensor:
    """Project pooled vision features to exemplar tokens: linear, GELU, linear, layer norm (eps 1e-5).

    Computed in float32. The second matrix is streamed from the mapped file in blocks of rows.

    Args:
        pooled: (pictures, vision_dim), the pooling head's output.
        weights: an adapter's tensors by canonical name.
        config: its sizes.
        device: where to compute.
        progress: called after every block.

    Returns:
        (pictures, tokens, text_dim) float32 on ``device``.
    """

    def weight(name: str) -> torch.Tensor:
        return weights[f"image_proj.{name}"].to(device, torch.float32)

    hidden = F.gelu(F.linear(pooled.to(device, torch.float32), weight("proj.0.weight"), weight("proj.0.bias")))
    rows = _tokens_a_block(config) * config.text_dim
    matrix, bias = weights["image_proj.proj.2.weight"], weight("proj.2.bias")
    flat = hidden.new_empty(hidden.shape[0], matrix.shape[0])  # (pictures, tokens * text_dim)
    for start in range(0, matrix.shape[0], rows):
        block = matrix[start : start + rows].to(device, torch.float32)
        flat[:, start : start + rows] = F.linear(hidden, block, bias[start : start + rows])
        del block
        progress.step()
    tokens = rearrange(flat, "p (n d) -> p n d", n=config.tokens)
    return F.layer_norm(tokens, (config.text_dim,), weight("norm.weight"), weight("norm.bias"), eps=1e-5)


def _tokens_a_block(config: RelationConfig) -> int:
    return max(1, _BLOCK_BYTES // (4 * config.text_dim * config.projection_dim))
