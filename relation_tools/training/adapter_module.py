"""The adapter as a trainable module, with its file's names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from relation_core.adapter.adapter import RelationAdapter
from relation_core.adapter.config import RelationConfig
from relation_core.errors import CheckpointError
from relation_core.relation.keys_values import KEY_EPS


class _Projection(nn.Module):
    """Pooled features (P, vision_dim) to exemplar tokens (P, N, D) (paper, section 3.2)."""

    def __init__(self, config: RelationConfig) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.Linear(config.vision_dim, config.projection_dim),
            nn.GELU(),
            nn.Linear(config.projection_dim, config.tokens * config.text_dim),
        )
        self.norm = nn.LayerNorm(config.text_dim)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return self.norm(self.proj(pooled).unflatten(-1, (-1, self.norm.normalized_shape[0])))


class _Block(nn.Module):
    """Key and value projection of one attention block."""

    def __init__(self, config: RelationConfig) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(config.text_dim, config.hidden_size, bias=False)
        self.to_v_ip = nn.Linear(config.text_dim, config.hidden_size, bias=False)


class AdapterModule(nn.Module):
    """Projection, keys and values: what :mod:`..tokens` and :mod:`..keys_values` stream, with gradients.

    Args:
        config: its sizes.
        silent: values start at zero, so that the model starts as it is without an adapter.
    """

    def __init__(self, config: RelationConfig, silent: bool) -> None:
        super().__init__()
        self.config = config
        self.image_proj = _Projection(config)
        self.ip_adapter = nn.ModuleList(_Block(config) for _ in range(config.blocks))
        if silent:
            for block in self.blocks():
                nn.init.zeros_(block.to_v_ip.weight)

    def blocks(self) -> list[_Block]:
        """The blocks in order."""
        return [block for block in self.ip_adapter if isinstance(block, _Block)]

    def forward(self, pooled: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Turn pooled features of exemplar pairs into keys and values.

        Args:
            pooled: (B, 2, vision_dim), before and after.

        Returns:
            Keys and values, for every block (B, H, 2N, d); keys are RMS-normalised per head.
        """
        tokens = self.image_proj(pooled).flatten(1, 2)  # (B, 2N, D)
        keys: list[torch.Tensor] = []
        values: list[torch.Tensor] = []
        for block in self.blocks():
            for projection, store in ((block.to_k_ip, keys), (block.to_v_ip, values)):
                store.append(rearrange(projection(tokens), "b t (h d) -> b h t d", h=self.config.heads))
            keys[-1] = F.rms_norm(keys[-1].float(), keys[-1].shape[-1:], eps=KEY_EPS).to(values[-1].dtype)
        return keys, values

    def load(self, adapter: RelationAdapter) -> None:
        """Load an adapter's weights.

        Raises:
            CheckpointError: they are of other sizes, or the file changed since it was opened.
        """
        self.check(adapter)
        self.load_state_dict({name: tensor.read() for name, tensor in adapter.weights().items()}, strict=True)

    def check(self, adapter: RelationAdapter) -> None:
        """Refuse an adapter of other sizes.

        Raises:
            CheckpointError: it has some.
        """
        if adapter.config != self.config:
            raise CheckpointError(
                f"{adapter.path} is an adapter of {adapter.config}; the run's models and settings need {self.config}. "
                "Change the settings, or start without it."
            )
