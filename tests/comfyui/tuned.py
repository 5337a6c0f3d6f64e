"""Learning a relation with the small model, with every part open to variation."""

from __future__ import annotations

from typing import Any

import torch
from small_edits import SmallEdit

from benchmarks.landscape_edits import JUDGED_BY, is_right, pair_of, pairs_to_learn
from comfyui_host.graph import Node
from relation_core.pictures.tensors import from_pil, to_pil


class Tuning(SmallEdit):
    """Pairs of an edit that the small model never saw, and a node that learns it."""

    def __init__(self, host: Any, edit: str = "sepia_unseen", pairs: int = 4) -> None:
        super().__init__(host, "mirror", 4, 5)
        self.name = edit
        shown = pairs_to_learn(edit, pairs)
        self.before, self.after = (torch.cat([from_pil(pair[side]) for pair in shown]) for side in range(2))

    def tuned(self, **inputs: Any) -> Node:
        defaults: dict[str, Any] = {
            "model": self.plain,
            "relation_adapter": self.small_adapter,
            "vae": self.vae,
            "conditioning": self.prompt,
            "before": self.value(self.before) if "before" not in inputs else None,
            "after": self.value(self.after) if "after" not in inputs else None,
            "steps": 3,
            "learning_rate": 0.15,
            "seed": 0,
            "long_side": 0,
            "batch_size": 4,
        }
        return self.graph.add("TuneRelation", **{**defaults, **inputs})

    def right(self, relation: Node, count: int = 24) -> float:
        """The share of landscapes that were not learned from whose result is nearest to its true target."""
        right = 0
        model = self.apply(self.plain, relation, strength=1.0)
        for index in range(JUDGED_BY, JUDGED_BY + count):
            source, _ = pair_of(self.name, index)
            encoded = self.encoded(self.prompt, self.value(from_pil(source)))
            sampled = self.sampled(model, encoded[0], encoded[1], seed=index)
            result = self.run(self.graph.add("VAEDecode", samples=sampled, vae=self.vae))
            right += is_right(self.name, index, to_pil(result)[0])
        return right / count
