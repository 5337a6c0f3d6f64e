"""Trains a small SigLIP vision model on synthetic pictures, so that its pooled output tells what they show."""

from __future__ import annotations

import json
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipVisionModel

from relation_core.vision.vision_file import VisionConfig
from relation_core.weights.atomic import write_whole

from .pretraining import PretrainingOptions, pretrain
from .synthetic_pictures import COLOURS, KINDS, synthetic_pictures
from .weights_file import write_weights

FILE = "siglip.safetensors"
SIZES = VisionConfig(
    hidden_size=128,
    intermediate_size=384,
    num_hidden_layers=3,
    num_attention_heads=4,
    image_size=64,
    patch_size=8,
)
_THUMBNAIL = 16
"""Pixels a side of what is drawn from the pooled output again."""


class VisionPretraining(nn.Module):
    """A vision model and what reads its pooled output in training alone."""

    def __init__(self, config: VisionConfig = SIZES) -> None:
        super().__init__()
        width = config.hidden_size
        self.vision: Any = SiglipVisionModel(SiglipVisionConfig(**vars(config)))
        self.thumbnail = nn.Sequential(nn.Linear(width, 512), nn.GELU(), nn.Linear(512, 3 * _THUMBNAIL**2))
        self.kind = nn.Linear(width, len(KINDS))
        self.things = nn.Linear(width, len(COLOURS))
        self.sky = nn.Linear(width, len(COLOURS))

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, width): the pooling head's output for pixels (B, 3, side, side) in [-1, 1]."""
        return self.vision(pixel_values=pixels).pooler_output


def pretrain_vision(options: PretrainingOptions) -> None:
    """Train, and write ``siglip.safetensors`` (float16) and ``config.json`` to the output folder."""
    torch.manual_seed(options.seed)
    model = VisionPretraining()

    def losses(step: int) -> dict[str, torch.Tensor]:
        shown = synthetic_pictures(options.seed, step, options.batch_size)
        pixels = shown.exemplars(SIZES.image_size)
        pooled = model.pooled(pixels)
        small = F.adaptive_avg_pool2d(pixels, _THUMBNAIL).flatten(1)
        return {
            "thumbnail": 10 * F.mse_loss(model.thumbnail(pooled), small),
            "kind": 0.2 * F.cross_entropy(model.kind(pooled), shown.kinds),
            "things": 0.2 * F.cross_entropy(model.things(pooled), shown.things),
            "sky": 0.2 * F.cross_entropy(model.sky(pooled), shown.skies),
        }

    pretrain(model, losses, options)
    tensors = {f"vision_model.{name}": tensor for name, tensor in model.vision.state_dict().items()}
    write_weights(options.output / FILE, tensors, torch.float16)
    described = {"model_type": "siglip_vision_model", **vars(SIZES)}
    write_whole(options.output / "config.json", (json.dumps(described, indent=2) + "\n").encode())
