"""Exemplar tokens: vision features projected to the model's text width (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange

from ..adapter.config import RelationConfig
from ..progress import Progress
from ..weights.stored_tensor import StoredTensor
from .streaming import streamed_linear


def exemplar_tokens(
    pooled: torch.Tensor,
    weights: Mapping[str, StoredTensor],
    config: RelationConfig,
    device: torch.device | str,
    progress: Progress,
) -> torch.Tensor:
    """Project pooled vision features to exemplar tokens: linear, GELU, linear, layer norm (eps 1e-5).

    Computed in float32. The second matrix (2.4 GB of the released adapter) is streamed from the file.

    Args:
        pooled: (pictures, vision_dim), the pooling head's output.
        weights: an adapter's tensors by canonical name.
        config: its sizes.
        device: where to compute.
        progress: one step a token.

    Returns:
        (pictures, tokens, text_dim) float32 on ``device``.
    """

    def weight(name: str) -> torch.Tensor:
        return weights[f"image_proj.{name}"].read().to(device, torch.float32)

    pooled = pooled.to(device, torch.float32)
    hidden = F.gelu(streamed_linear(pooled, weights["image_proj.proj.0.weight"], weight("proj.0.bias")))
    matrix, bias = weights["image_proj.proj.2.weight"], weight("proj.2.bias")
    flat = hidden.new_empty(hidden.shape[0], matrix.shape[0])  # (pictures, tokens * text_dim)
    for start in range(0, matrix.shape[0], config.text_dim):
        rows = slice(start, start + config.text_dim)
        flat[:, rows] = streamed_linear(hidden, matrix, bias[rows], rows)
        progress.step()
    tokens = rearrange(flat, "p (n d) -> p n d", n=config.tokens)
    return F.layer_norm(tokens, (config.text_dim,), weight("norm.weight"), weight("norm.bias"), eps=1e-5)
