"""Trains a small SigLIP vision model on pictures alone, so that its pooled output tells what they show.

It is given no labels: from the pooled output each picture is drawn again, small, beside how much detail each part of it
has. It is never told what an edit was, which pictures belong together or what they show.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipVisionModel

from relation_core.scenes.landscape import SIDE
from relation_core.vision.vision_file import VisionConfig
from relation_core.weights.atomic import write_whole

from .picture_folder import PictureFolder, exemplar_matrix, pixels_of
from .pretraining import PretrainingOptions, pretrain
from .weights_file import write_weights

FILE = "siglip.safetensors"
SIZES = VisionConfig(
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=3,
    num_attention_heads=4,
    image_size=128,
    patch_size=16,
)
_THUMBNAIL = 32
"""Pixels a side of what is drawn from the pooled output again."""
_CELLS = 8
"""Parts a side whose detail is told."""


class VisionPretraining(nn.Module):
    """A vision model and what reads its pooled output in training alone."""

    def __init__(self, config: VisionConfig = SIZES) -> None:
        super().__init__()
        width = config.hidden_size
        self.vision: Any = SiglipVisionModel(SiglipVisionConfig(**vars(config)))
        self.hidden = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1024), nn.GELU())
        self.thumbnail = nn.Linear(1024, 3 * _THUMBNAIL**2)
        self.detail = nn.Linear(1024, 4 * _CELLS**2)

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, width): the pooling head's output for pixels (B, 3, side, side) in [-1, 1]."""
        return self.vision(pixel_values=pixels).pooler_output

    def losses(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """How far what is drawn from the pooled output is from pixels (B, 3, side, side) in [-1, 1]."""
        hidden = self.hidden(self.pooled(pixels))
        small = F.adaptive_avg_pool2d(pixels, _THUMBNAIL).flatten(1)
        error = self.thumbnail(hidden) - small
        return {
            "thumbnail": 10 * error.square().mean() + error.abs().mean(),
            "detail": (self.detail(hidden) - detail(pixels)).abs().mean(),
        }


def detail(pixels: torch.Tensor) -> torch.Tensor:
    """How much brightness changes from pixel to pixel, and from the second to the fourth, in each part.

    Args:
        pixels: (B, 3, side, side) in [-1, 1].

    Returns:
        (B, 4 * cells): square roots of mean differences, across and down, fine and coarse, each cell in [0, 2].
    """
    grey = pixels.mean(1, keepdim=True)
    found: list[torch.Tensor] = []
    for scale in (1, 4):
        level = F.avg_pool2d(grey, scale) if scale > 1 else grey
        across = (level[..., :, 1:] - level[..., :, :-1]).abs()
        down = (level[..., 1:, :] - level[..., :-1, :]).abs()
        found += [F.adaptive_avg_pool2d(part, _CELLS).flatten(1) for part in (across, down)]
    return (torch.cat(found, 1) + 1e-4).sqrt()


def pretrain_landscape_vision(pictures: Path, options: PretrainingOptions) -> None:
    """Train, and write ``siglip.safetensors`` (float16) and ``config.json`` to the output folder."""
    torch.manual_seed(options.seed)
    model = VisionPretraining()
    folder = PictureFolder(pictures, (SIDE, SIDE))
    resize = exemplar_matrix(SIDE, SIZES.image_size)

    def losses(step: int) -> dict[str, torch.Tensor]:
        pixels = 2 * pixels_of(folder.draw(options.batch_size, options.seed, step)) - 1
        return model.losses(resize @ pixels @ resize.T)

    pretrain(model, losses, options, {"the pictures": folder.fingerprint()})
    tensors = {f"vision_model.{name}": tensor for name, tensor in model.vision.state_dict().items()}
    write_weights(options.output / FILE, tensors, torch.float16)
    described = {"model_type": "siglip_vision_model", **vars(SIZES)}
    write_whole(options.output / "config.json", (json.dumps(described, indent=2) + "\n").encode())
