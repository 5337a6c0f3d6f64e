"""Flow matching with a clean source beside the target."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from ..diffusers_host.attention import ExemplarAttention
from ..diffusers_host.sampling import Prompt, image_positions, pack, predict, token_grid
from .adapter_module import AdapterModule

Times = Literal["logit-normal", "power"]
_SPAN, _POWER = 0.95, 2.5


def draw_times(count: int, times: Times, generator: torch.Generator) -> torch.Tensor:
    """Draw noise levels (count,) in (0, 1), 1 being pure noise.

    ``logit-normal``: the sigmoid of normal numbers (arXiv 2403.03206, section 3.1). ``power``: 1 - 0.95 u^2.5 of
    uniform u: where relation and source fix the target, nearly all that is to be learned is learned near pure noise.
    """
    if times == "power":
        return 1.0 - _SPAN * torch.rand(count, generator=generator) ** _POWER
    return torch.randn(count, generator=generator).sigmoid()


class RelationFlow(nn.Module):
    """A Flux, an adapter, and their training loss.

    Args:
        transformer: with relation attention (:func:`..headless.attention.add_relation_attention`).
        adapter: the adapter.
        guidance: what the transformer's guidance input is given.
    """

    def __init__(self, transformer: Any, adapter: AdapterModule, guidance: float) -> None:
        super().__init__()
        self.transformer = transformer
        self.adapter = adapter
        self.guidance = guidance

    def forward(
        self,
        pooled: torch.Tensor,
        source: torch.Tensor,
        target: torch.Tensor,
        noise: torch.Tensor,
        times: torch.Tensor,
        text: torch.Tensor,
        pooled_text: torch.Tensor,
    ) -> torch.Tensor:
        """The mean squared error of the predicted velocity, noise - target, over the target's tokens.

        Args:
            pooled: (B, 2, vision_dim), exemplars before and after.
            source: (B, 16, height, width) latents; their tokens stay clean and share the target's positions.
            target: likewise.
            noise: like the target.
            times: (B,) noise levels.
            text: (B, L, D).
            pooled_text: (B, C).
        """
        keys, values = self.adapter(pooled)
        noisy = torch.lerp(target, noise, times.view(-1, 1, 1, 1))
        positions = image_positions(token_grid(target), token_grid(source)).to(target.device)
        predicted = predict(
            self.transformer,
            pack(noisy),
            pack(source),
            positions,
            times,
            Prompt(text, pooled_text),
            self.guidance,
            ExemplarAttention(keys, values),
        )
        return (predicted - pack(noise - target)).square().mean()

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}
