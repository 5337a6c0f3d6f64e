"""The frozen transformer for learning a relation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from relation_core.tuning.attended import Attended

from .attention import ExemplarAttention
from .sampling import Prompt, image_positions, pack, predict, token_grid, unpack


@dataclass(frozen=True)
class FlowPredict:
    """A :class:`relation_core.tuning.flow.Predict`."""

    transformer: Any
    """With relation attention (:func:`.attention.add_relation_attention`)."""
    prompt: Prompt
    guidance: float

    def __call__(
        self, noisy: torch.Tensor, source: torch.Tensor, levels: torch.Tensor, attended: Attended | None
    ) -> torch.Tensor:
        """Predict the velocity, noise - target: (B, 16, h, w) float32."""
        grid, batch = token_grid(noisy), len(noisy)
        text, pooled = (part.to(noisy.device) for part in (self.prompt.text, self.prompt.pooled))
        velocity = predict(
            self.transformer,
            pack(noisy),
            pack(source),
            image_positions(grid, token_grid(source)).to(noisy.device),
            levels,
            Prompt(text.expand(batch, -1, -1), pooled.expand(batch, -1)),
            self.guidance,
            None if attended is None else ExemplarAttention(attended.keys, attended.values, attended.bias),
        )
        return unpack(velocity, grid)
