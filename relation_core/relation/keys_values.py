"""Keys and values of the exemplar tokens for every attention block, computed once and never while sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange

from ..adapter.config import RelationConfig
from ..adapter.keys import block_keys
from ..progress import Progress
from .streaming import Matrix, streamed_linear

KEY_EPS = 1e-5


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of T exemplar tokens for every attention block.

    The tensors are (blocks, heads, T, head_dim): the double-stream blocks first, then the single-stream ones.
    """

    keys: torch.Tensor
    """RMS-normalised per head."""
    values: torch.Tensor
    key_scale: torch.Tensor
    """(blocks, heads, T, 1) float32: the divisors of the keys, which allow keys to be mixed like tokens."""

    @property
    def nbytes(self) -> int:
        """Bytes of keys and values, which stay in memory while sampling."""
        return self.keys.nbytes + self.values.nbytes

    def is_finite(self) -> bool:
        """Tell whether every key, its scale and every value is a finite number."""
        # A sum is finite only if every term is. Block by block, since PyTorch copies what it sums in another dtype.
        parts = (self.keys, self.values, self.key_scale)
        return all(math.isfinite(block.sum(dtype=torch.float32)) for part in parts for block in part)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> KeysValues:
        """Move keys and values; tensors that are already there are shared, not copied."""
        dtype = dtype or self.keys.dtype
        if self.keys.device == torch.device(device) and self.keys.dtype == dtype:
            return self
        return KeysValues(self.keys.to(device, dtype), self.values.to(device, dtype), self.key_scale)


def compute_keys_values(
    tokens: torch.Tensor,
    weights: Mapping[str, Matrix],
    config: RelationConfig,
    device: torch.device | str,
    progress: Progress,
) -> KeysValues:
    """Project tokens to keys and values, one matrix at a time.

    K = W_k c and V = W_v c without bias, split into heads; K is RMS-normalised per head (eps 1e-5, no learned scale), V
    is not. Matrices are streamed from the file and used in the dtype of the tokens.

    Args:
        tokens: (T, text_dim); the result has its dtype and stays on its device.
        weights: an adapter's tensors by canonical name.
        config: its sizes.
        device: where to compute.
        progress: one step a block.
    """
    shape = (config.blocks, config.heads, tokens.shape[0], config.head_dim)
    keys, values = tokens.new_empty(shape), tokens.new_empty(shape)
    key_scale = tokens.new_empty((*shape[:3], 1), dtype=torch.float32)
    tokens = tokens.to(device)
    for index in range(config.blocks):
        for name, store in zip(block_keys(index), (keys, values), strict=True):
            projected = rearrange(streamed_linear(tokens, weights[name]), "t (h d) -> h t d", h=config.heads)
            if store is keys:
                projected, scale = normalise_keys(projected)
                key_scale[index] = scale
            store[index] = projected
        progress.step()
    return KeysValues(keys, values, key_scale)


def normalise_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide keys (..., d) by their root mean square; return them in their dtype, and the divisor in float32."""
    exact = keys.float()
    scale = exact.square().mean(-1, keepdim=True).add(KEY_EPS).sqrt()
    return (exact / scale).to(keys.dtype), scale


def join_tokens(parts: list[KeysValues]) -> KeysValues:
    """Put the tokens of several relations side by side."""
    return KeysValues(
        torch.cat([part.keys for part in parts], dim=2),
        torch.cat([part.values for part in parts], dim=2),
        torch.cat([part.key_scale for part in parts], dim=2),
    )


def select_pairs(whole: KeysValues, pairs: int, kept: list[int]) -> KeysValues:
    """Keep the tokens of some of the pairs, in order."""

    def select(tensor: torch.Tensor) -> torch.Tensor:
        by_pair = rearrange(tensor, "b h (p t) d -> b h p t d", p=pairs)
        return rearrange(by_pair[:, :, kept], "b h p t d -> b h (p t) d")

    return KeysValues(select(whole.keys), select(whole.values), select(whole.key_scale))


def mix_tokens(first: KeysValues, second: KeysValues, ratio: float) -> KeysValues:
    """Keys and values of the tokens ``(1 - ratio) * first + ratio * second``: projections are linear."""
    keys, scale = normalise_keys(torch.lerp(first.keys * first.key_scale, second.keys * second.key_scale, ratio))
    values = torch.lerp(first.values.float(), second.values.float(), ratio)
    return KeysValues(keys.to(first.keys.dtype), values.to(first.values.dtype), scale)
