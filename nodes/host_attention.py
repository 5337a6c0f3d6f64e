"""ComfyUI's attention as :class:`relation_core.attention.AttentionFunction`."""

from __future__ import annotations

import torch
from comfy.ldm.modules.attention import optimized_attention, optimized_attention_masked


def host_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Attend with the backend that ComfyUI was started with."""
    if mask is None:
        return optimized_attention(q, k, v, heads, skip_reshape=True)
    return optimized_attention_masked(q, k, v, heads, mask=mask.to(q.dtype), skip_reshape=True)
