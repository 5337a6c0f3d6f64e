"""Random inputs of a training step."""

from __future__ import annotations

import torch

from relation_core.randomness import generator_of
from relation_tools.training.flow import RelationFlow


def inputs(flow: RelationFlow, batch: int = 2, side: int = 4) -> dict[str, torch.Tensor]:
    """Give what a flow's loss is computed from: ``batch`` samples of latents of a side of ``side``."""
    generator = generator_of(7)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    config = flow.transformer.config
    latent = (batch, 16, side, side)
    return {
        "pooled": normal(batch, 2, flow.adapter.config.vision_dim),
        "source": normal(*latent),
        "target": normal(*latent),
        "noise": normal(*latent),
        "times": torch.rand(batch, generator=generator),
        "text": torch.zeros(batch, 1, config["joint_attention_dim"]),
        "pooled_text": torch.zeros(batch, config["pooled_projection_dim"]),
    }
