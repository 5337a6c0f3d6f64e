"""ComfyUI's attention as :class:`relation_core.attention.AttentionFunction`."""

from __future__ import annotations

import torch
from comfy.ldm.modules.attention import attention_pytorch, optimized_attention, optimized_attention_masked


def host_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Attend with the backend that ComfyUI was started with.

    On a CPU in float32 this is always PyTorch's fused attention: ComfyUI's default there writes the logits to memory in
    pieces, and takes twice as long for the few keys of exemplars.

    The call neither names the model's preferred attention nor passes tensors in containers, which newer hosts allow
    kernels to consume: the block still needs its query.
    """
    if q.device.type == "cpu" and q.dtype == torch.float32:
        return attention_pytorch(q, k, v, heads, mask=mask, skip_reshape=True)
    if mask is None:
        return optimized_attention(q, k, v, heads, skip_reshape=True)
    return optimized_attention_masked(q, k, v, heads, mask=mask.to(q.dtype), skip_reshape=True)
