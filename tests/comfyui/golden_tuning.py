"""Learning a relation with the golden models, from random pictures of 64x64."""

from __future__ import annotations

from typing import Any

import torch
from edits import Edit

from comfyui_host.graph import Node

MODEL = "one_head/transformer.safetensors"


class GoldenTuning(Edit):
    """Pairs, and a node that learns from them."""

    def __init__(self, host: Any, pairs: int) -> None:
        super().__init__(host)
        pictures = torch.rand(2, pairs, 64, 64, 3, generator=torch.Generator().manual_seed(0))
        self.before, self.after = pictures
        self.vae = self.graph.add("VAELoader", vae_name="small.safetensors")

    def tuned(self, **inputs: Any) -> Node:
        defaults: dict[str, Any] = {
            "model": self.model(MODEL) if "model" not in inputs else None,
            "relation_adapter": self.adapter(),
            "vae": self.vae,
            "conditioning": self.text(),
            "before": self.value(self.before),
            "after": self.value(self.after),
            "steps": 2,
            "learning_rate": 0.15,
            "seed": 0,
            "long_side": 64,
            "batch_size": 2,
        }
        return self.graph.add("TuneRelation", **{**defaults, **inputs})
