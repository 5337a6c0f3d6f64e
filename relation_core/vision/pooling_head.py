"""SigLIP's attention-pooling head, which ComfyUI's vision model leaves out (arXiv 2303.15343)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange

from ..flux.attention import AttentionFunction
from .vision_file import VisionConfig


class AttentionPoolingHead(torch.nn.Module):
    """Multi-head attention pooling: one learned query looks at every patch, then a residual MLP.

    Args:
        config: sizes of the vision model.
        operations: a namespace with ``Linear`` and ``LayerNorm``: ``torch.nn``, or the host's.
        attention: the host's attention.
        device: of the weights. dtype: of the weights.
    """

    def __init__(
        self,
        config: VisionConfig,
        operations: Any,
        attention: AttentionFunction,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        width = config.hidden_size
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        self.heads = config.num_attention_heads
        self.attention = attention
        self.probe = torch.nn.Parameter(torch.empty(1, 1, width, **place), requires_grad=False)
        self.query = operations.Linear(width, width, **place)
        self.key = operations.Linear(width, width, **place)
        self.value = operations.Linear(width, width, **place)
        self.output = operations.Linear(width, width, **place)
        self.norm = operations.LayerNorm(width, eps=config.layer_norm_eps, **place)
        self.expand = operations.Linear(width, config.intermediate_size, **place)
        self.contract = operations.Linear(config.intermediate_size, width, **place)

    def load(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Load all weights, under their names in the file below ``vision_model.head.``."""
        in_weight, in_bias = tensors["attention.in_proj_weight"], tensors["attention.in_proj_bias"]
        state = {"probe": tensors["probe"]}
        for name, weight, bias in zip(("query", "key", "value"), in_weight.chunk(3), in_bias.chunk(3), strict=True):
            state |= {f"{name}.weight": weight, f"{name}.bias": bias}
        for name, source in _RENAMED.items():
            state |= {f"{name}.{part}": tensors[f"{source}.{part}"] for part in ("weight", "bias")}
        self.load_state_dict(state, strict=True)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Pool patch features.

        Args:
            patches: (P, L, width), after the trunk's last layer norm.

        Returns:
            (P, width).
        """
        query = self.query(self.probe.to(patches)).expand(patches.shape[0], -1, -1)
        query, key, value = (
            rearrange(part, "p l (h d) -> p h l d", h=self.heads)
            for part in (query, self.key(patches), self.value(patches))
        )
        pooled = self.output(self.attention(query, key, value, self.heads))
        hidden = F.gelu(self.expand(self.norm(pooled)), approximate="tanh")
        return (pooled + self.contract(hidden))[:, 0]


_RENAMED = {
    "output": "attention.out_proj",
    "norm": "layernorm",
    "expand": "mlp.fc1",
    "contract": "mlp.fc2",
}
