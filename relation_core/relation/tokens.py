"""Exemplar tokens: vision features projected to the model's text width (paper, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange

from ..adapter.adapter import RelationAdapter
from ..adapter.config import RelationConfig
from ..errors import ExemplarError
from ..progress import Progress, Silent
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


def pair_tokens(
    adapter: RelationAdapter,
    pooled: torch.Tensor,
    device: torch.device | str,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Turn pooled vision features of P exemplar pairs into their tokens alone: (P, 2N, D) on the CPU, in ``dtype``.

    Args:
        adapter: the adapter.
        pooled: (P, 2, vision_dim), of before and after; any number of pairs.
        device: where to compute.
        dtype: of the tokens.
        progress: one step a token of the adapter; it may raise to stop.

    Raises:
        ExemplarError: the vision model is not the adapter's, or returned NaN or infinite values.
        CheckpointError: the adapter changed on disk.
    """
    config = adapter.config
    if pooled.ndim != 3 or pooled.shape[1:] != (2, config.vision_dim):
        raise ExemplarError(
            f"The vision model gave features of shape {tuple(pooled.shape)}; the adapter {adapter.path.name} expects "
            f"(pairs, 2, {config.vision_dim}). Load the SigLIP vision model that the adapter was trained with."
        )
    if not bool(pooled.isfinite().all()):
        raise ExemplarError(
            "The vision model returned NaN or infinite values; expected finite values only. Check the exemplar "
            "pictures and the vision model's file."
        )
    pictures = exemplar_tokens(pooled.flatten(0, 1), adapter.weights(), config, device, progress or Silent())
    return rearrange(pictures, "(p two) n d -> p (two n) d", two=2).to("cpu", dtype)


def token_bias(pair_weights: tuple[float, ...], tokens: int) -> torch.Tensor | None:
    """Logarithms of the weights of pairs with so many tokens each, (P * tokens,) float32; None if all are equal."""
    if len(set(pair_weights)) == 1:
        return None
    largest = math.log(max(pair_weights))
    logs = torch.tensor([math.log(weight) - largest for weight in pair_weights])  # a quotient may underflow
    return logs.repeat_interleave(tokens)
