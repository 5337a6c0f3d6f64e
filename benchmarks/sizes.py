"""How large the models and pictures of a run are."""

from __future__ import annotations

from dataclasses import dataclass, field

from comfyui_host.flux_params import FLUX_PARAMS
from relation_core.adapter.config import RelationConfig
from relation_core.vision.vision_file import SO400M, VisionConfig
from relation_tools.weights.inspection import RELEASED


@dataclass(frozen=True)
class Sizes:
    """One size of everything. The defaults are FLUX.1-dev's, the released adapter's and so400m's, with fewer blocks."""

    name: str = "full"
    depth: int = 1
    """Double-stream blocks."""
    depth_single: int = 2
    text_tokens: int = 512
    pooled_dim: int = 768
    rounds: dict[int, int] = field(default_factory=lambda: {256: 3, 512: 7, 1024: 1})
    """Side of the picture in pixels, and how often every variant of its step is measured beside the plain one."""
    edits: dict[int, int] = field(default_factory=lambda: {512: 3, 1024: 3})
    """Side of the pictures that are edited whole, and how often in every way."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    pairs: tuple[int, ...] = (1, 2, 4, 8)
    adapter: RelationConfig = RELEASED
    vision: VisionConfig = SO400M
    encodings: int = 3
    """How often each way of encoding is measured, in a process of its own."""

    @property
    def flux(self) -> dict[str, object]:
        """Parameters of ComfyUI's Flux."""
        return {
            **FLUX_PARAMS,
            "vec_in_dim": self.pooled_dim,
            "context_in_dim": self.adapter.text_dim,
            "hidden_size": self.adapter.hidden_size,
            "num_heads": self.adapter.heads,
            "depth": self.depth,
            "depth_single_blocks": self.depth_single,
        }


FULL = Sizes()

QUICK = Sizes(name="quick", rounds={512: 7}, edits={512: 1}, pairs=(1, 8), encodings=1)
"""What has a bound, and no more."""

TOY = Sizes(
    name="toy",
    depth_single=1,
    text_tokens=8,
    pooled_dim=16,
    rounds={64: 2, 128: 2},
    edits={64: 2},
    pairs=(1, 2),
    adapter=RelationConfig(blocks=3, heads=1, head_dim=128, tokens=4, text_dim=32, vision_dim=32, projection_dim=48),
    vision=VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
    ),
    encodings=1,
)
"""Seconds: to see that the benchmark itself works."""

BY_NAME = {sizes.name: sizes for sizes in (FULL, QUICK, TOY)}
