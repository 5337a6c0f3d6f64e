"""SigLIP inside ComfyUI: the host's own vision model as the trunk, and the pooling head that it leaves out."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import comfy.clip_vision
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch

from ..relation_core.errors import CheckpointError
from ..relation_core.vision.pooling_head import AttentionPoolingHead
from ..relation_core.vision.vision_file import VisionConfig, VisionFile, open_vision
from .host_attention import host_attention


@dataclass(frozen=True)
class VisionTower:
    """A SigLIP vision model whose memory ComfyUI manages."""

    config: VisionConfig
    trunk: comfy.clip_vision.ClipVisionModel
    head: comfy.model_patcher.ModelPatcher

    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pictures.

        Args:
            pixels: (P, 3, image_size, image_size) in [-1, 1].

        Returns:
            (P, hidden_size) float32 on ComfyUI's intermediate device.
        """
        comfy.model_management.load_models_gpu([self.trunk.patcher, self.head])
        patches = self.trunk.model(pixel_values=pixels.to(self.trunk.load_device))[0]
        return self.head.model(patches).to(comfy.model_management.intermediate_device(), torch.float32)


def load_vision_tower(path: Path) -> VisionTower:
    """Load a SigLIP vision model with its head from one file.

    Raises:
        CheckpointError: see :func:`relation_core.vision.open_vision`.
    """
    file = open_vision(path)
    trunk = _load_trunk(file)
    head = AttentionPoolingHead(
        file.config, comfy.ops.manual_cast, host_attention, trunk.patcher.offload_device, trunk.dtype
    )
    head.load(file.head)
    patcher = comfy.model_patcher.ModelPatcher(
        head.eval(), load_device=trunk.load_device, offload_device=trunk.patcher.offload_device
    )
    return VisionTower(file.config, trunk, patcher)


def _load_trunk(file: VisionFile) -> comfy.clip_vision.ClipVisionModel:
    with tempfile.TemporaryDirectory() as folder:  # before 0.21 the host takes its configuration from a file only
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({**vars(file.config), "model_type": "siglip_vision_model"}), encoding="utf-8")
        trunk = comfy.clip_vision.ClipVisionModel(str(config))
    for module in trunk.model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = file.config.layer_norm_eps  # the host leaves PyTorch's 1e-5; SigLIP has 1e-6
    missing, unexpected = trunk.load_sd(dict(file.trunk))
    if missing or unexpected:
        raise CheckpointError(
            f"This ComfyUI's SigLIP does not take {file.path} (missing {missing}, unexpected {unexpected}). "
            "Update the RelationAdapter nodes, or report this with your ComfyUI version."
        )
    return trunk
